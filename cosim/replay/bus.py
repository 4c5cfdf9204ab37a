"""The bus of a replay: services hear what the record holds, and what they say waits to be held against it.

Every service hears the recorded words of all others, also of those that play beside it. So each is judged by
itself: one that computes something else does not mislead the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from broker.client.bundles import unbundled
from broker.client.bus import Received
from broker.client.filters import matches
from broker.errors import BusClosed
from cosim.replay.matching import Matching


@dataclass(eq=False)
class ReplayBus:
    """One service's `broker.client.bus.Bus`; made by `ReplayBroker.connect`."""

    broker: ReplayBroker
    name: str
    filters: tuple[str, ...] = ()
    inbox: asyncio.Queue[Received | None] = field(default_factory=asyncio.Queue)
    is_away: bool = False
    is_closed: bool = False

    @property
    def is_connected(self) -> bool:
        """Whether the record has it connected now."""
        return not (self.is_away or self.is_closed)

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:  # noqa: ARG002
        """Say a message: this returns once the record shows it, as it did when it was sent."""
        if self.is_closed:
            raise BusClosed(f"the bus of {self.name} is closed")
        if self.is_away:
            return
        matching = self.broker.matching
        said = [matching.say(*each) for each in unbundled(str(topic), payload)]
        try:
            for each in said:
                if each is not None:
                    await each.go_on.wait()
        finally:
            for each in said:
                if each is not None:
                    matching.give_up(each)

    async def subscribe(self, *filters: str) -> None:
        """Hear the messages on topics that match."""
        self.filters = (*self.filters, *filters)
        self.broker.listeners.clear()

    async def messages(self) -> AsyncIterator[Received]:
        """Messages in the order of the record, until the bus is closed."""
        while (message := await self.inbox.get()) is not None:
            yield message


class ReplayBroker:
    """Carries recorded messages to services, and what they say to where it is held against the record.

    Attributes
    ----------
    buses
        Connections by the service's name.
    listeners
        Who hears a topic, as far as that was asked.
    """

    def __init__(self, matching: Matching) -> None:
        self.matching = matching
        self.buses: dict[str, ReplayBus] = {}
        self.listeners: dict[str, list[ReplayBus]] = {}

    @asynccontextmanager
    async def connect(self, url: str, name: str, *_: object, **__: object) -> AsyncIterator[ReplayBus]:  # noqa: ARG002
        """Connect a service, as `broker.client.mqtt.connect`."""
        bus = self.buses[name] = ReplayBus(self, name)
        try:
            yield bus
        finally:
            bus.is_closed = True
            bus.inbox.put_nowait(None)

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
