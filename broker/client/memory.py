"""A broker inside the process: the same rules as MQTT without a network.

For stories of the services: deliveries are immediate and in order, a test may drop, duplicate or
hold back any message, let a client vanish, or restart the broker.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum

from broker.client.bundles import unbundled
from broker.client.bus import Received, Will
from broker.client.filters import matches
from broker.client.parts import check_size
from broker.errors import BrokerRefused, BusClosed


class Delivery(Enum):
    """What happens to a message between publisher and subscribers."""

    DELIVER = "deliver"
    DROP = "drop"
    DUPLICATE = "duplicate"
    HOLD = "hold"


def deliver(_: Received) -> Delivery:
    """Every message arrives, as in a network without faults."""
    return Delivery.DELIVER


@dataclass(eq=False)
class MemoryBus:
    """One client's `broker.client.bus.Bus`; made by `MemoryBroker.connect`."""

    broker: "MemoryBroker"
    client_id: str
    will: Will | None
    on_reconnect: Callable[[], None] | None
    filters: set[str] = field(default_factory=set)
    inbox: asyncio.Queue[Received | None] = field(default_factory=asyncio.Queue)
    closed: bool = False

    @property
    def is_connected(self) -> bool:
        """Whether it is open: memory is never away."""
        return not self.closed

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Hand a message to the broker (see `broker.client.bus.Bus`)."""
        self._check_open()
        if "+" in topic or "#" in topic or qos not in {0, 1}:
            raise ValueError(
                f"cannot publish on {topic!r} at QoS {qos}; wildcards and QoS 2 are not for this"
            )
        check_size(topic, payload, retain=retain)
        self.broker.publish(topic, payload, retain=retain)
        await asyncio.sleep(0)

    async def subscribe(self, *filters: str) -> None:
        """Ask for the messages on topics that match (see `broker.client.bus.Bus`)."""
        self._check_open()
        self.filters.update(filters)
        for topic, payload in self.broker.retained.items():
            if any(matches(wanted, topic) for wanted in filters):
                self.inbox.put_nowait(Received(topic, payload, retained=True))
        await asyncio.sleep(0)

    async def messages(self) -> AsyncIterator[Received]:
        """Messages in the order of arrival, until the bus is closed."""
        while (message := await self.inbox.get()) is not None:
            yield message
        self.inbox.put_nowait(None)

    def close(self) -> None:
        """Let readers finish and writers fail."""
        self.closed = True
        self.inbox.put_nowait(None)

    def _check_open(self) -> None:
        if self.closed:
            raise BusClosed(f"the bus of {self.client_id} in memory is closed; open a new one")


class MemoryBroker:
    """Topics, retained messages and last wills for the clients of one process.

    Attributes
    ----------
    delivery
        Decides for each published message; assign another function to lose, duplicate or hold some.
    retained
        Last retained body of each topic.
    """

    def __init__(self, delivery: Callable[[Received], Delivery] = deliver) -> None:
        self.delivery = delivery
        self.retained: dict[str, bytes] = {}
        self._clients: dict[str, MemoryBus] = {}
        self._held: list[Received] = []

    @asynccontextmanager
    async def connect(
        self, client_id: str, will: Will | None = None, *, on_reconnect: Callable[[], None] | None = None
    ) -> AsyncIterator[MemoryBus]:
        """Connect a client for the time of a ``with`` block; leaving it is a goodbye, without will.

        Raises
        ------
        BrokerRefused
            A client of that name is connected.
        """
        if client_id in self._clients:
            raise BrokerRefused(f"a client {client_id} is connected in memory; give each client its own name")
        bus = MemoryBus(self, client_id, will, on_reconnect)
        self._clients[client_id] = bus
        try:
            yield bus
        finally:
            if self._clients.get(client_id) is bus:
                del self._clients[client_id]
            bus.close()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish as the broker itself does, at once."""
        if retain and payload:
            self.retained[topic] = payload
        elif retain:
            self.retained.pop(topic, None)
        # What a network hands over is text and bytes, whatever was handed to it.
        message = Received(str(topic), payload, retained=False)
        match self.delivery(message):
            case Delivery.DELIVER:
                self._deliver(message)
            case Delivery.DUPLICATE:
                self._deliver(message)
                self._deliver(message)
            case Delivery.HOLD:
                self._held.append(message)
            case Delivery.DROP:
                pass

    def release(self) -> int:
        """Deliver what was held back, in the order of publishing; how many messages that was."""
        held, self._held = self._held, []
        for message in held:
            self._deliver(message)
        return len(held)

    def kill(self, client_id: str) -> None:
        """Let a client vanish without goodbye: its bus closes and its will is published."""
        bus = self._clients.pop(client_id)
        bus.close()
        if bus.will is not None:
            self.publish(bus.will.topic, bus.will.payload, retain=True)

    def restart(self) -> None:
        """Forget what is retained and held, as a broker without a disk does; every client comes back."""
        self.retained.clear()
        self._held.clear()
        for bus in list(self._clients.values()):
            if bus.on_reconnect is not None:
                bus.on_reconnect()

    def _deliver(self, message: Received) -> None:
        for bus in self._clients.values():
            if any(matches(wanted, message.topic) for wanted in bus.filters):
                for topic, payload in unbundled(message.topic, message.payload):
                    bus.inbox.put_nowait(Received(topic, payload, message.retained))
