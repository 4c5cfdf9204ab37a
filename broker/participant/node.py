"""A participant on the bus: numbers what it sends, counts what it receives, follows the clock.

What comes in goes through the door (`broker.door`) before any handler sees it. Services are written on top
of a ``Node``: handlers take messages in, ``steps`` hands out the clock's steps one after the other, a
``Collector`` waits until everyone expected has spoken or the gate closes.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterable, Mapping
from typing import Any, TypeVar

from broker import messages
from broker.client.bundles import bundled
from broker.client.bus import Bus, Received
from broker.collector import Collector
from broker.door.admission import Door
from broker.door.bounds import Bounds
from broker.door.decoded import Decoded
from broker.door.quarantine import Quarantine
from broker.door.refusal import Refused
from broker.messages import Availability, Done, Message, Rejected, Repeat, Step, StepName, Traffic
from broker.participant.availability import OwnAvailability
from broker.participant.clocks import clocks_apart
from broker.participant.delivery import Delivery
from broker.participant.handlers import Handler, Handlers
from broker.participant.repeats import Repeats
from broker.participant.reports import Counts, Flags, Refusals, shortened
from broker.participant.sending import send_all
from broker.participant.steps import Steps
from broker.signing import CommandKey
from broker.topics import Topics

log = logging.getLogger(__name__)

M = TypeVar("M", bound=Message)


class Node:
    """One named participant of run ``run`` on ``bus``.

    Parameters
    ----------
    world
        Digest of its scenario.
    bounds
        What incoming messages are held against; nothing is known of the run without.
    quarantine
        Where messages are kept that a handler failed on.
    commands
        Key of the run's commands: those that it sends are signed, and others' are checked.
    bundle_from
        From so many messages on that are sent at once they go in bundles; 0 for never.
    decoded
        What other services of this process have let in, which go by the same bounds.
    title
        Its name for people; without one its name on the bus.
    """

    def __init__(
        self,
        bus: Bus,
        run: str,
        name: str,
        world: str = "",
        bounds: Bounds | None = None,
        quarantine: Quarantine | None = None,
        commands: CommandKey | None = None,
        bundle_from: int = 0,
        decoded: Decoded | None = None,
        title: str = "",
    ) -> None:
        self.world = world
        self.bundle_from = bundle_from
        self.bus = bus
        self.name = name
        self._title = title or name
        self.run = run
        self.topics = Topics(run)
        self.quarantine = quarantine or Quarantine()
        self.extra_traffic: Callable[[], dict[str, int]] = dict
        self.on_publish: Callable[[Message], None] | None = None
        self._counts = Counts()
        self._next_seq: dict[str, int] = defaultdict(int)
        self.bounds = bounds = bounds or Bounds()
        self._commands = commands
        self._door = Door(run, bounds, commands, decoded)
        self._handlers = Handlers()
        self._delivery = Delivery(
            name, self._door, self.quarantine, self._counts, flag=self.flag, refuse=self.refuse
        )
        self._steps = Steps(name)
        self._flags = Flags(bounds.most_bytes("batch") // 2)
        self._reported: tuple[StepName, int, int] = "restore", -1, -1
        self._refusals = Refusals()
        self.availability = OwnAvailability(name, world, publish=self._publish_online, flag=self.flag)
        repeat = self.topics.repeat(name)
        self._repeats = Repeats(
            bus, repeat, lambda tick, topics: self.stamp(repeat, Repeat, tick, topics=topics), self._counts
        )
        self.believe: Callable[[Step], bool] = lambda _: True
        """Whether a step of a new epoch is true; who sees that later calls ``go_back`` by itself."""
        self.on_back: list[Callable[[], None]] = []
        """Called when a lost connection is back."""
        self._collectors: list[Collector[Any]] = []
        self.on(self.topics.step, self._follow_clock)
        self.on(self.topics.availability(name), self.availability.contradict)
        self.on(self.topics.repeat("+"), self._repeats.send_again)

    @property
    def tick(self) -> int:
        """The clock's tick, as far as it is known; -1 before the first step."""
        return self._door.tick

    @tick.setter
    def tick(self, tick: int) -> None:
        self._door.tick = tick

    @property
    def epoch(self) -> int:
        """The clock's epoch, as far as it was heard."""
        return self._door.epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._door.epoch = epoch

    def reconnected(self) -> None:
        """Say online again after a lost connection; for a bus's ``on_reconnect``."""
        self.flag(f"{self._title} lost the broker and came back")
        self._door.came_back()
        self.availability.say_online(0.0)
        for tell in self.on_back:
            tell()

    def on(self, topic_filter: str, handler: Handler, *, through: str | None = None) -> None:
        """Call ``handler`` with each fresh, valid message on a topic that matches; before ``open``.

        A handler that raises ``ValueError`` refuses the message: it is counted and the reason published.

        ``through`` names a wider filter to subscribe to in place of ``topic_filter``: a broker may go through
        all subscriptions at every message, so many topics of one kind should come through one.
        """
        self._handlers.add(topic_filter, handler, through)

    def collector(self, topics: Mapping[str, str], question: str = "") -> Collector[Any]:
        """Wait for messages by key that come on given topics; what is missing is asked for again.

        Parameters
        ----------
        topics
            Topic of each key.
        question
            Topic of this service's own message that they answer, which is then sent again, too.
        """

        def ask(tick: int, keys: Collection[str]) -> None:
            if self._steps.is_ahead:
                return  # Those that it waits for are still at an earlier step.
            self._repeats.ask(tick, [topics[key] for key in keys], question)

        made: Collector[Any] = Collector(topics, ask)
        self._collectors.append(made)
        return made

    async def open(self) -> None:
        """Subscribe to what the handlers want and say that this service is online."""
        await self.bus.subscribe(*self._handlers.subscriptions)
        await self.availability.announce()

    async def _publish_online(self, world: str, instance: str) -> None:
        topic = self.topics.availability(self.name)
        await self.publish(topic, Availability, -1, online=True, world=world, instance=instance)

    async def publish(self, topic: str, kind: type[Message], tick: int, /, **body: Any) -> None:
        """Send one message of ``kind`` with its header filled in."""
        await self.publish_message(topic, self.stamp(topic, kind, tick, **body))

    async def publish_message(self, topic: str, message: Message) -> None:
        """Send a message that ``stamp`` made, as its declaration says."""
        declared = messages.declaration_of(type(message))
        payload = self._encoded(topic, message)
        await self.bus.publish(topic, payload, qos=declared.qos, retain=declared.retained)

    def _encoded(self, topic: str, message: Message) -> bytes:
        """Body of a message that is about to be sent; counted, and kept for whoever misses it."""
        self._counts.sent += 1
        if self.on_publish is not None:
            self.on_publish(message)
        payload = messages.encode(message)
        if not messages.declaration_of(type(message)).always:
            self._repeats.keep(topic, message.tick, payload)
        return payload

    async def publish_all(self, outgoing: Iterable[tuple[str, Message]], among: int = 0) -> None:
        """Send many stamped messages, several under way at once; where they are very many, in bundles.

        Their receivers listen to all neighbouring topics (``through`` of `on`), or they do not hear bundles.
        ``among`` is of how many they are, where not all are sent at once.
        """
        stamped = list(outgoing)
        if 0 < self.bundle_from <= max(among, len(stamped)):
            encoded = ((topic, self._encoded(topic, message)) for topic, message in stamped)
            await send_all(bundled(encoded), self.bus.publish)
        else:
            await send_all(stamped, self.publish_message)

    def stamp(self, topic: str, kind: type[M], tick: int, /, **body: Any) -> M:
        """Message with run, tick, sender and its number in this topic's stream; a command is signed."""
        seq = self._next_seq[topic]
        self._next_seq[topic] = seq + 1
        made = kind(run=self.run, tick=tick, sender=self.name, seq=seq, epoch=self.epoch, **body)
        return made if self._commands is None else self._commands.signed(topic, made)

    async def done(self, step: StepName, tick: int, snapshot: bytes = b"") -> None:
        """Report that this service's part of a step is over, with flags raised since the last report."""
        if rest := self._refusals.take_rest():
            self.flag(f"{self.name} refused {rest} more messages")
            await self._report_refusal("", f"{rest} more messages were refused", rest)
        topic = self.topics.done(self.name)
        await self.publish(
            topic,
            Done,
            tick,
            step=step,
            flags=self._flags.take(),
            traffic=self.traffic(),
            snapshot=snapshot,
        )
        self._repeats.note_report(topic, tick, step)
        self._reported = step, tick, self.epoch

    async def tell_flags(self) -> None:
        """Tell what is flagged at once, with the report of this interval's dispatch said once more.

        Before and after that the next report is near, and takes them along.
        """
        step, tick, epoch = self._reported
        if step == "dispatch" and (tick, epoch) == (self.tick, self.epoch) and self._flags:
            await self.publish(
                self.topics.done(self.name),
                Done,
                tick,
                step=step,
                flags=self._flags.take(),
                traffic=self.traffic(),
                at_once=True,
            )

    def flag(self, text: str, *, is_said: bool = False) -> None:
        """Remember something that went wrong; it travels with the next ``done``.

        While the broker is away nobody hears that: it is logged here as well, unless the user was told.
        """
        if self._flags.add(text) and not (is_said or self.bus.is_connected):
            log.warning("%s: %s", self._title, shortened(text))

    @property
    def has_flags(self) -> bool:
        """Whether the next ``done`` has something to tell."""
        return bool(self._flags)

    def take_flags(self) -> list[str]:
        """What the next ``done`` would tell, for who need not wait for it."""
        return self._flags.take()

    def traffic(self) -> Traffic:
        """Counts since the start."""
        return Traffic(**vars(self._counts), **self.extra_traffic())

    async def refuse(self, topic: str, reason: str) -> None:
        """Count a refused message and publish why, unless there are very many."""
        self._counts.rejected += 1
        self._repeats.note_refused(topic)
        if self._refusals.is_reported(self.tick):
            self.flag(f"{self._title} refused a message on {topic}: {reason}")
            await self._report_refusal(topic, reason)

    async def _report_refusal(self, topic: str, reason: str, count: int = 1) -> None:
        await self.publish(
            self.topics.rejected(self.name),
            Rejected,
            self.tick,
            topic=shortened(topic),
            reason=shortened(reason),
            count=count,
        )

    def go_with_clock(self) -> None:
        """Begin each step when the clock opens it, none ahead."""
        self._steps.goes_ahead = False

    def is_open(self, step: Step) -> bool:
        """Whether the clock has opened a step, into which a service may have gone by itself."""
        return self._steps.is_open(step)

    async def steps(self) -> AsyncIterator[Step]:
        """Steps in the clock's order, until the run ends."""
        async for step in self._steps.in_order():
            for each in self._collectors:
                each.keep_gates()
            yield step

    async def pump(self) -> None:
        """Take messages off the bus until it closes."""
        own = self.topics.availability(self.name)
        async for received in self.bus.messages():
            handlers = self._handlers.of(received.topic)
            # What a broker kept of this service is older than this service.
            if handlers and not (received.retained and received.topic == own):
                await self._take(received, handlers)

    async def _take(self, received: Received, handlers: list[Handler]) -> None:
        self._counts.received += 1
        try:
            admitted = self._door.admit(received)
        except Refused as refused:
            await self.refuse(received.topic, str(refused))
            return
        if admitted.duplicates and received.topic == self.topics.step:
            self._repeats.report_again(self._steps.heard)
            return
        await self._delivery.deliver(admitted, received, handlers)

    def _follow_clock(self, step: Step) -> None:
        if step.epoch > self.epoch:
            if self.believe(step):
                self.go_back(step)
            return
        if step.tick > self.tick:
            if told := clocks_apart(step, self._title):
                self.flag(told)
            self._repeats.begin_interval()
            for each in self._collectors:
                each.end_before(step.tick)
        self._door.tick = max(self.tick, step.tick)
        if (planned := self._steps.add(step)) is not None:
            for each in self._collectors:
                each.move_gates(planned.opened, planned.deadline, step.opened, step.deadline)

    def go_back(self, step: Step) -> None:
        """Drop what is under way and everything that was heard, and begin with a step of a new epoch."""
        self._door.begin_epoch(step)
        for each in self._collectors:
            each.begin_anew()
        self._repeats.begin_anew()
        self._steps.begin_anew(step)

    async def work_on(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work of a step; it is dropped where the clock goes back meanwhile."""
        await self._steps.work_on(work)

    def ask_again(self, tick: int, topics: list[str], question: str = "") -> None:
        """Ask for messages of a tick that may be lost, and ask the question again that they answer."""
        self._repeats.ask(tick, topics, question)

    def close(self) -> None:
        """Drop what waits to be said."""
        self.availability.close()
        self._repeats.close()
