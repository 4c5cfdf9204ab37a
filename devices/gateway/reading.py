"""What a gateway gives: readings of a prosumer's devices, and outcomes of commands."""

import msgspec

from broker.messages import CommandedDevice, DeviceState, Quality
from broker.messages.fields import CounterKwh, Kvar, Kw, Pu, WallTime
from devices.client.drivers import InverterValues, MeterValues
from devices.endpoint import LiveProsumer
from devices.gateway.actuator import Actuator


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What one poll tells about a prosumer; ``None`` where it is missing, never 0.

    Power and counters are positive on import; ``v_pu`` is the mean over the connected phases, ``v_v``
    their voltages to neutral. Counters of a held reading are the last good ones. ``read_at`` says when the
    meter was last read [s since epoch], ``is_incomplete`` whether it answered without what a reading needs.
    """

    prosumer: str
    quality: Quality
    p_kw: Kw | None = None
    q_kvar: Kvar | None = None
    v_pu: Pu | None = None
    v_v: tuple[float, ...] = ()
    import_kwh: CounterKwh | None = None
    export_kwh: CounterKwh | None = None
    import_kvarh: CounterKwh | None = None
    export_kvarh: CounterKwh | None = None
    devices: tuple[DeviceState, ...] = ()
    read_at: WallTime | None = None
    is_incomplete: bool = False

    @property
    def net_kwh(self) -> float | None:
        """Import less export since the meter was made [kWh]."""
        return difference(self.import_kwh, self.export_kwh)

    @property
    def net_kvarh(self) -> float | None:
        """Reactive import less export since the meter was made [kvarh]."""
        return difference(self.import_kvarh, self.export_kvarh)


def reading_of(
    prosumer: LiveProsumer,
    meter: MeterValues | None,
    quality: Quality,
    read_at: float | None,
    devices: tuple[DeviceState, ...],
    *,
    is_incomplete: bool = False,
) -> Reading:
    """Reading of a prosumer from what counts of its meter, ``None`` where it is missing."""
    if meter is None:
        return Reading(
            prosumer=prosumer.id,
            quality=quality,
            devices=devices,
            read_at=read_at,
            is_incomplete=is_incomplete,
        )
    v_pu = sum(meter.v_v) / len(meter.v_v) / prosumer.nominal_v if meter.v_v else None
    return Reading(
        prosumer=prosumer.id,
        quality=quality,
        p_kw=meter.p_kw,
        q_kvar=meter.q_kvar,
        v_pu=v_pu,
        v_v=meter.v_v,
        import_kwh=meter.import_kwh,
        export_kwh=meter.export_kwh,
        import_kvarh=meter.import_kvarh,
        export_kvarh=meter.export_kvarh,
        devices=devices,
        read_at=read_at,
        is_incomplete=is_incomplete,
    )


def state_of(
    actuator: Actuator,
    device: CommandedDevice,
    values: InverterValues | None,
    quality: Quality,
    read_at: float | None,
) -> DeviceState:
    """State of a device from what counts of it; its range is kept within the limits of its set-points."""
    values = values or InverterValues(None, None, None)
    limits = actuator.limits
    return DeviceState(
        device=device,
        quality=quality,
        p_kw=values.p_kw,
        min_kw=None if values.min_kw is None else max(values.min_kw, limits.min_kw),
        max_kw=None if values.max_kw is None else max(min(values.max_kw, limits.max_kw), limits.min_kw),
        soc=values.soc,
        obeys=limits.armed and not actuator.stopped and not actuator.delivery.budget.is_spent,
        writes=actuator.delivery.budget.used if limits.real else None,
        needs_kwh=values.needs_kwh,
        left_s=values.left_s,
        heat=values.heat,
        read_at=read_at,
    )


class Outcome(msgspec.Struct, frozen=True):
    """Whether all registers of a command read back as written, and what went wrong where not.

    ``failed`` is what did of the devices that may be commanded. Others, which are only observed or were
    stopped, are barred: nothing was tried there, and ``detail`` names them, too.
    """

    ok: bool
    detail: str = ""
    failed: str = ""

    @property
    def barred(self) -> bool:
        """Whether nothing failed but what may not be commanded."""
        return not self.ok and not self.failed


def difference(counter: float | None, other: float | None) -> float | None:
    """Difference of two counters, ``None`` where one is missing."""
    return None if counter is None or other is None else counter - other
