"""What devices tell and are told, and what was metered."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from broker.messages.columns import Column, Index, unpack, unpack_index
from broker.messages.header import Message

Quality = Literal["good", "suspect", "held", "missing"]


class DeviceState(msgspec.Struct, frozen=True, kw_only=True):
    """One controllable device: measured power (+ generates) and what it can do in the next interval [kW].

    ``obeys`` is false where no set-point reaches it: it is only observed, or was stopped. ``read_at`` says
    when it was last read [s since epoch].
    """

    device: Literal["pv", "battery"]
    p_kw: float | None
    min_kw: float | None
    max_kw: float | None
    soc: float | None = None
    quality: Quality = "good"
    obeys: bool = True
    read_at: float | None = None


class Telemetry(Message, frozen=True, tag="telemetry"):
    """Readings at one live prosumer's connection point; power and energy are positive on import.

    ``interval_kwh`` and ``interval_kvarh`` are net import since the previous settlement reading, only
    at phase ``meter``. ``read_at`` says when the meter was last read [s since epoch], ``response_s`` how long
    after a set-point was asked for the meter showed it [s], ``checks`` which checks of plausibility failed.
    """

    phase: Literal["measure", "meter"]
    p_kw: float | None
    q_kvar: float | None
    v_pu: float | None
    import_kwh: float | None
    export_kwh: float | None
    quality: Quality
    interval_kwh: float | None = None
    interval_kvarh: float | None = None
    devices: list[DeviceState] = []
    read_at: float | None = None
    response_s: float | None = None
    checks: list[str] = []


class DeviceSetPoint(msgspec.Struct, frozen=True, kw_only=True):
    """Set-point of one device.

    ``pv``: the most it may generate [kW], ``None`` lifts the limit; ``battery``: power [kW], + discharges.
    """

    device: Literal["pv", "battery"]
    power_kw: float | None


class SetPoint(Message, frozen=True, tag="set-point"):
    """Set-points of a live prosumer's devices, valid for ``valid_s`` of simulated time from the dispatch."""

    valid_s: float
    devices: list[DeviceSetPoint]


class Acknowledgement(Message, frozen=True, tag="acknowledgement"):
    """What a gateway wrote and read back; ``ok`` only where every register read back as written.

    ``seconds`` is wall time from the set-point's arrival to the read-back.
    """

    ok: bool
    detail: str = ""
    seconds: float | None = None


class Stop(Message, frozen=True, tag="stop"):
    """Emergency stop: every device goes to its safe value and takes no set-point any more."""

    reason: str


class Stopped(Message, frozen=True, tag="stopped"):
    """What a gateway did on an emergency stop: devices that it commands, and one line for each failure.

    ``safe`` devices read back their safe value; ``observed`` ones are never written.
    """

    by: str
    reason: str
    devices: int
    safe: int
    observed: int
    failed: list[str]


class MeteredBatch(Message, frozen=True, tag="metered"):
    """Metered energy of the interval: net import [kWh] and reactive energy [kvarh] per prosumer."""

    prosumer: Index
    energy_kwh: Column
    reactive_kvarh: Column


def read_metered(
    batch: MeteredBatch, prosumer: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Energy [kWh] and reactive energy [kvarh] of the prosumers that a batch must report, ``(m,)`` each.

    Raises
    ------
    ValueError
        The batch reports others, or a value is missing or not finite.
    """
    if not np.array_equal(unpack_index(batch.prosumer), prosumer):
        raise ValueError(f"{batch.sender} must report its own prosumers, all and in order")
    return unpack(batch.energy_kwh, prosumer.size), unpack(batch.reactive_kvarh, prosumer.size)


class TruthBatch(Message, frozen=True, tag="truth"):
    """What really flowed at emulated prosumers: net import [kWh]; for the record, nobody acts on it."""

    prosumer: Index
    energy_kwh: Column
