"""Readings of devices and commands to them, and what was metered."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import msgspec

from broker.messages.columns import Column, Index
from broker.messages.declaration import message
from broker.messages.fields import (
    Count,
    CounterKwh,
    Kvar,
    Kw,
    Pu,
    Seconds,
    Soc,
    StockKwh,
    Values,
    WaitSeconds,
    WallTime,
)
from broker.messages.header import Command, Message

Quality = Literal["good", "suspect", "held", "missing"]

Phase = Literal["measure", "meter"]
PHASES: tuple[Phase, ...] = get_args(Phase)
"""When a live prosumer's devices are read: before bidding, and at the end of the interval."""

CommandedDevice = Literal["pv", "battery", "ev", "load"]


class HeatStore(msgspec.Struct, frozen=True, kw_only=True):
    """What a heated room or tank can hold, in terms of the energy that its heat pump draws for it.

    From the lower end of its band to the upper one [kWh]; what it loses, and the most that is drawn [kW].
    """

    capacity_kwh: StockKwh
    loss_kw: Kw
    rating_kw: Kw


class DeviceState(msgspec.Struct, frozen=True, kw_only=True):
    """One controllable device: measured power (+ generates) and what it can do in the next interval [kW].

    ``obeys`` is false where no set-point reaches it: it is only observed, was stopped, or has had its writes
    of the day. ``read_at`` says when it was last read [s since epoch], ``writes`` how often hardware was
    written to since its day of writes began. A vehicle at its charger, or work that can wait, still wants
    ``needs_kwh`` within ``left_s`` seconds; ``max_kw`` below 0 is what it has to draw now, to get that in
    time. Of what ``heat`` can be held there is ``soc``, 0 below its band and 1 above.
    """

    device: CommandedDevice
    p_kw: Kw | None
    min_kw: Kw | None
    max_kw: Kw | None
    soc: Soc | None = None
    quality: Quality = "good"
    obeys: bool = True
    read_at: WallTime | None = None
    writes: Count | None = None
    needs_kwh: StockKwh | None = None
    left_s: WaitSeconds | None = None
    heat: HeatStore | None = None


@message(
    "telemetry/{phase}/{prosumer}",
    sender="gateway",
    receivers=("live host", "LAM host", "feeder", "recorder"),
)
class Telemetry(Message, frozen=True, tag="telemetry"):
    """Readings at one live prosumer's connection point; power and energy are positive on import.

    ``interval_kwh`` and ``interval_kvarh`` are net import since the previous settlement reading, only
    at phase ``meter``. ``read_at`` says when the meter was last read [s since epoch], ``response_s`` how long
    after a set-point was asked for the meter showed it [s], ``checks`` which checks of plausibility failed.
    """

    phase: Phase
    p_kw: Kw | None
    q_kvar: Kvar | None
    v_pu: Pu | None
    import_kwh: CounterKwh | None
    export_kwh: CounterKwh | None
    quality: Quality
    interval_kwh: CounterKwh | None = None
    interval_kvarh: CounterKwh | None = None
    devices: list[DeviceState] = []
    read_at: WallTime | None = None
    response_s: Seconds | None = None
    checks: list[str] = []


class DeviceSetPoint(msgspec.Struct, frozen=True, kw_only=True):
    """Set-point of one device.

    ``pv``: the most it may generate [kW], ``None`` lifts the limit; ``battery``: power [kW], + discharges;
    ``ev``, ``load``: the most that it may draw, as a power of 0 or less [kW].
    """

    device: CommandedDevice
    power_kw: Kw | None


@message("set/{prosumer}", sender="live host", receivers=("gateway", "recorder"))
class SetPoint(Command, frozen=True, tag="set-point"):
    """Set-points of a live prosumer's devices, valid for ``valid_s`` of simulated time from the dispatch."""

    valid_s: Seconds
    devices: list[DeviceSetPoint]


@message("ack/{prosumer}", sender="gateway", receivers="recorder")
class Acknowledgement(Message, frozen=True, tag="acknowledgement"):
    """What a gateway wrote and read back; ``ok`` only where every register read back as written.

    ``seconds`` is wall time from the set-point's arrival to the read-back.
    """

    ok: bool
    detail: str = ""
    seconds: Seconds | None = None


@message(
    "stop/{sender}",
    sender=("clock", "gateway", "operator"),
    receivers="gateway",
    writer="sender",
    retained=True,
    always=True,
)
class Stop(Command, frozen=True, tag="stop"):
    """Emergency stop: every device goes to its safe value and takes no set-point any more."""

    reason: str


class DeviceStop(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one device at an emergency stop; ``detail`` says why it is not safe yet."""

    prosumer: str
    device: CommandedDevice
    state: Literal["safe", "observed", "not yet"]
    detail: str = ""


@message(
    "stopped/{gateway}",
    sender="gateway",
    receivers=("recorder", "operator"),
    writer="gateway",
    size="batch",
    always=True,
)
class Stopped(Message, frozen=True, tag="stopped"):
    """What a gateway did on an emergency stop: devices that it commands, and one line for each failure.

    ``safe`` devices read back their safe value; ``observed`` ones are never written. ``states`` has a line
    for each piece of hardware and for each device that is not safe yet, ``each`` tells of every device. A
    message with ``is_update`` follows whenever that changes, and where a stop is asked for again.
    """

    by: str
    reason: str
    devices: Count
    safe: Count
    observed: Count
    failed: list[str]
    states: list[str] = []
    is_update: bool = False
    each: list[DeviceStop] = []


@message(
    "metered/{host}",
    sender="population host",
    receivers=("feeder", "LAM host", "recorder"),
    writer="host",
    size="batch",
)
class MeteredBatch(Message, frozen=True, tag="metered"):
    """Metered energy of the interval: net import [kWh] and reactive energy [kvarh] per prosumer."""

    prosumer: Annotated[Index, Values(size="prosumer", of="prosumer")]
    energy_kwh: Annotated[Column, Values("kwh", "prosumer")]
    reactive_kvarh: Annotated[Column, Values("kvarh", "prosumer")]


@message("truth/{host}", sender="device host", receivers="recorder", writer="host", size="batch")
class TruthBatch(Message, frozen=True, tag="truth"):
    """What really flowed at emulated prosumers: net import [kWh]; for the record, nobody acts on it."""

    prosumer: Annotated[Index, Values(size="prosumer", of="prosumer")]
    energy_kwh: Annotated[Column, Values("kwh", "prosumer")]
