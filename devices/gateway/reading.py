"""What a gateway gives: readings of a prosumer's devices, and outcomes of commands."""

import msgspec

from broker.messages import DeviceState, Quality


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What one poll tells about a prosumer; ``None`` where it is missing, never 0.

    Power and counters are positive on import; ``v_pu`` is the mean over the connected phases, ``v_v``
    their voltages to neutral. Counters of a held reading are the last good ones. ``read_at`` says when the
    meter was last read [s since epoch].
    """

    prosumer: str
    quality: Quality
    p_kw: float | None = None
    q_kvar: float | None = None
    v_pu: float | None = None
    v_v: tuple[float, ...] = ()
    import_kwh: float | None = None
    export_kwh: float | None = None
    import_kvarh: float | None = None
    export_kvarh: float | None = None
    devices: tuple[DeviceState, ...] = ()
    read_at: float | None = None

    @property
    def net_kwh(self) -> float | None:
        """Import less export since the meter was made [kWh]."""
        return less(self.import_kwh, self.export_kwh)

    @property
    def net_kvarh(self) -> float | None:
        """Reactive import less export since the meter was made [kvarh]."""
        return less(self.import_kvarh, self.export_kvarh)


class Outcome(msgspec.Struct, frozen=True):
    """Whether all registers of a command read back as written, and what went wrong where not.

    ``barred`` says that nothing was tried, because the devices are only observed, or were stopped.
    """

    ok: bool
    detail: str = ""
    barred: bool = False


def less(counter: float | None, other: float | None) -> float | None:
    """Difference of two counters, ``None`` where one is missing."""
    return None if counter is None or other is None else counter - other
