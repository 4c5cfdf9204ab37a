"""Energy of an interval from the counters of a meter.

It is the difference to the settlement reading before, so that the quantisation of the counters telescopes.
Where that reading was not good, the interval is counted from its own first reading instead, so that energy
which was settled by an estimate is not settled again.
"""

from dataclasses import dataclass

from broker.snapshot import Values, typed
from devices.gateway.reading import Reading, difference


@dataclass(frozen=True, slots=True)
class _Base:
    """Net counters [kWh, kvarh] from which the energy of ``tick`` counts."""

    tick: int
    kwh: float | None
    kvarh: float | None


class IntervalEnergy:
    """Counters from which the intervals of a group of prosumers count."""

    def __init__(self) -> None:
        self._bases: dict[str, _Base] = {}

    def snapshot(self) -> Values:
        """Counters by prosumer."""
        return {name: (base.tick, base.kwh, base.kvarh) for name, base in self._bases.items()}

    def restore(self, values: Values) -> None:
        """Count on from a snapshot; raises ``ValueError`` where it is another's."""
        known = typed({"bases": values}, "bases", dict[str, tuple[int, float | None, float | None]])
        self._bases = {name: _Base(*base) for name, base in known.items()}

    def begin(self, reading: Reading, tick: int) -> None:
        """Note the first reading of an interval, unless the one before has ended with a good reading."""
        base = self._bases.get(reading.prosumer)
        if reading.quality == "good" and (base is None or base.tick != tick):
            self._bases[reading.prosumer] = _Base(tick, reading.net_kwh, reading.net_kvarh)

    def end(self, reading: Reading, tick: int) -> tuple[float | None, float | None]:
        """Net import in an interval by its last reading [kWh, kvarh]; ``None`` where it is not known."""
        if reading.quality != "good":
            return None, None
        base = self._bases.get(reading.prosumer)
        self._bases[reading.prosumer] = _Base(tick + 1, reading.net_kwh, reading.net_kvarh)
        if base is None or base.tick != tick:
            return None, None
        return difference(reading.net_kwh, base.kwh), difference(reading.net_kvarh, base.kvarh)
