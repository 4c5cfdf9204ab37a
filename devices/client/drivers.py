"""What a gateway wants of a meter or an inverter, read through whatever profile the device has.

Meters give power positive on import; inverters positive on generation or discharge.
"""

import math
import time
from collections.abc import Mapping

import msgspec

from devices.client.quantities import Quantities
from devices.client.unit import CONSTANT_S, Unit
from devices.errors import LayoutChanged
from devices.limits import FREE, SetPointLimits, may_leave, released_kw
from devices.physics import battery
from devices.registers.commands import Command, choose, release, set_power
from devices.registers.ratings import Ratings
from devices.registers.schema import QUANTITIES

_VOLTAGES = ("v_l1_v", "v_l2_v", "v_l3_v")
_RATINGS = ("rating_kw", "charge_kw", "discharge_kw", "capacity_kwh")


class MeterValues(msgspec.Struct, frozen=True):
    """One reading of a meter; ``None`` where it does not tell.

    Power [kW, kvar] and counters [kWh, kvarh] are positive on import; ``v_v`` is the voltage to neutral of
    each connected phase [V].
    """

    p_kw: float | None
    q_kvar: float | None
    v_v: tuple[float, ...]
    import_kwh: float | None
    export_kwh: float | None
    import_kvarh: float | None
    export_kvarh: float | None


class InverterValues(msgspec.Struct, frozen=True):
    """One reading of an inverter: power [kW], feasible range [kW] and state of charge [0..1]."""

    p_kw: float | None
    min_kw: float | None
    max_kw: float | None
    soc: float | None = None


class Meter:
    """Client of a meter."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self._quantities = Quantities(unit, QUANTITIES["meter"])

    async def values(self) -> MeterValues:
        """Read the meter once; raises `DeviceError`."""
        get = (await self._quantities.read()).get
        voltages = tuple(v for name in _VOLTAGES if (v := get(name)) is not None and v > 0.0)
        return MeterValues(
            get("p_kw"),
            get("q_kvar"),
            voltages,
            get("import_kwh"),
            get("export_kwh"),
            get("import_kvarh"),
            get("export_kvarh"),
        )


class Applied(msgspec.Struct, frozen=True):
    """What an inverter shows after a command.

    Attributes
    ----------
    power_kw
        What was asked for, within the limits [kW]; ``None`` where control was given back.
    revert_s
        Seconds after which it falls back by itself, as it shows them; infinity where it never does.
    ignores_revert
        Whether it was to fall back and does not show the time for that.
    """

    power_kw: float | None
    revert_s: float = math.inf
    ignores_revert: bool = False


class Inverter:
    """Client of an inverter, of PV or of a battery.

    Parameters
    ----------
    unit
        The device.
    limits
        What no set-point may leave.
    """

    def __init__(self, unit: Unit, limits: SetPointLimits = FREE) -> None:
        self.unit = unit
        self.limits = limits
        self._state = Quantities(unit, ("p_kw", "soc"))
        self._plate = self._new_plate()
        self._ratings: Ratings | None = None
        self._rated = (0.0, 0, 0)

    def _new_plate(self) -> Quantities:
        return Quantities(self.unit, _RATINGS)

    async def ratings(self, fresh_s: float = CONSTANT_S) -> Ratings:
        """Ratings, read again when they are older, after each reconnect and when the device was located anew.

        Parameters
        ----------
        fresh_s
            How old they may be [s].

        Raises
        ------
        DeviceError
            The device cannot be read.
        """
        at, walks, connects = self._rated
        is_old = time.monotonic() - at >= fresh_s or (walks, connects) != (
            self.unit.walks,
            self.unit.connects,
        )
        if self._ratings is None or is_old:
            # Hardware that wakes up may tell a better one of its points later than others.
            plate = await (self._new_plate() if self.limits.real else self._plate).read(fresh_s)
            self._ratings = Ratings.of(plate)
            self._rated = time.monotonic(), self.unit.walks, self.unit.connects
        return self._ratings

    async def power_kw(self) -> float | None:
        """Power now [kW], + generation or discharge; ``None`` where it is not told. Raises `DeviceError`."""
        return (await self._state.read()).get("p_kw")

    async def pv_values(self) -> InverterValues:
        """Generation and what it can be limited to: zero to the rating, sun permitting."""
        rating_kw = (await self.ratings()).power_kw
        p_kw = (await self._state.read()).get("p_kw")
        return InverterValues(p_kw, None if rating_kw is None else 0.0, rating_kw)

    async def battery_values(self, efficiency: float, horizon_s: float) -> InverterValues:
        """Power, state of charge and the power that could be held for ``horizon_s`` seconds.

        Parameters
        ----------
        efficiency
            One-way efficiency of the battery.
        horizon_s
            Length of the interval for which a set-point will hold [s].
        """
        ratings = await self.ratings()
        state = await self._state.read()
        p_kw, soc = state.get("p_kw"), state.get("soc")
        capacity = ratings.capacity_kwh
        if soc is None or not capacity or not ratings.charge_kw or not ratings.discharge_kw:
            return InverterValues(p_kw, None, None, soc)
        charge_kw, discharge_kw = battery.limits_kw(
            soc,
            capacity,
            [ratings.charge_kw, ratings.discharge_kw],
            efficiency,
            horizon_s / 3600.0,
        )
        return InverterValues(p_kw, -float(charge_kw[0]), float(discharge_kw[1]), soc)

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
        try:
            return await self._command(power_kw, valid_s, fresh_s)
        except LayoutChanged:
            return await self._command(power_kw, valid_s, 0.0)

    async def revert_point(self) -> str | None:
        """Point of the time after which it falls back, where it has one that it implements."""
        has, profile = (await self.unit.map()).places, self.unit.profile
        name = choose(profile.commands.set, has, str(self.unit.endpoint)).revert
        if name is None or name not in has:
            return None
        return name if (await self.unit.read((name,))).get(name) is not None else None

    async def fallback_stays_within(self) -> bool:
        """Whether what it falls back to lies within its envelope; raises `DeviceError`."""
        limits, profile = self.limits, self.unit.profile
        ratings = await self.ratings()
        if not limits.has_envelope or not may_leave(limits, *ratings.range_kw(profile.kind)):
            return True
        recipe = choose(profile.commands.set, (await self.unit.map()).places, str(self.unit.endpoint))
        named = tuple(n for batch in recipe.writes for n, what in batch.items() if what == "fallback enable")
        read = await self.unit.read(named) if named else {}
        return any(read.get(name) is not None for name in named)

    async def _command(self, power_kw: float | None, valid_s: float, fresh_s: float) -> Applied:
        where, profile, limits = str(self.unit.endpoint), self.unit.profile, self.limits
        if power_kw is None and limits.has_envelope:
            ratings = await self.ratings(fresh_s)
            if may_leave(limits, *ratings.range_kw(profile.kind)):
                power_kw, valid_s = released_kw(limits, profile.kind, ratings.power_kw), 0.0
        if power_kw is None:
            await self.unit.command(release(profile, (await self.unit.map()).places, where), fresh_s)
            self.unit.forget()
            return Applied(None)
        ratings = await self.ratings(fresh_s)
        has = (await self.unit.map()).places
        command = set_power(profile, has, ratings, power_kw, valid_s, where, limits)
        shown = await self.unit.command(command, fresh_s)
        revert_s = _shown_revert_s(command, shown)
        return Applied(power_kw, revert_s, math.isinf(revert_s) and not math.isinf(command.revert_s))


def _shown_revert_s(command: Command, shown: Mapping[str, float | None]) -> float:
    """Revert time that a device keeps to; infinity where it shows none, whatever was written.

    A device may turn "never" into a time of its own.
    """
    if command.revert_point is None:
        return math.inf
    return shown.get(command.revert_point) or math.inf
