"""The bus of a replay: services hear what the record holds, and what they say waits to be held against it.

Every service hears the recorded words of all others, also of those that play beside it. So each is judged by
itself: one that computes something else does not mislead the next.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from broker.client.bundles import unbundled
from broker.client.bus import Received
from broker.client.filters import matches
from broker.errors import BusClosed


@dataclass(eq=False)
class Said:
    """One message that a service said, and which the record has not shown yet."""

    sender: str
    topic: str
    body: bytes
    shown: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(eq=False)
class ReplayBus:
    """One service's `broker.client.bus.Bus`; made by `ReplayBroker.connect`."""

    broker: ReplayBroker
    name: str
    filters: tuple[str, ...] = ()
    inbox: asyncio.Queue[Received | None] = field(default_factory=asyncio.Queue)
    is_away: bool = False
    is_closed: bool = False

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:  # noqa: ARG002
        """Say a message: this returns once the record shows it, as it did when it was sent."""
        if self.is_closed:
            raise BusClosed(f"the bus of {self.name} is closed")
        said = [self.broker.note(self.name, *each) for each in unbundled(str(topic), payload)]
        try:
            for each in said:
                if each is not None:
                    await each.shown.wait()
        finally:
            for each in said:
                if each is not None:
                    self.broker.forget(each)

    async def subscribe(self, *filters: str) -> None:
        """Hear the messages on topics that match."""
        self.filters = (*self.filters, *filters)
        self.broker.listeners.clear()

    async def messages(self) -> AsyncIterator[Received]:
        """Messages in the order of the record, until the bus is closed."""
        while (message := await self.inbox.get()) is not None:
            yield message


class ReplayBroker:
    """Carries recorded messages to services, and keeps what they say until the record shows it.

    Parameters
    ----------
    is_judged
        Whether what is said on a topic is held against the record; anything else is heard by nobody.

    Attributes
    ----------
    buses
        Connections by the service's name.
    listeners
        Who hears a topic, as far as that was asked.
    """

    def __init__(self, is_judged: Callable[[str], bool]) -> None:
        self.buses: dict[str, ReplayBus] = {}
        self.listeners: dict[str, list[ReplayBus]] = {}
        self._is_judged = is_judged
        self._waiting: dict[str, deque[Said]] = defaultdict(deque)
        self._last: dict[str, bytes] = {}

    @asynccontextmanager
    async def connect(self, url: str, name: str, *_: object, **__: object) -> AsyncIterator[ReplayBus]:  # noqa: ARG002
        """Connect a service, as `broker.client.mqtt.connect`."""
        bus = self.buses[name] = ReplayBus(self, name)
        try:
            yield bus
        finally:
            bus.is_closed = True
            bus.inbox.put_nowait(None)

    def note(self, sender: str, topic: str, body: bytes) -> Said | None:
        """Note what a service says; ``None`` where nobody waits for it, or it says something again."""
        if self.buses[sender].is_away or not self._is_judged(topic) or self._last.get(topic) == body:
            return None
        self._last[topic] = body
        self._waiting[topic].append(said := Said(sender, topic, body))
        return said

    def forget(self, said: Said) -> None:
        """Drop what was said, or is given up."""
        if said in self._waiting[said.topic]:
            self._waiting[said.topic].remove(said)

    def next_on(self, topic: str) -> Said | None:
        """What was said first on a topic, of what the record has not shown; it is then shown."""
        if not self._waiting[topic]:
            return None
        said = self._waiting[topic].popleft()
        said.shown.set()
        return said

    def left(self, sender: str) -> list[Said]:
        """What a service said and the record has not shown; it need not wait for that any longer."""
        found = [said for waiting in self._waiting.values() for said in waiting if said.sender == sender]
        for said in found:
            self._waiting[said.topic].remove(said)
            said.shown.set()
        return found

    def deliver(self, received: Received, *, but: tuple[str, ...] = ()) -> None:
        """Let all who listen hear a message, but those of some names and those who are away."""
        for bus in self._listeners(received.topic):
            if bus.name not in but and not bus.is_away:
                bus.inbox.put_nowait(received)

    def _listeners(self, topic: str) -> list[ReplayBus]:
        found = self.listeners.get(topic)
        if found is None:
            found = self.listeners[topic] = [
                bus for bus in self.buses.values() if any(matches(wanted, topic) for wanted in bus.filters)
            ]
        return found
