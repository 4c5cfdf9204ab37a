"""A device on MQTT: says what it measures, obeys commands, and shows itself to Home Assistant."""

import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from broker.client.bus import Bus, Received, Will
from broker.home_assistant import STATUS_TOPIC, discovery_topic
from devices.errors import DeviceError
from devices.mqtt.messages import OFFLINE, ONLINE, DeviceTopics, Measurement, Setting, SettingAck, refusal
from sharegrid.decoding import decode_json

_REMEMBERED_IDS = 64


class Speaker(Protocol):
    """The device behind."""

    def read(self) -> dict[str, float | None]:
        """Values by name."""
        ...

    def set_power(self, power_kw: float | None, valid_s: float) -> None:
        """Obey, or raise `DeviceError`."""
        ...


def offline_will(topics: DeviceTopics) -> Will:
    """What the broker says for a device that vanishes."""
    return Will(topics.availability, OFFLINE)


class MqttDevice:
    """One device on a bus of its own.

    Parameters
    ----------
    bus
        Connection with `offline_will` as its will.
    topics
        Topics of the device.
    kind
        ``meter``, ``inverter`` or ``battery``.
    device
        What it reads and sets.
    units
        Unit of each value.
    discovery
        How Home Assistant sees it; ``None`` for nothing.
    clock
        Wall time [s since epoch].

    Attributes
    ----------
    refused
        Settings that were not obeyed.
    """

    def __init__(
        self,
        bus: Bus,
        topics: DeviceTopics,
        kind: str,
        device: Speaker,
        units: Mapping[str, str],
        discovery: Mapping[str, object] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.refused = 0
        self._bus = bus
        self._topics = topics
        self._kind = kind
        self._device = device
        self._units = dict(units)
        self._discovery = discovery
        self._clock = clock
        self._run = secrets.token_hex(4)
        self._seq = 0
        self._obeyed: deque[str] = deque(maxlen=_REMEMBERED_IDS)

    async def announce(self) -> None:
        """Say that the device is there, and what it is; at the start and after every reconnect."""
        await self._bus.publish(self._topics.availability, ONLINE, retain=True)
        if self._discovery is not None:
            config = msgspec.json.encode(self._discovery)
            await self._bus.publish(discovery_topic(self._topics.name), config, retain=True)

    async def leave(self) -> None:
        """Say that the device goes; without it the broker says so."""
        await self._bus.publish(self._topics.availability, OFFLINE, retain=True)

    async def publish(self) -> None:
        """Say what is measured now."""
        values = self._device.read()
        measurement = Measurement(
            device=self._topics.name,
            kind=self._kind,
            run=self._run,
            seq=self._seq,
            time=self._clock(),
            values=values,
            units={name: self._units[name] for name in values},
        )
        self._seq += 1
        await self._bus.publish(self._topics.measurement, msgspec.json.encode(measurement), qos=0)

    async def serve(self) -> None:
        """Announce, then obey and announce again when Home Assistant comes, until the bus is closed."""
        wanted = [self._topics.setting] if self._kind != "meter" else []
        if self._discovery is not None:
            wanted.append(STATUS_TOPIC)
        if wanted:
            await self._bus.subscribe(*wanted)
        await self.announce()
        async for message in self._bus.messages():
            if message.topic == STATUS_TOPIC:
                if message.payload == ONLINE:
                    await self.announce()
            else:
                await self._take(message)

    async def _take(self, message: Received) -> None:
        """Obey a setting, once, unless it is old."""
        setting: Setting | None = None
        try:
            setting = decode_json(message.payload, Setting)
        except msgspec.DecodeError as error:
            detail: str | None = str(error)
        else:
            if setting.id and setting.id in self._obeyed:
                return
            detail = "arrived retained" if message.retained else refusal(setting, self._clock())
        if setting is not None and detail is None:
            detail = self._obey(setting)
        self.refused += detail is not None
        ack = SettingAck(id=setting.id if setting else "", ok=detail is None, detail=detail or "")
        await self._bus.publish(self._topics.acknowledgement, msgspec.json.encode(ack))

    def _obey(self, setting: Setting) -> str | None:
        try:
            self._device.set_power(setting.power_kw, setting.valid_s)
        except DeviceError as error:
            return str(error)
        self._obeyed.append(setting.id)
        return None
