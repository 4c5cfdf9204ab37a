"""How a run goes on: the clock's steps, who is there, what was refused."""

from __future__ import annotations

from typing import Literal

import msgspec

from broker.messages.declaration import SERVICES, message
from broker.messages.header import Message

StepName = Literal["measure", "bid", "clear", "dispatch", "act", "meter", "settle", "end"]


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of one service since its start."""

    sent: int = 0
    received: int = 0
    gaps: int = 0
    duplicates: int = 0
    late: int = 0
    rejected: int = 0
    modbus_reads: int = 0
    modbus_writes: int = 0
    modbus_errors: int = 0
    set_points_limited: int = 0
    set_points_renewed: int = 0


@message("clock/step", sender="clock", receivers="every service")
class Step(Message, frozen=True, tag="step"):
    """The clock opens a step; ``opened`` and ``deadline`` are wall time [s since epoch].

    ``lag_s`` says how late the interval opened against its absolute deadline; 0 where nothing paces the run.
    ``pace`` is simulated seconds per wall second: 1 in real time, ``None`` where nothing paces the run.
    """

    step: StepName
    opened: float
    deadline: float
    interval_s: float
    lag_s: float = 0.0
    pace: float | None = None


@message("done/{service}", sender=SERVICES, receivers="clock, recorder", writer="service")
class Done(Message, frozen=True, tag="done"):
    """A service has finished its part of a step; ``flags`` say what went wrong in it."""

    step: StepName
    flags: list[str] = []
    traffic: Traffic = Traffic()


@message(
    "availability/{service}",
    sender=SERVICES,
    receivers="clock, recorder (auditor); the service itself",
    writer="service",
    retained=True,
)
class Availability(Message, frozen=True, tag="availability"):
    """Whether a service is on the bus, and a digest of the world that it has built for the run."""

    online: bool
    world: str = ""


@message("rejected/{service}", sender=SERVICES, receivers="recorder", writer="service")
class Rejected(Message, frozen=True, tag="rejected"):
    """A message that was refused: its topic and why."""

    topic: str
    reason: str
