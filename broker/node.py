"""A participant on the bus: numbers what it sends, counts what it receives, follows the clock.

What comes in goes through the door (`broker.door`) before any handler sees it. Services are written on top
of a ``Node``: handlers take messages in, ``steps`` hands out the clock's steps one after the other, a
``Collector`` waits until everyone expected has spoken or the gate closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterable, Mapping
from typing import Any, TypeVar

from broker import messages
from broker.client.bus import Bus, Received, Will
from broker.collector import Collector, Late
from broker.door.admission import Admitted, Door, Refused
from broker.door.bounds import Bounds
from broker.door.quarantine import Quarantine
from broker.errors import BrokerError, BusClosed
from broker.handlers import KNOWN_TOPICS, Handler, Handlers
from broker.messages import Availability, Done, Message, Rejected, Repeat, Step, StepName, Traffic
from broker.reports import Counts, Flags, Refusals, shortened
from broker.signing import CommandKey
from broker.topics import Topics

UNDER_WAY = 24
"""Publishes of one batch that wait for their confirmation at once."""

PAUSE_S = 0.1
"""Before a service contradicts who says that it is offline: once, however often that is said [s]."""

M = TypeVar("M", bound=Message)


def offline_will(run: str, name: str) -> Will:
    """Last will of service ``name``: the broker says for it that it is offline."""
    gone = Availability(run=run, tick=-1, sender=name, seq=0, online=False)
    return Will(Topics(run).availability(name), messages.encode(gone))


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
    ) -> None:
        self.world = world
        self.bus = bus
        self.name = name
        self.run = run
        self.topics = Topics(run)
        self.quarantine = quarantine or Quarantine()
        self.extra_traffic: Callable[[], dict[str, int]] = dict
        self.on_publish: Callable[[Message], None] | None = None
        self._counts = Counts()
        self._next_seq: dict[str, int] = defaultdict(int)
        bounds = bounds or Bounds()
        self._commands = commands
        self._door = Door(run, bounds, commands)
        self._handlers = Handlers()
        self._steps: asyncio.Queue[Step] = asyncio.Queue()
        self._flags = Flags(bounds.most_bytes("batch") // 2)
        self._refusals = Refusals()
        self._announcing: set[asyncio.Future[None]] = set()
        self.instance = secrets.token_hex(4)
        """A word of this process, by which others see that the service was started anew."""
        self.believe: Callable[[Step], bool] = lambda _: True
        """Whether a step of a new epoch is true; who sees that later calls ``go_back`` by itself."""
        self.on_back: list[Callable[[], None]] = []
        """Called when a lost connection is back."""
        self._heard: tuple[int, StepName] | None = None
        self._refused: set[str] = set()
        self._sending: set[asyncio.Task[None]] = set()
        self._sent: dict[str, tuple[int, bytes]] = {}
        self._reported: tuple[int, StepName] | None = None
        self._collectors: list[Collector[Any]] = []
        self._work: asyncio.Task[None] | None = None
        self.on(self.topics.step, self._follow_clock)
        self.on(self.topics.availability(name), self._contradict)
        self.on(self.topics.repeat("+"), self._send_again)

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
        self.flag(f"{self.name} lost the broker and came back")
        self._door.came_back()
        self._say_online(0.0)
        for tell in self.on_back:
            tell()

    def _contradict(self, availability: Availability) -> None:
        """Whoever says otherwise of this service is wrong, as a last will is that comes too late."""
        if not availability.online or availability.world != self.world:
            self.flag(f"{self.name} was said to be offline or in another world, and is not")
            self._say_online(PAUSE_S)
        elif availability.instance != self.instance:
            self.flag(f"another process says that it is {self.name}, which goes on")
            self._say_online(PAUSE_S)

    def _say_online(self, pause_s: float) -> None:
        """Say it after a pause, once for all who ask for it until then."""
        if not self._announcing:
            self._announcing.add(task := asyncio.ensure_future(self._announce(pause_s)))
            task.add_done_callback(self._announcing.discard)

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
            self.ask_again(tick, [topics[key] for key in keys], question)

        made: Collector[Any] = Collector(topics, ask)
        self._collectors.append(made)
        return made

    async def open(self) -> None:
        """Subscribe to what the handlers want and say that this service is online."""
        await self.bus.subscribe(*self._handlers.subscriptions)
        await self._announce()

    async def _announce(self, pause_s: float = 0.0) -> None:
        await asyncio.sleep(pause_s)
        topic = self.topics.availability(self.name)
        await self.publish(topic, Availability, -1, online=True, world=self.world, instance=self.instance)

    async def publish(
        self,
        topic: str,
        kind: type[Message],
        tick: int,
        /,
        **body: Any,
    ) -> None:
        """Send one message of ``kind`` with its header filled in."""
        await self.publish_message(topic, self.stamp(topic, kind, tick, **body))

    async def publish_message(self, topic: str, message: Message) -> None:
        """Send a message that ``stamp`` made, as its declaration says."""
        self._counts.sent += 1
        if self.on_publish is not None:
            self.on_publish(message)
        declared = messages.declaration_of(type(message))
        payload = messages.encode(message)
        if not declared.always:
            self._sent[topic] = message.tick, payload
        await self.bus.publish(topic, payload, qos=declared.qos, retain=declared.retained)

    async def publish_all(self, outgoing: Iterable[tuple[str, Message]]) -> None:
        """Send many stamped messages with several under way at once."""
        waiting = iter(outgoing)

        async def work() -> None:
            for topic, message in waiting:
                await self.publish_message(topic, message)

        await asyncio.gather(*(work() for _ in range(UNDER_WAY)))

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
        await self.publish(
            self.topics.done(self.name),
            Done,
            tick,
            step=step,
            flags=self._flags.take(),
            traffic=self.traffic(),
            snapshot=snapshot,
        )
        self._reported = tick, step

    def flag(self, text: str) -> None:
        """Remember something that went wrong; it travels with the next ``done``."""
        self._flags.add(text)

    def traffic(self) -> Traffic:
        """Counts since the start."""
        return Traffic(**vars(self._counts), **self.extra_traffic())

    async def refuse(self, topic: str, reason: str) -> None:
        """Count a refused message and publish why, unless there are very many."""
        self._counts.rejected += 1
        if len(self._refused) < KNOWN_TOPICS:
            self._refused.add(topic)
        if self._refusals.is_reported(self.tick):
            self.flag(f"{self.name} refused a message on {topic}: {reason}")
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

    async def steps(self) -> AsyncIterator[Step]:
        """Steps in the clock's order, until the run ends."""
        while True:
            step = await self._steps.get()
            if step.step == "end":
                return
            yield step

    async def pump(self) -> None:
        """Take messages off the bus until it closes."""
        async for received in self.bus.messages():
            await self._take(received)

    async def _take(self, received: Received) -> None:
        handlers = self._handlers.of(received.topic)
        # What a broker kept of this service is older than this service.
        if not handlers or (received.retained and received.topic == self.topics.availability(self.name)):
            return
        self._counts.received += 1
        try:
            admitted = self._door.admit(received)
        except Refused as refused:
            await self.refuse(received.topic, str(refused))
            return
        if admitted.duplicates and received.topic == self.topics.step:
            self._report_again()
            return
        self._count(admitted)
        if admitted.message is None:
            return
        for handler in handlers:
            await self._handle(handler, admitted.message, received)

    def _count(self, admitted: Admitted) -> None:
        self._counts.gaps += admitted.gaps
        self._counts.duplicates += admitted.duplicates
        self._counts.late += admitted.late
        for flag in admitted.flags:
            self.flag(flag)

    async def _handle(self, handler: Handler, message: Message, received: Received) -> None:
        """Hand a message to a handler; whatever it makes of it, the service goes on."""
        try:
            result = handler(message)
            if result is not None:
                await result
        except Late as late:
            self._counts.late += 1
            self.flag(f"{late} on {received.topic}")
        except ValueError as error:
            await self.refuse(received.topic, str(error))
        except BrokerError:
            # No service works without a bus; the message is not to blame.
            raise
        except Exception as error:  # noqa: BLE001 - one message must not end a service
            self._counts.quarantined += 1
            self.quarantine.keep(self.name, self.tick, received.topic, received.payload, error)
            self.flag(f"{self.name} failed on a message on {received.topic}: {type(error).__name__}: {error}")

    def _follow_clock(self, step: Step) -> None:
        if step.epoch > self.epoch:
            if self.believe(step):
                self.go_back(step)
            return
        if step.tick > self.tick:
            self._refused.clear()
        self._door.tick = max(self.tick, step.tick)
        self._heard = step.tick, step.step
        self._steps.put_nowait(step)

    def go_back(self, step: Step) -> None:
        """Drop what is under way and everything that was heard, and begin with a step of a new epoch."""
        self._door.begin_epoch(step)
        while not self._steps.empty():
            self._steps.get_nowait()
        for each in self._collectors:
            each.begin_anew()
        self._sent.clear()
        self._reported = None
        if self._work is not None:
            self._work.cancel()
        self._heard = step.tick, step.step
        self._steps.put_nowait(step)

    async def work_on(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work of a step; it is dropped where the clock goes back meanwhile."""
        self._work = asyncio.create_task(work, name=f"{self.name} step")
        try:
            await self._work
        except asyncio.CancelledError:
            mine = asyncio.current_task()
            if not self._work.cancelled() or (mine is not None and mine.cancelling()):
                raise
        finally:
            self._work.cancel()
            self._work = None

    def ask_again(self, tick: int, topics: list[str], question: str = "") -> None:
        """Ask for messages of a tick that may be lost, and ask the question again that they answer."""
        # What was refused would be refused again.
        if lost := [str(topic) for topic in topics if topic not in self._refused]:
            self._start(self._ask_again(tick, lost, question))

    async def _ask_again(self, tick: int, topics: list[str], question: str) -> None:
        if question in self._sent:
            self._counts.repeated += 1
            await self.bus.publish(question, self._sent[question][1])
        mine = self.topics.repeat(self.name)
        await self.bus.publish(mine, messages.encode(self.stamp(mine, Repeat, tick, topics=topics)))

    async def _send_again(self, asked: Repeat) -> None:
        """Send again what somebody waits for and this service has sent."""
        for topic in asked.topics:
            tick, payload = self._sent.get(topic, (-1, b""))
            if tick == asked.tick:
                self._counts.repeated += 1
                await self.bus.publish(topic, payload)

    def _report_again(self) -> None:
        """The clock opens a step again because it misses a report: give it once more."""
        if self._reported is not None and self._reported == self._heard:
            topic = self.topics.done(self.name)
            self._counts.repeated += 1
            self._start(self.bus.publish(topic, self._sent[topic][1]))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        """Send something beside what is under way; a bus that is closed meanwhile has nobody to hear it."""
        self._sending.add(task := asyncio.create_task(_unless_closed(work)))
        task.add_done_callback(self._sending.discard)

    def close(self) -> None:
        """Drop what waits to be said."""
        for task in (*self._announcing, *self._sending):
            task.cancel()


async def _unless_closed(work: Coroutine[Any, Any, None]) -> None:
    with contextlib.suppress(BusClosed):
        await work
