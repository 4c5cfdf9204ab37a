"""What prosumers were metered last; who is silent counts as in the interval before."""

from collections.abc import Mapping

import numpy as np

from broker.messages import Telemetry
from broker.snapshot import Values, array_of, typed
from cosim.feeder.circuit import Floats
from sharegrid.text import some_of

_MOST_NAMED = 5


class LastMetered:
    """Energy of n prosumers in an interval.

    Parameters
    ----------
    live
        Places of the prosumers whose meters speak for themselves, by name.
    count
        n.

    Attributes
    ----------
    kwh, kvarh
        Net import ``(n,)`` [kWh, kvarh].
    """

    def __init__(self, live: Mapping[str, int], count: int) -> None:
        self._live = live
        self.kwh, self.kvarh = np.zeros((2, count))
        self._no_kvar: list[str] = []

    def snapshot(self) -> Values:
        """What is remembered."""
        return {"last_kwh": self.kwh, "last_kvarh": self.kvarh, "no_kvar": self._no_kvar}

    def restored(self, values: Values) -> "LastMetered":
        """The same prosumers as a snapshot remembers them; raises ``ValueError`` where it is another's."""
        found = LastMetered(self._live, self.kwh.size)
        found.kwh = array_of(values, "last_kwh", self.kwh)
        found.kvarh = array_of(values, "last_kvarh", self.kvarh)
        found._no_kvar = typed({"no_kvar": [], **values}, "no_kvar", list[str])
        return found

    def take_batch(self, places: np.ndarray, kwh: Floats, kvarh: Floats) -> None:
        """Take what a host reports of its prosumers."""
        self.kwh[places], self.kvarh[places] = kwh, kvarh

    def take_readings(self, readings: Mapping[str, Telemetry], hours: float) -> tuple[list[str], list[str]]:
        """Take meters' readings of an interval of so many hours.

        Reactive energy that a meter does not count, or that cannot be true, is its reactive power through the
        interval. Where that is not read either, what was read last stands.

        Returns
        -------
        tuple
            Names of the meters without energy, and flags: each meter without reactive power once, until it
            has it again.
        """
        silent, unknown = [], []
        for name, reading in readings.items():
            if reading.interval_kwh is None:
                silent.append(name)
                continue
            self.kwh[self._live[name]] = reading.interval_kwh
            kvarh = reading.interval_kvarh
            if kvarh is None and reading.q_kvar is not None:
                kvarh = reading.q_kvar * hours
            if kvarh is None:
                unknown.append(name)
            else:
                self.kvarh[self._live[name]] = kvarh
        return silent, self._flags(unknown, silent)

    def _flags(self, unknown: list[str], silent: list[str]) -> list[str]:
        new = [name for name in unknown if name not in self._no_kvar]
        self._no_kvar = sorted({*unknown, *(name for name in self._no_kvar if name in silent)})
        if not new:
            return []
        named = some_of(new, _MOST_NAMED)
        return [f"reactive power of {named} is not known: the feeder takes what was read last, or none"]
