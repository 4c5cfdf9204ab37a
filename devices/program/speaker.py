"""The MQTT side of a device that runs by itself: it goes on measuring whatever the broker does."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import click

from broker.address import parse_address
from broker.client.mqtt import connect
from broker.client.mqtt_bus import MqttBus
from broker.errors import BrokerError, BrokerRefused, BrokerUnreachable
from devices.kinds import DeviceKind
from devices.mqtt.device import MqttDevice, offline_will
from devices.mqtt.homeassistant import Control, discovery
from devices.mqtt.messages import DeviceTopics
from devices.program.standalone import ROLES, Nameplate, Standalone

_GOODBYE_S = 2.0
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0
_CONTROLS: dict[DeviceKind, str] = {"pv": "Most generation", "battery": "Power"}


@dataclass(frozen=True, kw_only=True)
class SpeakerOptions:
    """Where a device speaks MQTT, and how.

    Attributes
    ----------
    url, topics
        Broker and topics.
    home_assistant
        Whether Home Assistant is told.
    publish_s
        How often it publishes [s].
    waits
        Whether it waits for a broker that is away at the start; without it that is an error.
    on_connected
        Called each time that it is connected to the broker.
    """

    url: str
    topics: DeviceTopics
    home_assistant: bool = True
    publish_s: float = 5.0
    waits: bool = False
    on_connected: Callable[[], None] = field(default=lambda: None)

    def __str__(self) -> str:
        """Return topics and broker, without password."""
        return f"{self.topics.root}/{self.topics.name} at {parse_address(self.url)}"


async def speak(options: SpeakerOptions, device: Standalone) -> None:
    """Measure and obey over MQTT until cancelled.

    Raises
    ------
    BrokerError
        The broker is away or refuses, and nothing waits for it.
    """
    pause_s, said = _FIRST_PAUSE_S, ""
    while True:
        try:
            async with _speaker(options, device) as speaker:
                options.on_connected()
                await asyncio.gather(speaker.serve(), speaker.publish_every(options.publish_s))
        except (BrokerUnreachable, BrokerRefused) as error:
            if not options.waits:
                raise
            if str(error) != said:
                click.echo(f"no MQTT yet, trying again: {error}", err=True)
            said = str(error)
        await asyncio.sleep(pause_s)
        pause_s = min(2.0 * pause_s, _LONGEST_PAUSE_S)


@dataclass
class _Speaker:
    """A device on one bus."""

    mqtt: MqttDevice
    back: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self) -> None:
        await asyncio.gather(self.mqtt.serve(), self._announce_again())

    async def publish_every(self, period_s: float) -> None:
        while True:
            try:
                await self.mqtt.publish()
            except BrokerError as error:
                click.echo(f"not published: {error}", err=True)
            await asyncio.sleep(period_s)

    async def _announce_again(self) -> None:
        while True:
            await self.back.wait()
            self.back.clear()
            await self.mqtt.announce()


@asynccontextmanager
async def _speaker(options: SpeakerOptions, device: Standalone) -> AsyncIterator[_Speaker]:
    speakers: list[_Speaker] = []
    async with connect(
        options.url,
        f"device-{options.topics.name}",
        offline_will(options.topics),
        on_reconnect=lambda: speakers[0].back.set() if speakers else None,
    ) as bus:
        speakers.append(_Speaker(_mqtt_device(bus, options, device)))
        try:
            yield speakers[0]
        finally:
            try:
                async with asyncio.timeout(_GOODBYE_S):
                    await speakers[0].mqtt.leave()
            except (TimeoutError, BrokerError) as error:
                click.echo(f"left without a goodbye to the broker: {error}", err=True)


def _mqtt_device(bus: MqttBus, options: SpeakerOptions, device: Standalone) -> MqttDevice:
    plate, topics = device.plate, options.topics
    expire_s = max(10, round(3 * options.publish_s))
    entities = discovery(topics, plate.kind, device.read(), expire_s, _control(plate))
    return MqttDevice(
        bus, topics, plate.kind, device, device.units(), entities if options.home_assistant else None
    )


def _control(plate: Nameplate) -> Control | None:
    """What the device can be told."""
    role = ROLES[plate.kind]
    if role not in _CONTROLS:
        return None
    return Control(_CONTROLS[role], -plate.rating_kw if role == "battery" else 0.0, plate.rating_kw)
