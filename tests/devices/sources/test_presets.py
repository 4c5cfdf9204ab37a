"""What each shipped profile makes of messages as its makers document them, on a real Mosquitto."""

import json

import pytest

from broker.client.mqtt import connect
from broker.server.choose import open_broker
from devices.endpoint import parse_endpoint
from devices.sources.mqtt_feed import MqttFeed
from devices.sources.port import SourcePort
from devices.sources.profiles import load_source, shipped_sources

ENERGY = {"Total": 12.5, "Power": 1500, "Voltage": 231, "ReactivePower": 120, "Today": 1.0}
MEAS = {"p_kw": 1.5, "q_kvar": 0.1, "import_kwh": 12.5, "export_kwh": 3.0, "v_l1_v": 231.0, "soc": 0.4}
MESSAGES = {
    "shelly-3em": {
        "x/online": "true",
        "x/status/em:0": {"id": 0, "total_act_power": 1500.0, "a_voltage": 231.0, "b_voltage": 0.1},
        "x/status/emdata:0": {"id": 0, "total_act": 12_500.0, "total_act_ret": 3000.0},
    },
    "shelly-pm": {
        "x/status/pm1:0": {
            "apower": 1500.0,
            "voltage": 231.0,
            "aenergy": {"total": 12_500.0, "by_minute": [1.0, 2.0, 3.0]},
            "ret_aenergy": {"total": 3000.0},
        }
    },
    "tasmota": {"tele/x/LWT": "Online", "tele/x/SENSOR": {"Time": "2024-05-01T10:00:00", "ENERGY": ENERGY}},
    "esphome-meter": {
        "x/status": "online",
        "x/sensor/power/state": "1500.0",
        "x/sensor/voltage/state": "231.0",
        "x/sensor/import/state": "12.500",
        "x/sensor/export/state": "3.000",
    },
    "esphome-pv": {"x/sensor/power/state": "1500.0"},
    "esphome-load": {"x/sensor/power/state": "-1500.0", "x/sensor/rating/state": "4000"},
    "zigbee2mqtt-meter": {
        "zigbee2mqtt/x/availability": {"state": "online"},
        "zigbee2mqtt/x": {"power": 1500, "voltage": 231, "energy": 12.5, "linkquality": 90},
    },
    "homeassistant-meter": {
        "homeassistant/status": "online",
        "homeassistant/sensor/x_power/state": "1500",
        "homeassistant/sensor/x_voltage/state": "unavailable",
        "homeassistant/sensor/x_import/state": "12.5",
        "homeassistant/sensor/x_export/state": "3.0",
    },
    "homeassistant-battery": {
        "homeassistant/sensor/x_power/state": "1500",
        "homeassistant/sensor/x_soc/state": "40",
    },
    "sharegrid-meter": {"sharegrid/v1/devices/x/meas": {"values": MEAS}},
    "sharegrid-inverter": {"sharegrid/v1/devices/x/meas": {"values": {"p_kw": 1.5, "rating_kw": 5.0}}},
    "sharegrid-battery": {"sharegrid/v1/devices/x/meas": {"values": MEAS | {"rating_kw": 4.0}}},
}


EXPECTED = {"p_kw": 1.5, "import_kwh": 12.5, "export_kwh": 3.0, "v_l1_v": 231.0, "soc": 0.4, "rating_kw": 4.0}
ONE_WAY = {"tasmota", "zigbee2mqtt-meter"}


def test_every_profile_over_mqtt_is_tried():
    assert set(MESSAGES) == {name for name in shipped_sources() if load_source(name).over == "mqtt"}


@pytest.mark.parametrize("name", MESSAGES)
async def test_messages_are_understood(name):
    async with open_broker("mosquitto") as broker, connect(broker.url, "devices") as bus:
        endpoint = parse_endpoint(f"{broker.url}/x", name)
        feed = MqttFeed(endpoint.link, timeout_s=0.2, retry_after_s=0.0)
        try:
            await feed.listen(MESSAGES[name])
            for topic, body in MESSAGES[name].items():
                await bus.publish(topic, (body if isinstance(body, str) else json.dumps(body)).encode())
            told = await SourcePort(endpoint, load_source(name), feed).state()
        finally:
            await feed.close()
    told = {quantity: value for quantity, value in told.items() if value is not None}
    expected = EXPECTED | ({"export_kwh": 0.0} if name in ONE_WAY else {})
    if load_source(name).kind == "pv":
        expected |= {"rating_kw": 5.0}
    assert {"p_kw"} <= told.keys()
    assert told["age_s"] < 5.0
    assert {quantity: told[quantity] for quantity in expected if quantity in told} == {
        quantity: pytest.approx(value) for quantity, value in expected.items() if quantity in told
    }
    if load_source(name).kind == "meter":
        assert {"import_kwh", "export_kwh"} <= told.keys()
