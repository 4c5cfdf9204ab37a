"""A participant on the bus: numbers what it sends, counts and checks what it receives, follows the clock.

Services are written on top of a ``Node``: handlers take messages in, ``steps`` hands out the clock's
steps one after the other, a ``Collector`` waits until everyone expected has spoken or the gate closes.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from broker import messages
from broker.client.bus import Bus, Received, Will
from broker.client.filters import matches
from broker.collector import Late
from broker.messages import Availability, Done, Message, Rejected, Step, StepName, Stop, Traffic
from broker.routes import kind_on
from broker.topics import Topics

UNDER_WAY = 24
"""Publishes of one batch that wait for their confirmation at once."""

M = TypeVar("M", bound=Message)
Handler = Callable[[Any], Awaitable[None] | None]


@dataclass
class _Stream:
    """Which numbers of one topic have been seen."""

    writer: str
    expected: int = 0
    tick: int = -1
    missing: set[int] = field(default_factory=set)


@dataclass
class _Counts:
    sent: int = 0
    received: int = 0
    gaps: int = 0
    duplicates: int = 0
    late: int = 0
    rejected: int = 0


def offline_will(run: str, name: str) -> Will:
    """Last will of service ``name``: the broker says for it that it is offline."""
    gone = Availability(run=run, tick=-1, sender=name, seq=0, online=False)
    return Will(Topics(run).availability(name), messages.encode(gone))


class Node:
    """One named participant of run ``run`` on ``bus``; ``world`` is a digest of its scenario."""

    def __init__(self, bus: Bus, run: str, name: str, world: str = "") -> None:
        self.world = world
        self.bus = bus
        self.name = name
        self.run = run
        self.topics = Topics(run)
        self.tick = -1
        self.extra_traffic: Callable[[], dict[str, int]] = dict
        self._counts = _Counts()
        self._next_seq: dict[str, int] = defaultdict(int)
        self._streams: dict[str, _Stream] = {}
        self._exact: dict[str, list[Handler]] = defaultdict(list)
        self._wildcards: list[tuple[str, Handler]] = []
        self._subscribed: dict[str, None] = {}
        self._routes: dict[str, tuple[list[Handler], type[Message] | None]] = {}
        self._steps: asyncio.Queue[Step] = asyncio.Queue()
        self._flags: list[str] = []
        self._announcing: set[asyncio.Future[None]] = set()
        self.on(self.topics.step, self._follow_clock)

    def reconnected(self) -> None:
        """Say online again after a lost connection; for a bus's ``on_reconnect``."""
        self.flag(f"{self.name} lost the broker and came back")
        task = asyncio.ensure_future(self._announce())
        self._announcing.add(task)
        task.add_done_callback(self._announcing.discard)

    def on(self, topic_filter: str, handler: Handler, *, through: str | None = None) -> None:
        """Call ``handler`` with each fresh, valid message on a topic that matches; before ``open``.

        A handler that raises ``ValueError`` refuses the message: it is counted and the reason published.

        ``through`` names a wider filter to subscribe to in place of ``topic_filter``: a broker may go through
        all subscriptions at every message, so many topics of one kind should come through one.
        """
        self._subscribed[topic_filter if through is None else through] = None
        if "+" in topic_filter or "#" in topic_filter:
            self._wildcards.append((topic_filter, handler))
        else:
            self._exact[topic_filter].append(handler)

    async def open(self) -> None:
        """Subscribe to what the handlers want and say that this service is online."""
        await self.bus.subscribe(*self._subscribed)
        await self._announce()

    async def _announce(self) -> None:
        topic = self.topics.availability(self.name)
        await self.publish(topic, Availability, -1, retain=True, online=True, world=self.world)

    async def publish(
        self,
        topic: str,
        kind: type[Message],
        tick: int,
        /,
        *,
        qos: int = 1,
        retain: bool = False,
        **body: Any,
    ) -> None:
        """Send one message of ``kind`` with its header filled in."""
        await self.publish_message(topic, self.stamp(topic, kind, tick, **body), qos=qos, retain=retain)

    async def publish_message(
        self, topic: str, message: Message, *, qos: int = 1, retain: bool = False
    ) -> None:
        """Send a message that ``stamp`` made."""
        self._counts.sent += 1
        await self.bus.publish(topic, messages.encode(message), qos=qos, retain=retain)

    async def publish_all(self, outgoing: Iterable[tuple[str, Message]], *, qos: int = 1) -> None:
        """Send many stamped messages with several under way at once."""
        waiting = iter(outgoing)

        async def work() -> None:
            for topic, message in waiting:
                await self.publish_message(topic, message, qos=qos)

        await asyncio.gather(*(work() for _ in range(UNDER_WAY)))

    def stamp(self, topic: str, kind: type[M], tick: int, /, **body: Any) -> M:
        """Message with run, tick, sender and its number in this topic's stream."""
        seq = self._next_seq[topic]
        self._next_seq[topic] = seq + 1
        return kind(run=self.run, tick=tick, sender=self.name, seq=seq, **body)

    async def done(self, step: StepName, tick: int) -> None:
        """Report that this service's part of a step is over, with flags raised since the last report."""
        flags, self._flags = self._flags, []
        await self.publish(
            self.topics.done(self.name),
            Done,
            tick,
            step=step,
            flags=flags,
            traffic=self.traffic(),
        )

    def flag(self, text: str) -> None:
        """Remember something that went wrong; it travels with the next ``done``."""
        self._flags.append(text)

    def traffic(self) -> Traffic:
        """Counts since the start."""
        return Traffic(**vars(self._counts), **self.extra_traffic())

    async def refuse(self, topic: str, reason: str) -> None:
        """Count a refused message and publish why."""
        self._counts.rejected += 1
        self.flag(f"{self.name} refused a message on {topic}: {reason}")
        await self.publish(self.topics.rejected(self.name), Rejected, self.tick, topic=topic, reason=reason)

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
        handlers, kind = self._route(received.topic)
        if not handlers:
            return
        self._counts.received += 1
        try:
            message = messages.decode(received.payload)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            await self.refuse(received.topic, str(error))
            return
        if kind is not None and not isinstance(message, kind):
            tags = (str(each.__struct_config__.tag) for each in (type(message), kind))
            await self.refuse(received.topic, "a {} came where {} belongs".format(*tags))
            return
        if reason := self._objection(received, message):
            await self.refuse(received.topic, reason)
            return
        if not self._fresh(received.topic, message):
            return
        for handler in handlers:
            try:
                result = handler(message)
                if result is not None:
                    await result
            except Late as late:
                self._counts.late += 1
                self.flag(f"{late} on {received.topic}")
            except ValueError as error:
                await self.refuse(received.topic, str(error))

    def _route(self, topic: str) -> tuple[list[Handler], type[Message] | None]:
        """Handlers of a topic and the kind that it carries; found once, for topics may be thousands."""
        if topic not in self._routes:
            wild = (handler for pattern, handler in self._wildcards if matches(pattern, topic))
            self._routes[topic] = [*self._exact.get(topic, ()), *wild], kind_on(topic, self.run)
        return self._routes[topic]

    def _objection(self, received: Received, message: Message) -> str:
        """Why a message cannot be meant for this run, tick or topic; empty where it can."""
        if message.run != self.run:
            return f"it belongs to run {message.run}"
        if isinstance(message, Availability):
            return ""
        # A stop is kept for a gateway that is started again.
        if received.retained and not isinstance(message, Stop):
            return "it arrived retained"
        stream = self._streams.get(received.topic)
        if stream is not None and message.sender != stream.writer:
            return f"{message.sender} writes on a topic of {stream.writer}"
        # A neighbour may have heard the clock open the next tick before this service does.
        if not isinstance(message, Step) and 0 <= self.tick < message.tick - 1:
            return f"tick {message.tick} is ahead of the clock's {self.tick}"
        return ""

    def _fresh(self, topic: str, message: Message) -> bool:
        """Whether a message is new and in time; counts it where it is not."""
        # An emergency stop counts whenever it comes.
        if isinstance(message, Availability | Stop):
            return True
        stream = self._streams.setdefault(topic, _Stream(message.sender))
        if message.seq < stream.expected and message.tick > stream.tick:
            # Numbers and ticks rise together: a sender that falls back in one alone was started anew.
            self.flag(f"{message.sender} began anew on {topic}")
            stream.expected = message.seq
            stream.missing.clear()
        stream.tick = max(stream.tick, message.tick)
        if message.seq < stream.expected:
            if message.seq in stream.missing:
                stream.missing.discard(message.seq)
                self._counts.late += 1
                self.flag(f"late message on {topic}")
                return message.tick >= self.tick
            self._counts.duplicates += 1
            return False
        skipped = message.seq - stream.expected
        if skipped:
            self._counts.gaps += skipped
            stream.missing.update(range(stream.expected, message.seq))
            self.flag(f"{skipped} message(s) missing on {topic}")
        stream.expected = message.seq + 1
        if message.tick < self.tick:
            self._counts.late += 1
            self.flag(f"message of tick {message.tick} came late on {topic}")
            return False
        return True

    def _follow_clock(self, step: Step) -> None:
        self.tick = max(self.tick, step.tick)
        self._steps.put_nowait(step)


async def serve(node: Node, on_step: Callable[[Step], Awaitable[None]]) -> None:
    """Run a service until the clock ends the run: messages flow in while steps are worked off in order.

    An error in either ends both, for a service that no longer listens would wait for its next step forever.
    """
    await node.open()
    pump = asyncio.create_task(node.pump(), name=f"{node.name} pump")
    work = asyncio.create_task(_work(node, on_step), name=f"{node.name} steps")
    try:
        done, _ = await asyncio.wait({pump, work}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        pump.cancel()
        work.cancel()
        await asyncio.gather(pump, work, return_exceptions=True)


async def _work(node: Node, on_step: Callable[[Step], Awaitable[None]]) -> None:
    async for step in node.steps():
        await on_step(step)
