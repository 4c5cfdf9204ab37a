"""Devices on an MQTT broker: the newest message of each topic, and messages to them.

What the broker kept is told apart from what was said while this gateway listened: its age is not known.
"""

import asyncio
from collections.abc import Awaitable, Collection
from contextlib import AsyncExitStack, suppress

from broker.client.bus import Received
from broker.client.mqtt import connect
from broker.client.mqtt_bus import MqttBus
from broker.errors import BrokerError
from broker.patience import LEAST_LOOK_S, within
from broker.pulse import Pulse
from broker.wall_time import since_boot
from devices.counts import Counts
from devices.endpoint import Link
from devices.errors import DeviceError, DeviceUnreachable
from devices.sources.feed import Document

_MOST_BYTES = 262_144
IDENTITY = "gateway-0"
"""Party whose certificate is shown to a broker that wants one: the gateway of a run."""


class MqttFeed:
    """Messages of one broker (`devices.sources.feed.Feed`).

    Parameters
    ----------
    link
        The broker; the connection is made with the first request.
    timeout_s
        How long to wait for the broker, and for a device that was just asked for [s].
    retry_after_s
        How long a broker that does not answer is left alone [s].
    """

    def __init__(self, link: Link, timeout_s: float, retry_after_s: float) -> None:
        self.link = link
        self.counts = Counts()
        self._timeout_s = timeout_s
        self._retry_after_s = retry_after_s
        self._documents: dict[str, Document] = {}
        self._asked: dict[str, float] = {}
        self._bus: MqttBus | None = None
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._arrived = asyncio.Event()
        self._not_before_s = 0.0
        self._pulse: Pulse | None = None

    async def listen(self, places: Collection[str]) -> None:
        """Subscribe to topics, each once."""
        bus = await self._opened()
        new = [place for place in places if place not in self._asked]
        if new:
            await self._reach(bus.subscribe(*new))
            self._asked.update(dict.fromkeys(new, since_boot()))

    async def fetch(self, places: Collection[str], since_s: float | None = None) -> dict[str, Document]:
        """See `devices.sources.feed.Feed`; messages of places that were never asked for are waited for."""
        await self.listen(places)
        self.counts.reads += 1
        began_s = max(self._asked[place] for place in places) if since_s is None else since_s
        left_s = began_s + self._timeout_s - since_boot()
        with suppress(TimeoutError):
            async with within(max(left_s, 0.0 if since_s is None else LEAST_LOOK_S)):
                while not all(self._is_new(place, since_s) for place in places):
                    self._arrived.clear()
                    await self._arrived.wait()
        return {place: self._documents[place] for place in places if place in self._documents}

    def stood_still_s(self, since_s: float) -> float:
        """See `devices.sources.feed.Feed`."""
        return 0.0 if self._pulse is None else self._pulse.stood_still_s(since_s)

    async def send(self, place: str, text: str, method: str) -> None:  # noqa: ARG002  # HTTP has methods
        """Publish a message at QoS 1, never retained."""
        self._not_before_s = 0.0  # Nobody sends without need.
        bus = await self._opened()
        self.counts.writes += 1
        await self._reach(bus.publish(place, text.encode(), qos=1))

    async def close(self) -> None:
        """Leave the broker; a later request comes back."""
        async with self._opening:
            self._bus = None
            await self._stack.aclose()
            self._documents.clear()
            self._asked.clear()

    def _is_new(self, place: str, since_s: float | None) -> bool:
        found = self._documents.get(place)
        return found is not None and not found.kept and (since_s is None or found.at_s >= since_s)

    async def _opened(self) -> MqttBus:
        async with self._opening:
            if self._bus is None:
                if since_boot() < self._not_before_s:
                    raise self._counted(DeviceUnreachable(f"no MQTT broker answers at {self.link}; start it"))
                self._bus = await self._open()
        return self._bus

    async def _open(self) -> MqttBus:
        connection = connect(
            self.link.url,
            "sources",
            identity=IDENTITY,
            first_patience_s=self._timeout_s,
            patience_s=self._timeout_s,
        )
        try:
            bus = await self._stack.enter_async_context(connection)
        except BrokerError as error:
            self._not_before_s = since_boot() + self._retry_after_s
            raise self._counted(DeviceUnreachable(str(error))) from None
        self._pulse = pulse = Pulse()
        self._stack.callback(pulse.close)
        listening = asyncio.create_task(self._listen(bus, pulse))
        self._stack.callback(listening.cancel)
        return bus

    async def _listen(self, bus: MqttBus, pulse: Pulse) -> None:
        async for message in bus.messages():
            self._take(message, pulse.said_s())

    def _take(self, message: Received, said_s: float) -> None:
        if len(message.payload) > _MOST_BYTES:
            return
        # After a reconnect the broker hands over what it kept, which may be older than what was heard.
        if not message.retained or message.topic not in self._documents:
            now_s = since_boot()
            document = Document(message.payload, now_s, message.retained, max(now_s - said_s, 0.0))
            self._documents[message.topic] = document
            self._arrived.set()

    async def _reach(self, work: Awaitable[None]) -> None:
        try:
            await work
        except BrokerError as error:
            raise self._counted(DeviceUnreachable(str(error))) from None

    def _counted(self, error: DeviceError) -> DeviceError:
        self.counts.note(error)
        return error
