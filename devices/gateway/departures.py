"""Vehicles and work at real chargers and loads that do not get what they want in time: who lacks how much."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from broker.messages import DeviceState
from broker.wall_time import since_boot
from devices.gateway.reading import Reading
from devices.kinds import CONSUMERS

# Less is no lack: counters are rounded [kWh].
_LACKS_KWH = 0.05
_WHAT = {"ev": "vehicle", "load": "load"}


@dataclass
class _Wish:
    """What was wanted at the last reading [kWh], until when by our clock [s], and whether a lack was told."""

    kwh: float
    until_s: float | None
    is_told: bool = False


class Departures:
    """Follows what vehicles and work want from reading to reading.

    Devices of a run's own are left out: their host knows better what they lack.

    Parameters
    ----------
    real
        Prosumer and kind of each charger or load that is hardware.
    clock
        Monotonic time [s].
    """

    def __init__(self, real: Iterable[tuple[str, str]], clock: Callable[[], float] = since_boot) -> None:
        self._real = frozenset(real)
        self._clock = clock
        self._wishes: dict[tuple[str, str], _Wish] = {}

    def take(self, reading: Reading) -> list[str]:
        """Take a reading in; who lacks what, one line each. Devices that were not read say nothing new."""
        return [
            line
            for state in reading.devices
            if state.device in CONSUMERS and state.quality == "good"
            if (reading.prosumer, state.device) in self._real
            for line in self._taken(reading.prosumer, state)
        ]

    def _taken(self, prosumer: str, state: DeviceState) -> list[str]:
        key, now_s = (prosumer, state.device), self._clock()
        before = self._wishes.pop(key, None)
        whose = f"the {_WHAT[state.device]} of {prosumer}"
        if state.needs_kwh is None:
            if before is None or before.is_told or before.kwh <= _LACKS_KWH:
                return []
            # What flowed since it was read last is not known.
            return [f"up to {before.kwh:.3g} kWh that {whose} wanted are missing: it has left"]
        is_due = before is not None and before.until_s is not None and now_s >= before.until_s
        was_told = before is not None and before.is_told and state.needs_kwh > _LACKS_KWH
        is_missed = is_due and state.needs_kwh > _LACKS_KWH
        until_s = None if state.left_s is None else now_s + state.left_s
        self._wishes[key] = _Wish(state.needs_kwh, until_s, was_told or is_missed)
        if is_missed and not was_told:
            return [f"{state.needs_kwh:.3g} kWh that {whose} wanted by now are missing"]
        return []
