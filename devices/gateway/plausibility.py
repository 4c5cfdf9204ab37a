"""Whether readings can be true: checks between the gateway and everybody who relies on it.

A reading that fails a check of the meter becomes ``suspect``: it is published and nobody settles by it. What
was trusted last is the yardstick, so that one lie does not excuse the next. A device that does not follow its
set-point becomes suspect itself, and for some intervals the market does not count on it.

Before all others stands ``range`` (`devices.gateway.bounded`): a number that no message of the run may hold.
It is missing from then on, and the meter or the device that told it suspect.

Checks of a meter: ``rating`` (power beyond the connection's), ``voltage`` (far from nominal), ``counter``
(a counter fell), ``energy`` (more than the connection carries, or far from what power says), ``frozen``
(nothing moves although power flows), ``balance`` (more export than the devices make), ``drift`` (energy and
power disagree over many intervals; a remark only, because the counter is what is sealed), ``reactive`` (more
reactive energy than the connection carries; a remark, because none is settled). Of a device: ``follow``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

import msgspec

from broker.messages import DeviceSetPoint, DeviceState
from broker.snapshot import Values, typed
from devices.gateway.reading import Reading
from devices.kinds import CONSUMERS

Check = Literal[
    "range", "rating", "voltage", "counter", "energy", "frozen", "balance", "drift", "reactive", "follow"
]
REMARKS: frozenset[Check] = frozenset({"drift", "reactive", "follow"})

# Tolerance on ratings; power that is too small to tell anything [kW].
_MARGIN, _LITTLE_KW = 1.05, 0.1
_VOLTAGE_PU = (0.7, 1.3)
# A meter that starts anew shows less than this share of what it showed.
_RESTARTED = 0.2
# How far a counter's mean power may lie beyond the powers read at both ends: of the connection, and of PV.
_OFF_RATING, _OFF_PV = 0.3, 0.7
# Drift: steady intervals over which counter and power are compared, how much power may change in one, how far
# the median of their ratio may be off 1, and how little of the sun may be left over to tell anything.
_WINDOW, _STEADY, _DRIFT, _TELLING_PV = 6, 0.4, 0.5, 0.25
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
    set_kw: dict[str, float | None] = field(default_factory=dict)
    set_tick: int = -1
    distrusted: dict[str, int] = field(default_factory=dict)
    speeds: list[float] = field(default_factory=list)


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

    def snapshot(self) -> Values:
        """What is known of each prosumer."""
        return self._known

    def restore(self, values: Values) -> None:
        """Go on from a snapshot; raises ``ValueError`` where it is of other prosumers."""
        known = typed({"known": values}, "known", dict[str, _History])
        if known.keys() != self._known.keys():
            raise ValueError("the snapshot of what is plausible is of other prosumers")
        self._known = known

    def note_set_points(self, prosumer: str, set_points: Sequence[DeviceSetPoint], tick: int) -> None:
        """Note set-points that devices have confirmed; one that is still on its way there has none."""
        if prosumer in self._known:
            known = self._known[prosumer]
            known.set_kw = {one.device: one.power_kw for one in set_points}
            known.set_tick = tick

    def carries(self, prosumer: str, kvarh: float) -> bool:
        """Whether a connection can have carried reactive energy [kvarh] in an interval."""
        rating_kw = self._rating_kw.get(prosumer)
        return rating_kw is None or abs(kvarh) <= self._most_kwh(rating_kw, 1)

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
        most_kwh = self._most_kwh(rating_kw, now.boundary - known.trusted.boundary)
        if min(steps) >= 0.0:
            return ["energy"] if sum(steps) > most_kwh else []
        restarted = now.sum_kwh <= _RESTARTED * known.trusted.sum_kwh
        since = now.since(known.seen) if known.seen is not None else (-1.0, -1.0)
        later = known.seen is not None and now.boundary > known.seen.boundary
        if known.restarted and restarted and later and min(since) >= 0.0 and sum(since) <= most_kwh:
            known.restarted, known.trusted = False, None
            return []
        known.restarted = restarted
        return ["counter"]

    def _most_kwh(self, rating_kw: float, intervals: int) -> float:
        # Time passes between a reading at the end of an interval and the next one at its beginning, too.
        return _MARGIN * rating_kw * self._interval_h * (intervals + 0.2)

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
        start_kw = self._start_kw(known, tick)
        if start_kw is None:
            return []
        likely_kw = 0.5 * (start_kw + reading.p_kw)
        pv = known.devices.get("pv")
        pv_kw = pv.max_kw or 0.0 if pv is not None else 0.0
        slack_kw = _OFF_RATING * self._rating_kw[reading.prosumer] + _OFF_PV * pv_kw
        ends = (start_kw, reading.p_kw)
        if not min(ends) - slack_kw <= mean_kw <= max(ends) + slack_kw:
            return ["energy"]
        # Where sun and load nearly cancel, the rest says little about the meter.
        tells = abs(likely_kw) > _LITTLE_KW + (_TELLING_PV * abs(pv.p_kw or 0.0) if pv is not None else 0.0)
        if tells and abs(start_kw - reading.p_kw) < _STEADY * abs(likely_kw):
            known.speeds = [*known.speeds[1 - _WINDOW :], mean_kw / likely_kw]
        drifts = len(known.speeds) == _WINDOW and abs(median(known.speeds) - 1.0) > _DRIFT
        return ["drift"] if drifts else []

    def _start_kw(self, known: _History, tick: int) -> float | None:
        """Power once what was set for interval ``tick`` was done; ``None`` where that is not known."""
        if known.devices.keys() & CONSUMERS:
            return None  # What they draw within their limits is up to them.
        battery = known.devices.get("battery")
        if known.measured_kw is None or battery is None:
            return known.measured_kw
        set_kw = known.set_kw.get("battery") if known.set_tick == tick else None
        if set_kw is None or battery.p_kw is None:
            return None
        return known.measured_kw + battery.p_kw - set_kw

    def _balance(self, reading: Reading, known: _History) -> bool:
        """Whether more comes out of the connection than its devices make."""
        if reading.p_kw is None or not reading.devices or len(known.devices) < len(reading.devices):
            return known.unbalanced
        made = [state.p_kw for state in known.devices.values()]
        if None in made:
            return known.unbalanced
        made_kw = sum(p for p in made if p is not None)
        tolerance_kw = _LITTLE_KW + 0.05 * sum(abs(p) for p in made if p is not None)
        return reading.p_kw + made_kw < -tolerance_kw

    def _follow(self, reading: Reading, known: _History, tick: int) -> tuple[Reading, tuple[Check, ...]]:
        """Devices that do not do what they confirmed in the interval before."""
        if known.set_tick == tick - 1:
            for state in reading.devices:
                if state.quality == "good" and _disobeys(state, known.set_kw.get(state.device)):
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


def _disobeys(state: DeviceState, set_kw: float | None) -> bool:
    if set_kw is None or state.p_kw is None:
        return False
    tolerance_kw = _LITTLE_KW + _FOLLOW_SHARE * abs(set_kw)
    if state.device == "pv":
        return state.p_kw > set_kw + tolerance_kw
    if state.device in CONSUMERS:
        return state.p_kw < set_kw - tolerance_kw
    full = set_kw < 0.0 and state.soc is not None and state.soc >= _FULL
    empty = set_kw > 0.0 and state.soc is not None and state.soc <= _EMPTY
    return abs(state.p_kw - set_kw) > tolerance_kw and not full and not empty


def _counters(reading: Reading, boundary: int) -> _Counters | None:
    if reading.import_kwh is None:
        return None
    return _Counters(boundary, reading.import_kwh, reading.export_kwh or 0.0)


def _shown(reading: Reading) -> tuple[float | None, ...]:
    return reading.p_kw, reading.q_kvar, reading.v_pu, reading.import_kwh, reading.export_kwh
