"""The live devices of a run in Home Assistant: what they show there, and telling it again when it comes.

Entities read the run's own telemetry. Nothing can be set from there, because the market sets these devices.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

import msgspec

from broker.client.bus import Bus
from broker.client.mqtt import connect
from broker.home_assistant import STATUS_TOPIC, discovery_topic
from broker.topics import Topics
from devices.endpoint import LiveProsumer
from devices.mqtt.homeassistant import about, sensor_entity
from devices.mqtt.messages import ONLINE

_METER = ("p_kw", "q_kvar", "import_kwh", "export_kwh")
_DEVICES = {"pv": ("p_kw",), "battery": ("p_kw", "soc"), "ev": ("p_kw", "soc"), "load": ("p_kw",)}
_TITLES = {"pv": "PV", "battery": "Battery", "ev": "Charger", "load": "Flexible load"}


def run_discovery(
    topics: Topics, gateway: str, prosumers: Iterable[LiveProsumer]
) -> dict[str, dict[str, object]]:
    """Messages about a run's live prosumers, by topic.

    Parameters
    ----------
    topics
        Topics of the run.
    gateway
        Service whose availability is that of the readings.
    prosumers
        Whose devices.
    """
    return {discovery_topic(one.id): _prosumer(topics, gateway, one) for one in prosumers}


def _prosumer(topics: Topics, gateway: str, prosumer: LiveProsumer) -> dict[str, object]:
    metered = {"state_topic": topics.telemetry("meter", prosumer.id)}
    measured = {"state_topic": topics.telemetry("measure", prosumer.id)}
    entities = {name: sensor_entity(prosumer.id, name, f"value_json.{name}") | metered for name in _METER}
    volts = f"(value_json.v_pu * {prosumer.nominal_v:g}) if value_json.v_pu is not none else none"
    voltage = sensor_entity(prosumer.id, "v_v", "value_json.v_pu")
    entities["v_v"] = voltage | metered | {"value_template": f"{{{{ {volts} }}}}"}
    for device, quantities in _DEVICES.items():
        if getattr(prosumer, device) is None:
            continue
        here = f"(value_json.devices | selectattr('device', 'eq', '{device}') | first)"
        for name in quantities:
            entity = sensor_entity(prosumer.id, name, f"{here}.{name}")
            entity |= {"unique_id": f"{entity['unique_id']}_{device}", **measured}
            entity["name"] = f"{_TITLES[device]} {str(entity['name']).lower()}"
            entities[f"{device}_{name}"] = entity
    return {
        **about(prosumer.id, "prosumer"),
        "cmps": entities,
        "availability_topic": topics.availability(gateway),
        "availability_template": "{{ 'online' if value_json.online else 'offline' }}",
    }


@asynccontextmanager
async def presented(
    url: str, configs: Mapping[str, Mapping[str, object]], *, identity: str = ""
) -> AsyncIterator[None]:
    """Tell Home Assistant of devices, and again whenever it says that it is online, for a ``with`` block.

    ``identity`` is the party whose certificate is shown to a broker that wants one.

    Raises
    ------
    BrokerError
        The broker cannot be reached.
    """
    async with connect(url, "homeassistant", identity=identity) as bus:
        await bus.subscribe(STATUS_TOPIC)
        await _publish(bus, configs)
        again = asyncio.create_task(_publish_again(bus, configs))
        try:
            yield
        finally:
            again.cancel()
            await asyncio.gather(again, return_exceptions=True)


async def _publish(bus: Bus, configs: Mapping[str, Mapping[str, object]]) -> None:
    await asyncio.gather(
        *(bus.publish(topic, msgspec.json.encode(config), retain=True) for topic, config in configs.items())
    )


async def _publish_again(bus: Bus, configs: Mapping[str, Mapping[str, object]]) -> None:
    async for message in bus.messages():
        if message.payload == ONLINE:
            await _publish(bus, configs)
