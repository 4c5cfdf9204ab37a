"""What a run says while it goes on: incidents as lines, and whom it waits for and how long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from functools import partial

from broker.messages import PHASES, Availability, Done, Message, Step, StepName
from broker.participant.node import Node
from broker.pulse import AwakeClock
from cosim.control.names import BROKER
from cosim.observation.incidents import Incident, Incidents
from cosim.world.names import spoken

GATHER_S = 0.5
"""What is said within this time is told together, so that a hundred silent devices are one line [s]."""

_FIRST_WAIT_S = 5.0
_LOOK_EVERY_S = 1.0


class Narrator:
    """Tells of a run in lines, from what a service of it hears anyway.

    Parameters
    ----------
    node
        A service that is not open yet, and hears reports, readings and what happens to the feeder.
    live
        Names of the live prosumers.
    required
        Services whose report ends each step.
    tell
        Called with each incident, a moment after it was first said.
    say
        Called with whom the run waits for.
    """

    def __init__(
        self,
        node: Node,
        live: Collection[str],
        required: Mapping[StepName, Collection[str]],
        tell: Callable[[Incident], None],
        say: Callable[[str], None],
    ) -> None:
        self._bus = node.bus
        self._required = required
        self._tell = tell
        self._say = say
        self._incidents = Incidents(self._gather)
        self._waiting_to_be_told: list[Incident] = []
        self._timer: asyncio.TimerHandle | None = None
        self._online: set[str] = set()
        self._reported: set[tuple[StepName, str]] = set()
        self._open: Step | None = None
        self._opened_s = 0.0
        self._awake = AwakeClock(_LOOK_EVERY_S)
        self._next_s = _FIRST_WAIT_S
        topics = node.topics
        for topic in (
            topics.step,
            topics.done("+"),
            topics.availability("+"),
            topics.rejected("+"),
            topics.stopped("+"),
            topics.feeder_state,
            topics.settled,
        ):
            node.on(topic, self._take)
        for name in live:
            take = partial(self._incidents.take, party=name)
            for phase in PHASES:
                node.on(topics.telemetry(phase, name), take, through=topics.telemetry("+", "+"))

    async def run(self) -> None:
        """Look whom the run waits for, until cancelled; then tell what is left."""
        try:
            while True:
                await asyncio.sleep(_LOOK_EVERY_S)
                self._awake.look()
                self._look(self._awake.now_s)
        finally:
            self._flush()

    def _take(self, message: Message) -> None:
        self._incidents.take(message, "")
        if isinstance(message, Step):
            self._begin(message, self._awake.now_s)
        elif isinstance(message, Done):
            if self._open is not None and message.tick == self._open.tick:
                self._reported.add((message.step, message.sender))
        elif isinstance(message, Availability):
            (self._online.add if message.online else self._online.discard)(message.sender)

    def _begin(self, step: Step, now_s: float) -> None:
        if self._open is None or (step.epoch, step.tick, step.step) != (
            self._open.epoch,
            self._open.tick,
            self._open.step,
        ):
            # Of the present interval some steps may be done before the clock opens them.
            if self._open is None or (step.epoch, step.tick) != (self._open.epoch, self._open.tick):
                self._reported.clear()
            self._open, self._opened_s, self._next_s = step, now_s, _FIRST_WAIT_S

    def _look(self, now_s: float) -> None:
        """Say whom the open step waits for, at first after a while, then ever more rarely."""
        if self._open is None or now_s - self._opened_s < self._next_s:
            return
        step = self._open.step
        waits_for = {name for name in self._required.get(step, ()) if (step, name) not in self._reported}
        if waits_for:
            absent = [
                spoken(name) + ("" if name in self._online else " (offline)") for name in sorted(waits_for)
            ]
            # Nobody can be heard without it.
            whom = ", ".join(absent) if self._bus.is_connected else BROKER
            seconds = now_s - self._opened_s
            self._say(f"step {step} has waited {seconds:.0f} s for {whom}")
        self._next_s *= 3.0

    def _gather(self, incident: Incident) -> None:
        self._waiting_to_be_told.append(incident)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER_S, self._flush)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        told, self._waiting_to_be_told = self._waiting_to_be_told, []
        for incident in told:
            self._tell(incident)
