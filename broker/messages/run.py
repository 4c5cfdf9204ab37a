"""How a run goes on: the clock's steps, who is there, what was refused."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import msgspec

from broker.messages.declaration import SERVICES, message
from broker.messages.fields import Count, NetKvar, NetKw, Opaque, Price, Pu, Seconds, Values, WallTime
from broker.messages.header import Command, Message

StepName = Literal["restore", "measure", "bid", "clear", "dispatch", "act", "meter", "settle", "end"]
STEP_ORDER: dict[StepName, int] = {step: place for place, step in enumerate(get_args(StepName))}


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of one service since its start."""

    sent: Count = 0
    received: Count = 0
    gaps: Count = 0
    duplicates: Count = 0
    late: Count = 0
    rejected: Count = 0
    repeated: Count = 0
    quarantined: Count = 0
    modbus_reads: Count = 0
    modbus_writes: Count = 0
    modbus_errors: Count = 0
    set_points_limited: Count = 0
    set_points_renewed: Count = 0
    budgets_spent: Count = 0
    devices_tripped: Count = 0
    devices_lost: Count = 0


class FeederEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that an operator lets happen to the feeder; fields mean what they mean in ``[[events]]``."""

    kind: str
    element: str = ""
    for_min: Annotated[float, Values("min")] = 0.0
    tap: Annotated[int, Values("tap")] = 0
    pu: Pu = 1.0
    lam: str = ""
    kw: NetKw = 0.0
    kvar: NetKvar = 0.0


class BoundaryValues(msgspec.Struct, frozen=True, kw_only=True):
    """What a co-simulation sets from outside for one interval, in place of what it set before.

    ``source_pu`` is the voltage of the source; ``load_kw`` and ``load_kvar`` are loads outside the market at
    each LAM, + draws, and empty where there are none. ``import_price`` and ``export_price`` are what the grid
    asks and pays at the feeder head; ``None`` leaves them to the scenario.
    """

    source_pu: Pu | None = None
    load_kw: Annotated[list[float], Values("net_kw", "lams", empty=True)] = []
    load_kvar: Annotated[list[float], Values("net_kvar", "lams", empty=True)] = []
    import_price: Price | None = None
    export_price: Price | None = None


class StepAhead(msgspec.Struct, frozen=True, kw_only=True):
    """A later step of an interval, and the wall time that it has [s since epoch]."""

    step: StepName
    opened: WallTime
    deadline: WallTime

    @property
    def order(self) -> int:
        """Place of the step in its interval."""
        return STEP_ORDER[self.step]


@message("clock/step", sender="clock", receivers=SERVICES)
class Step(Message, frozen=True, tag="step"):
    """The clock opens a step; ``opened`` and ``deadline`` are wall time [s since epoch].

    ``lag_s`` says how late the interval opened against its absolute deadline; 0 where nothing paces the run.
    ``pace`` is simulated seconds per wall second: 1 in real time, ``None`` where nothing paces the run.
    ``events`` are what operators let happen at the opening of the interval, ``boundary`` what a co-simulation
    sets for it; each step of it tells them.
    ``ahead`` are the steps behind it into which a service goes on by itself, as soon as others have said what
    it needs there; the clock still opens each of them when the one before is over.
    ``proof`` is the value of the clock's hash chain at the step's place: hashed by SHA-256 once for each
    place between, it is the proof of an earlier step. So nobody but the clock whose steps a service has
    followed can lead it on, or end the run.
    """

    step: StepName
    opened: WallTime
    deadline: WallTime
    interval_s: Seconds
    lag_s: Seconds = 0.0
    pace: Seconds | None = None
    events: list[FeederEvent] = []
    boundary: BoundaryValues | None = None
    ahead: list[StepAhead] = []
    proof: str = ""

    @property
    def order(self) -> int:
        """Place of the step in its interval."""
        return STEP_ORDER[self.step]

    @property
    def place(self) -> tuple[int, int, int]:
        """Where the step stands in the order of the run."""
        return self.epoch, self.tick, self.order


@message("lead/{sender}", sender="operator", receivers="clock", writer="sender", always=True)
class Lead(Command, frozen=True, tag="lead"):
    """How an operator leads a run: ``pause`` before the next interval, ``step`` one, ``go on``, or as below.

    ``pace`` is simulated seconds per wall second from the next interval on; ``None`` is as fast as it goes.
    ``event`` happens to the feeder at the opening of the next interval.
    """

    action: Literal["pause", "step", "go on", "pace", "event"]
    pace: Seconds | None = None
    event: FeederEvent | None = None


@message("pacing", sender="clock", receivers="observer", retained=True, always=True)
class PacingState(Message, frozen=True, tag="pacing"):
    """Whether the run is paused, its pace, and why nobody may lead it: an empty ``refusal`` where one may."""

    is_paused: bool
    pace: Seconds | None
    refusal: str = ""


@message(
    "done/{service}",
    sender=SERVICES,
    receivers=("clock", "recorder", "device host", "gateway"),
    writer="service",
    size="batch",
)
class Done(Message, frozen=True, tag="done"):
    """A service has finished its part of a step; ``flags`` say what went wrong in it.

    Emulated devices let the interval pass once the gateway has, and it reads them once they have.
    At the end of an interval ``snapshot`` holds what the service remembers (`broker.snapshot`).
    With ``at_once`` a report is said once more, for flags that must not wait for the next one.
    """

    step: StepName
    flags: list[str] = []
    traffic: Traffic = Traffic()
    snapshot: Annotated[bytes, Opaque()] = b""
    at_once: bool = False


@message("snapshot/{service}", sender="recorder", receivers=SERVICES, reader="service", size="batch")
class Snapshot(Message, frozen=True, tag="snapshot"):
    """What a service remembered at the end of the last settled interval; empty: go back to the start."""

    content: Annotated[bytes, Opaque()]


@message("repeat/{service}", sender=SERVICES, receivers=SERVICES, writer="service", size="batch")
class Repeat(Message, frozen=True, tag="repeat"):
    """A service waits for messages of its tick on ``topics``: who has sent them sends them again."""

    topics: list[str]


@message("alive/{service}", sender=SERVICES, receivers="clock", writer="service", qos=0, always=True)
class Alive(Message, frozen=True, tag="alive"):
    """A service is at work, whatever it waits for; said twice a second.

    ``world`` and ``instance`` are those of its availability, of which it makes good a message that was lost.
    """

    world: str = ""
    instance: str = ""


@message(
    "availability/{service}",
    sender=SERVICES,
    receivers=SERVICES,
    writer="service",
    retained=True,
    always=True,
)
class Availability(Message, frozen=True, tag="availability"):
    """Whether a service is on the bus, and a digest of the world that it has built for the run.

    ``instance`` is a word of its process: another one means that it was started anew.
    """

    online: bool
    world: str = ""
    instance: str = ""


@message("rejected/{service}", sender=SERVICES, receivers="recorder", writer="service", always=True)
class Rejected(Message, frozen=True, tag="rejected"):
    """A message that was refused: its topic and why; of very many only the ``count`` is given."""

    topic: str
    reason: str
    count: Count = 1
