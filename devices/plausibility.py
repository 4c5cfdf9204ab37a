"""Whether readings can be true: checks between the gateway and everybody who relies on it.

A reading that fails a check of the meter becomes ``suspect``: it is published and nobody settles by it. What
was trusted last is the yardstick, so that one lie does not excuse the next. A device that does not do what it
was told becomes suspect itself, and for some intervals the market does not count on it.

Checks of a meter: ``rating`` (power beyond the connection's), ``voltage`` (far from nominal), ``counter``
(a counter fell), ``energy`` (more than the connection carries, or not what power says), ``frozen`` (nothing
moves although power flows), ``balance`` (export that no device makes), ``drift`` (energy and power disagree
over many intervals; a remark only, because the counter is what is sealed). Of a device: ``follow``.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from broker.messages import DeviceSetPoint, DeviceState
from devices.reading import Reading

Check = Literal["rating", "voltage", "counter", "energy", "frozen", "balance", "drift", "follow"]
REMARKS: frozenset[Check] = frozenset({"drift", "follow"})

# Tolerance on ratings; power that is too small to tell anything [kW].
_MARGIN, _LITTLE_KW = 1.05, 0.1
_VOLTAGE_PU = (0.7, 1.3)
# A meter that starts anew shows less than this share of what it showed.
_RESTARTED = 0.2
# How far the mean power of a counter may lie off the power read: of the power, and of what PV can change.
_OFF_POWER, _OFF_PV, _OFF_KW = 0.5, 0.7, 0.75
_WINDOW, _DRIFT, _DRIFT_KWH = 8, 0.35, 0.25
_DISTRUST_TICKS = 4
_FOLLOW_SHARE, _FULL, _EMPTY = 0.05, 0.985, 0.015


@dataclass
class _Counters:
    """Counters [kWh] at a boundary between intervals; boundary t is where interval t begins."""

    boundary: int
    import_kwh: float
    export_kwh: float

    @property
    def sum_kwh(self) -> float:
        return self.import_kwh + self.export_kwh

    def since(self, before: "_Counters") -> tuple[float, float]:
        """What import and export have counted [kWh]."""
        return self.import_kwh - before.import_kwh, self.export_kwh - before.export_kwh


@dataclass
class _History:
    """What is known of one prosumer."""

    trusted: _Counters | None = None
    seen: _Counters | None = None
    restarted: bool = False
    settled: tuple[float | None, ...] = ()
    is_frozen: bool = False
    unbalanced: bool = False
    measured_kw: float | None = None
    devices: dict[str, DeviceState] = field(default_factory=dict)
    told_kw: dict[str, float | None] = field(default_factory=dict)
    told_tick: int = -1
    distrusted: dict[str, int] = field(default_factory=dict)
    drift: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=_WINDOW))


class Plausibility:
    """Judge of the readings of a group of prosumers.

    Parameters
    ----------
    rating_kw
        Rating of each prosumer's connection [kW]; who is not in it is not judged.
    interval_h
        Length of an interval [h].
    """

    def __init__(self, rating_kw: Mapping[str, float], interval_h: float) -> None:
        self._rating_kw = dict(rating_kw)
        self._interval_h = interval_h
        self._known = {name: _History() for name in rating_kw}

    def told(self, prosumer: str, set_points: Sequence[DeviceSetPoint], tick: int) -> None:
        """Note set-points that a device has confirmed."""
        if prosumer in self._known:
            known = self._known[prosumer]
            known.told_kw = {one.device: one.power_kw for one in set_points}
            known.told_tick = tick

    def measure(self, reading: Reading, tick: int) -> tuple[Reading, tuple[Check, ...]]:
        """Judge what is read before interval ``tick``: the meter and its inverters.

        Returns
        -------
        Reading
            The same, or marked as suspect.
        tuple
            Checks that it failed.
        """
        known = self._known.get(reading.prosumer)
        if known is None:
            return reading, ()
        reading, unfollowed = self._follow(reading, known, tick)
        known.devices = {state.device: state for state in reading.devices if state.quality == "good"}
        known.measured_kw = reading.p_kw if reading.quality == "good" else None
        if reading.quality != "good":
            return reading, unfollowed
        failed = self._static(reading, known, tick)
        known.unbalanced = self._balance(reading, known)
        if known.unbalanced:
            failed.append("balance")
        return self._concluded(reading, known, tick, failed, unfollowed)

    def meter(self, reading: Reading, tick: int) -> tuple[Reading, tuple[Check, ...]]:
        """Judge what is read at the end of interval ``tick``: the meter alone; returns as `measure`."""
        known = self._known.get(reading.prosumer)
        if known is None or reading.quality != "good":
            return reading, ()
        failed = self._static(reading, known, tick + 1)
        if known.unbalanced:
            failed.append("balance")
        if not failed:
            failed += self._dynamic(reading, known, tick)
        known.settled = _shown(reading)
        return self._concluded(reading, known, tick + 1, failed, ())

    def _concluded(
        self,
        reading: Reading,
        known: _History,
        boundary: int,
        failed: list[Check],
        remarks: tuple[Check, ...],
    ) -> tuple[Reading, tuple[Check, ...]]:
        now = _counters(reading, boundary)
        suspect = any(check not in REMARKS for check in failed)
        if not suspect and now is not None:
            known.trusted = now
        known.seen = now or known.seen
        if suspect:
            reading = msgspec.structs.replace(reading, quality="suspect")
        return reading, tuple(dict.fromkeys((*failed, *remarks)))

    def _static(self, reading: Reading, known: _History, boundary: int) -> list[Check]:
        """What a reading says against itself and what was trusted last."""
        failed: list[Check] = []
        rating_kw = self._rating_kw[reading.prosumer]
        if reading.p_kw is not None and abs(reading.p_kw) > _MARGIN * rating_kw:
            failed.append("rating")
        if reading.v_pu is not None and not _VOLTAGE_PU[0] <= reading.v_pu <= _VOLTAGE_PU[1]:
            failed.append("voltage")
        known.is_frozen = known.is_frozen and _shown(reading) == known.settled
        if known.is_frozen:
            failed.append("frozen")
        now = _counters(reading, boundary)
        if now is not None and known.trusted is not None:
            failed += self._counted(now, known, rating_kw)
        return failed

    def _counted(self, now: _Counters, known: _History, rating_kw: float) -> list[Check]:
        """Counters against those trusted last; a meter that started anew is believed the second time."""
        assert known.trusted is not None
        steps = now.since(known.trusted)
        # Time passes between a reading at the end of an interval and the next one at its beginning, too.
        most_kwh = _MARGIN * rating_kw * self._interval_h * (now.boundary - known.trusted.boundary + 0.2)
        if min(steps) >= 0.0:
            return ["energy"] if sum(steps) > most_kwh else []
        restarted = now.sum_kwh <= _RESTARTED * known.trusted.sum_kwh
        since = now.since(known.seen) if known.seen is not None else (-1.0, -1.0)
        later = known.seen is not None and now.boundary > known.seen.boundary
        if known.restarted and restarted and later and min(since) >= 0.0 and sum(since) <= most_kwh:
            known.restarted = False
            return []
        known.restarted = restarted
        return ["counter"]

    def _dynamic(self, reading: Reading, known: _History, tick: int) -> list[Check]:
        """The counter's mean power against the power read, over this interval and over many."""
        now, before = _counters(reading, tick + 1), known.trusted
        if now is None or before is None or before.boundary != tick or reading.p_kw is None:
            return []
        steps = now.since(before)
        flows = abs(reading.p_kw) > _LITTLE_KW
        same = bool(reading.p_kw) and _shown(reading) == known.settled
        if not any(steps) and (flows or same):
            known.is_frozen = True
            return ["frozen"]
        mean_kw = (steps[0] - steps[1]) / self._interval_h
        likely_kw = self._likely_kw(reading.p_kw, known, tick)
        if likely_kw is None:
            return []
        pv = known.devices.get("pv")
        pv_kw = pv.max_kw or 0.0 if pv is not None else 0.0
        slack_kw = _OFF_KW + _OFF_PV * pv_kw + _OFF_POWER * max(abs(likely_kw), abs(reading.p_kw))
        if abs(mean_kw - likely_kw) > slack_kw:
            return ["energy"]
        known.drift.append((mean_kw * self._interval_h, likely_kw * self._interval_h))
        return ["drift"] if _drifts(known.drift) else []

    def _likely_kw(self, end_kw: float, known: _History, tick: int) -> float | None:
        """Mean power by readings at both ends, the battery being set once at the beginning.

        ``None`` where what happened in between is not known.
        """
        if known.measured_kw is None:
            return None
        battery = known.devices.get("battery")
        if battery is None:
            return 0.5 * (known.measured_kw + end_kw)
        told_kw = known.told_kw.get("battery") if known.told_tick == tick else None
        if told_kw is None or battery.p_kw is None or battery.soc is None:
            return None
        # Without its battery, power moves from one end to the other; the battery holds its set-point.
        return 0.5 * (known.measured_kw + battery.p_kw + end_kw + told_kw) - told_kw

    def _balance(self, reading: Reading, known: _History) -> bool:
        """Whether more comes out of the connection than its devices make."""
        if reading.p_kw is None or len(known.devices) < len(reading.devices):
            return known.unbalanced
        made = [state.p_kw for state in known.devices.values()]
        if None in made:
            return known.unbalanced
        made_kw = sum(p for p in made if p is not None)
        tolerance_kw = _LITTLE_KW + 0.05 * sum(abs(p) for p in made if p is not None)
        return reading.p_kw + made_kw < -tolerance_kw

    def _follow(self, reading: Reading, known: _History, tick: int) -> tuple[Reading, tuple[Check, ...]]:
        """Devices that do not do what they confirmed in the interval before."""
        if known.told_tick == tick - 1:
            for state in reading.devices:
                if state.quality == "good" and _disobeys(state, known.told_kw.get(state.device)):
                    known.distrusted[state.device] = tick + _DISTRUST_TICKS
                    break
        doubted = {device for device, until in known.distrusted.items() if tick < until}
        if not doubted:
            return reading, ()
        states = tuple(
            msgspec.structs.replace(state, quality="suspect")
            if state.device in doubted and state.quality == "good"
            else state
            for state in reading.devices
        )
        return msgspec.structs.replace(reading, devices=states), ("follow",)


def _disobeys(state: DeviceState, told_kw: float | None) -> bool:
    if told_kw is None or state.p_kw is None:
        return False
    tolerance_kw = _LITTLE_KW + _FOLLOW_SHARE * abs(told_kw)
    if state.device == "pv":
        return state.p_kw > told_kw + tolerance_kw
    full = told_kw < 0.0 and state.soc is not None and state.soc >= _FULL
    empty = told_kw > 0.0 and state.soc is not None and state.soc <= _EMPTY
    return abs(state.p_kw - told_kw) > tolerance_kw and not full and not empty


def _drifts(window: deque[tuple[float, float]]) -> bool:
    """Whether the counter is off the power read, over a full window."""
    if len(window) < _WINDOW:
        return False
    off_kwh = abs(sum(counted - likely for counted, likely in window))
    return off_kwh > _DRIFT_KWH + _DRIFT * sum(abs(likely) for _, likely in window)


def _counters(reading: Reading, boundary: int) -> _Counters | None:
    if reading.import_kwh is None:
        return None
    return _Counters(boundary, reading.import_kwh, reading.export_kwh or 0.0)


def _shown(reading: Reading) -> tuple[float | None, ...]:
    return reading.p_kw, reading.q_kvar, reading.v_pu, reading.import_kwh, reading.export_kwh
