"""What a gateway wants of a meter or an inverter, whatever the device speaks.

Meters give power positive on import; inverters positive on generation or discharge.
"""

import math
import time
from collections.abc import Mapping
from typing import Self

import msgspec

from broker.messages import HeatStore
from devices.endpoint import ChargingWish
from devices.kinds import DeviceKind
from devices.limits import FREE, SetPointLimits, may_leave, released_kw
from devices.physics import battery
from devices.physics.charging import charging_range
from devices.ports import CONSTANT_S, Applied, InverterPort
from devices.registers.ratings import Ratings

_DAY_S = 86_400.0
# A room or tank is at most so many times its band outside it.
_MOST_BANDS = 100.0
_VOLTAGES = ("v_l1_v", "v_l2_v", "v_l3_v")

State = Mapping[str, float | None]
"""Quantities that change, those that a device tells, as `devices.ports.MeterPort.state` has them."""


class MeterValues(msgspec.Struct, frozen=True):
    """One reading of a meter; ``None`` where it does not tell.

    Power [kW, kvar] and counters [kWh, kvarh] are positive on import; ``v_v`` is the voltage to neutral of
    each connected phase [V]. ``age_s`` is how long ago it was told, where it was not asked for [s].
    """

    p_kw: float | None
    q_kvar: float | None
    v_v: tuple[float, ...]
    import_kwh: float | None
    export_kwh: float | None
    import_kvarh: float | None
    export_kvarh: float | None
    age_s: float = 0.0

    @classmethod
    def of(cls, state: State) -> Self:
        """What a meter tells."""
        get = state.get
        voltages = tuple(v for name in _VOLTAGES if (v := get(name)) is not None and v > 0.0)
        return cls(
            get("p_kw"),
            get("q_kvar"),
            voltages,
            get("import_kwh"),
            get("export_kwh"),
            get("import_kvarh"),
            get("export_kvarh"),
            get("age_s") or 0.0,
        )


class InverterValues(msgspec.Struct, frozen=True):
    """One reading of an inverter: power [kW], feasible range [kW] and state of charge [0..1].

    A vehicle, or work that can wait, still wants ``needs_kwh`` within ``left_s`` seconds; ``heat`` is what a
    heated room or tank can hold.
    """

    p_kw: float | None
    min_kw: float | None
    max_kw: float | None
    soc: float | None = None
    needs_kwh: float | None = None
    left_s: float | None = None
    heat: HeatStore | None = None

    @classmethod
    def of_pv(cls, ratings: Ratings, state: State) -> Self:
        """Generation and what it can be limited to: zero to the rating, sun permitting."""
        rating_kw = ratings.power_kw
        return cls(state.get("p_kw"), None if rating_kw is None else 0.0, rating_kw)

    @classmethod
    def of_battery(cls, ratings: Ratings, state: State, efficiency: float, horizon_s: float) -> Self:
        """Power, state of charge and the power that could be held for ``horizon_s`` seconds.

        Parameters
        ----------
        ratings, state
            What the battery tells.
        efficiency
            Its one-way efficiency.
        horizon_s
            Length of the interval for which a set-point will hold [s].
        """
        p_kw, soc = state.get("p_kw"), state.get("soc")
        capacity = ratings.capacity_kwh
        if soc is None or not capacity or not ratings.charge_kw or not ratings.discharge_kw:
            return cls(p_kw, None, None, soc)
        charge_kw, discharge_kw = battery.limits_kw(
            soc,
            capacity,
            [ratings.charge_kw, ratings.discharge_kw],
            efficiency,
            horizon_s / 3600.0,
        )
        return cls(p_kw, -float(charge_kw[0]), float(discharge_kw[1]), soc)


class Inverter:
    """Client of a device that is commanded: an inverter, a charger, a load.

    Parameters
    ----------
    port
        The device.
    kind
        What it is.
    limits
        What no set-point may leave.

    Attributes
    ----------
    fell_kwh
        By how much a charger's energy counter fell from the reading before the last one [kWh].
    """

    def __init__(self, port: InverterPort, kind: DeviceKind, limits: SetPointLimits = FREE) -> None:
        self.port = port
        self.kind: DeviceKind = kind
        self.limits = limits
        self.fell_kwh = 0.0
        self._counter_kwh = 0.0

    async def ratings(self) -> Ratings:
        """What it can do; raises `DeviceError`."""
        return await self.port.ratings()

    async def power_kw(self) -> float | None:
        """Power now [kW], + generation or discharge; ``None`` where not shown. Raises `DeviceError`."""
        return (await self.port.state()).get("p_kw")

    async def load_values(self, horizon_s: float) -> InverterValues:
        """What a flexible load draws, and what it could and has to draw in the next interval.

        Work that can wait tells how much energy it still wants and until when; a heated room or tank how full
        of heat it is. What tells neither may draw up to its rating or, without one, its envelope.

        Parameters
        ----------
        horizon_s
            Length of the interval [s].
        """
        state, ratings = await self.port.state(), await self.port.ratings()
        p_kw, soc, hours = state.get("p_kw"), state.get("soc"), horizon_s / 3600.0
        least_kw = await self._least_kw()
        if least_kw is None:
            return InverterValues(p_kw, None, 0.0, soc)
        wanted_kwh, done_kwh = state.get("wanted_kwh"), state.get("session_kwh")
        if wanted_kwh is not None and done_kwh is not None:
            needs_kwh = max(wanted_kwh - done_kwh, 0.0)
            return _wanting(p_kw, least_kw, soc, needs_kwh, state.get("left_s"), hours)
        if soc is None or not ratings.capacity_kwh:
            return InverterValues(p_kw, least_kw, 0.0, soc)
        heat = HeatStore(
            capacity_kwh=ratings.capacity_kwh, loss_kw=state.get("loss_kw") or 0.0, rating_kw=-least_kw
        )
        missing_kw = (1.0 - soc) * heat.capacity_kwh / hours + heat.loss_kw
        most_kw = min(max(missing_kw, 0.0), heat.rating_kw)
        has_to_kw = min(max(heat.loss_kw - soc * heat.capacity_kwh / hours, 0.0), most_kw)
        return InverterValues(p_kw, -most_kw, -has_to_kw, _within_band(soc), heat=heat)

    async def ev_values(self, wish: ChargingWish, horizon_s: float) -> InverterValues:
        """What a charger draws, and what it could and has to draw in the next interval.

        Parameters
        ----------
        wish
            What the vehicle wants where the charger does not tell.
        horizon_s
            Length of the interval [s].
        """
        state = await self.port.state()
        p_kw, soc = state.get("p_kw"), state.get("soc")
        if (counter_kwh := state.get("counter_kwh")) is not None:
            self.fell_kwh = max(self._counter_kwh - counter_kwh, 0.0)
            self._counter_kwh = counter_kwh
        least_kw = await self._least_kw()
        if not state.get("plugged"):
            return InverterValues(p_kw, 0.0, 0.0, soc)
        told_kwh, drawn_kwh = state.get("wanted_kwh"), state.get("session_kwh")
        wanted_kwh = wish.energy_kwh if told_kwh is None else told_kwh
        if least_kw is None or wanted_kwh is None or drawn_kwh is None:
            return InverterValues(p_kw, least_kw, 0.0, soc)
        left_s = state.get("left_s")
        if left_s is None:
            left_s = seconds_until(wish.departs_min)
        needs_kwh = max(wanted_kwh - drawn_kwh, 0.0)
        return _wanting(p_kw, least_kw, soc, needs_kwh, left_s, horizon_s / 3600.0)

    async def _least_kw(self) -> float | None:
        """The most that a charger or load can draw, as a power below 0 [kW]; ``None`` where nobody knows."""
        least_kw = (await self.ratings()).range_kw(self.kind)[0]
        if least_kw is None and math.isfinite(self.limits.min_kw):
            return min(self.limits.min_kw, 0.0)
        return least_kw

    async def command(self, power_kw: float | None, valid_s: float) -> Applied:
        """Write a set-point, or give control back for ``None``, and read it back.

        A device that could leave its envelope is not left to itself: giving control back limits PV to the
        most that it may generate, and lets a battery idle.

        Parameters
        ----------
        power_kw
            The most that PV may generate, or the battery's power, + discharging [kW].
        valid_s
            Seconds after which the device falls back by itself; 0 means never.

        Returns
        -------
        Applied
            What the device shows afterwards.

        Raises
        ------
        DeviceError
            It cannot be commanded, reached, or shows other values than were written.
        """
        # Hardware may have been set otherwise since its ratings and scale factors were read.
        fresh_s = 0.0 if self.limits.real else CONSTANT_S
        if power_kw is None and self.limits.has_envelope:
            ratings = await self.port.ratings(fresh_s)
            if self.port.trust.doubt(ratings, self.limits):
                # 0 is 0, whatever share of whatever rating it is.
                power_kw, valid_s = 0.0, 0.0
            elif may_leave(self.limits, *ratings.range_kw(self.kind)):
                power_kw, valid_s = released_kw(self.limits, self.kind, ratings.power_kw), 0.0
        if power_kw is None:
            await self.port.release(fresh_s)
            return Applied(None)
        return await self.port.set_power(power_kw, valid_s, self.limits, fresh_s)

    async def revert_point(self) -> str | None:
        """Name of what holds its revert time, where it has one that it implements; raises `DeviceError`."""
        return await self.port.revert_point()

    async def fallback_stays_within(self) -> bool:
        """Whether what it falls back to lies within its envelope; raises `DeviceError`."""
        ratings = await self.port.ratings()
        if not self.limits.has_envelope:
            return True
        if self.port.trust.doubt(ratings, self.limits) or may_leave(
            self.limits, *ratings.range_kw(self.kind)
        ):
            return await self.port.holds_fallback()
        return True


def _wanting(
    p_kw: float | None,
    least_kw: float,
    soc: float | None,
    needs_kwh: float,
    left_s: float | None,
    hours: float,
) -> InverterValues:
    """What a vehicle, or work that can wait, could and has to draw in the next interval."""
    left_h = math.inf if left_s is None else left_s / 3600.0
    wanted = charging_range(needs_kwh, left_h, -least_kw, hours)
    return InverterValues(p_kw, -float(wanted.most_kw), -float(wanted.least_kw), soc, needs_kwh, left_s)


def _within_band(soc: float) -> float:
    """How full of heat a room or tank counts as: outside its band it is at its end, unless it cannot be."""
    return min(max(soc, 0.0), 1.0) if abs(soc) <= _MOST_BANDS else soc


def seconds_until(minutes: float | None) -> float | None:
    """Time until the local clock shows so many minutes of the day [s]; ``None`` stays."""
    if minutes is None:
        return None
    now = time.localtime()
    since_midnight_s = now.tm_hour * 3600.0 + now.tm_min * 60.0 + now.tm_sec
    return (60.0 * minutes - since_midnight_s) % _DAY_S
