"""What a gateway wants of a meter or an inverter, whatever the device speaks.

Meters give power positive on import; inverters positive on generation or discharge.
"""

import msgspec

from devices.kinds import DeviceKind
from devices.limits import FREE, SetPointLimits, may_leave, released_kw
from devices.physics import battery
from devices.ports import CONSTANT_S, Applied, InverterPort, MeterPort
from devices.registers.ratings import Ratings

_VOLTAGES = ("v_l1_v", "v_l2_v", "v_l3_v")


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

    def __init__(self, port: MeterPort) -> None:
        self.port = port

    async def values(self) -> MeterValues:
        """Read the meter once; raises `DeviceError`."""
        get = (await self.port.state()).get
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


class Inverter:
    """Client of an inverter, of PV or of a battery.

    Parameters
    ----------
    port
        The device.
    kind
        ``pv`` or ``battery``.
    limits
        What no set-point may leave.
    """

    def __init__(self, port: InverterPort, kind: DeviceKind, limits: SetPointLimits = FREE) -> None:
        self.port = port
        self.kind: DeviceKind = kind
        self.limits = limits

    async def ratings(self) -> Ratings:
        """What it can do; raises `DeviceError`."""
        return await self.port.ratings()

    async def power_kw(self) -> float | None:
        """Power now [kW], + generation or discharge; ``None`` where not shown. Raises `DeviceError`."""
        return (await self.port.state()).get("p_kw")

    async def pv_values(self) -> InverterValues:
        """Generation and what it can be limited to: zero to the rating, sun permitting."""
        rating_kw = (await self.ratings()).power_kw
        p_kw = (await self.port.state()).get("p_kw")
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
        state = await self.port.state()
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
        if power_kw is None and self.limits.has_envelope:
            ratings = await self.port.ratings(fresh_s)
            if may_leave(self.limits, *ratings.range_kw(self.kind)):
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
        if not self.limits.has_envelope or not may_leave(self.limits, *ratings.range_kw(self.kind)):
            return True
        return await self.port.holds_fallback()
