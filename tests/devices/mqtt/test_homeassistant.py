"""Discovery messages against the rules of Home Assistant.

The tables are facts of its code and documentation (components/sensor/const.py, integrations/mqtt,
integrations/sensor.mqtt and number.mqtt): units of a device class, state classes of a device class, and the
keys that a message about a device and its entities must and may have.
"""

import json
import re

import pytest

from broker.home_assistant import discovery_topic, object_id
from broker.messages import DeviceState, Telemetry, encode
from broker.topics import Topics
from devices.endpoint import LiveProsumer, tcp
from devices.mqtt.homeassistant import SENSORS, Control, discovery
from devices.mqtt.messages import DeviceTopics
from devices.mqtt.run_discovery import run_discovery
from devices.program.standalone import Nameplate, Standalone

UNITS = {
    "power": {"mW", "W", "kW", "MW", "GW", "TW"},
    "reactive_power": {"var"},
    "apparent_power": {"VA"},
    "energy": {"J", "kJ", "MJ", "GJ", "mWh", "Wh", "kWh", "MWh", "GWh", "TWh", "cal", "kcal", "Mcal", "Gcal"},
    "energy_storage": {"J", "kJ", "MJ", "GJ", "mWh", "Wh", "kWh", "MWh", "GWh", "TWh"},
    "voltage": {"V", "mV", "µV", "kV", "MV"},
    "current": {"A", "mA"},
    "frequency": {"Hz", "kHz", "MHz", "GHz"},
    "battery": {"%"},
}
STATE_CLASSES = {
    "power": {"measurement"},
    "reactive_power": {"measurement"},
    "apparent_power": {"measurement"},
    "energy": {"total", "total_increasing"},
    "energy_storage": {"measurement"},
    "voltage": {"measurement"},
    "current": {"measurement"},
    "frequency": {"measurement"},
    "battery": {"measurement"},
}
ROOT_KEYS = {"dev", "o", "cmps", "state_topic", "command_topic", "qos", "encoding"} | {
    "availability",
    "availability_topic",
    "availability_mode",
    "availability_template",
    "payload_available",
    "payload_not_available",
}
ENTITY_KEYS = {
    "sensor": {
        *("p", "unique_id", "name", "device_class", "unit_of_measurement", "state_class", "value_template"),
        *("expire_after", "state_topic", "icon", "entity_category", "suggested_display_precision"),
    },
    "number": {
        *("p", "unique_id", "name", "device_class", "unit_of_measurement", "min", "max", "step", "mode"),
        *(
            "command_topic",
            "command_template",
            "state_topic",
            "value_template",
            "qos",
            "retain",
            "optimistic",
        ),
    },
}


def complaints(config):
    """What Home Assistant would refuse or warn of in a message about a device."""
    found = [f"unknown key {key}" for key in config.keys() - ROOT_KEYS]
    if not config["dev"].get("ids"):
        found.append("a device needs identifiers")
    if not config["o"].get("name"):
        found.append("the origin needs a name")
    unique = [entity.get("unique_id") for entity in config["cmps"].values()]
    if None in unique or len(set(unique)) < len(unique):
        found.append("unique ids are missing or doubled")
    for name, entity in config["cmps"].items():
        found += [f"{name}: {what}" for what in _entity_complaints(entity, config)]
    return found


def _entity_complaints(entity, config):
    platform, kind = entity["p"], entity["device_class"]
    if platform not in ENTITY_KEYS:
        return [f"platform {platform} is not known here"]
    found = [f"unknown key {key}" for key in entity.keys() - ENTITY_KEYS[platform]]
    if entity["unit_of_measurement"] not in UNITS[kind]:
        found.append(f"{entity['unit_of_measurement']} is no unit of {kind}")
    if platform == "sensor":
        if entity["state_class"] not in STATE_CLASSES[kind]:
            found.append(f"{entity['state_class']} is no state class of {kind}")
        if not {"state_topic"} & (entity.keys() | config.keys()):
            found.append("a sensor needs a state topic")
    elif "state_topic" in config:
        found.append("a number takes the root's state topic for its own, and warns of what is no number")
    elif "command_topic" not in entity or not entity["min"] < entity["max"]:
        found.append("a number needs a command topic and a range")
    return found


def device(kind, profile, **plate):
    return Standalone(Nameplate(name="Haus 1/Süd", kind=kind, profile=profile, **plate), 1.0)


KINDS = [
    ("meter", "sdm630", None),
    ("meter", "sunspec-meter", None),
    ("inverter", "sunspec-pv", Control("Most generation", 0.0, 5.0)),
    ("battery", "sunspec-battery", Control("Power", -5.0, 5.0)),
]


@pytest.mark.parametrize(("kind", "profile", "control"), KINDS, ids=[profile for _, profile, _ in KINDS])
def test_every_device_keeps_to_the_rules(kind, profile, control):
    readings = device(kind, profile).read()
    config = json.loads(json.dumps(discovery(DeviceTopics("x"), kind, readings, 15, control)))
    assert complaints(config) == []
    assert {"p_kw"} <= config["cmps"].keys()
    assert ("set_kw" in config["cmps"]) == (control is not None)
    energies = [one for one in config["cmps"].values() if one["device_class"] == "energy"]
    assert energies
    assert {(one["unit_of_measurement"], one["state_class"]) for one in energies} == {
        ("kWh", "total_increasing")
    }


HOME = LiveProsumer(
    id="p00017",
    meter=tcp("127.0.0.1", 502, 1, "sdm630"),
    pv=tcp("127.0.0.1", 502, 2, "sunspec-pv"),
    battery=tcp("127.0.0.1", 502, 3, "sunspec-battery"),
    nominal_v=120.0,
)


def test_live_prosumers_of_a_run_keep_to_the_rules():
    plain = LiveProsumer(id="p00018", meter=HOME.meter)
    configs = run_discovery(Topics("day1"), "gateway-0", [HOME, plain])
    assert sorted(configs) == [discovery_topic("p00017"), discovery_topic("p00018")]
    for config in configs.values():
        assert complaints(json.loads(json.dumps(config))) == []
    assert len(configs[discovery_topic("p00017")]["cmps"]) == 8
    assert len(configs[discovery_topic("p00018")]["cmps"]) == 5


def test_entities_of_a_run_read_its_telemetry():
    jinja2 = pytest.importorskip("jinja2")
    entities = run_discovery(Topics("day1"), "gateway-0", [HOME])[discovery_topic("p00017")]["cmps"]
    states = [
        DeviceState(device="pv", p_kw=3.25, min_kw=0.0, max_kw=5.0),
        DeviceState(device="battery", p_kw=-1.0, min_kw=-2.0, max_kw=2.0, soc=0.5),
    ]
    telemetry = Telemetry(
        run="day1",
        tick=4,
        sender="gateway-0",
        seq=4,
        phase="measure",
        p_kw=-1.5,
        q_kvar=0.25,
        v_pu=1.05,
        import_kwh=10.0,
        export_kwh=20.0,
        quality="good",
        devices=states,
    )
    said = json.loads(encode(telemetry))
    shown = {
        name: float(jinja2.Template(entity["value_template"]).render(value_json=said))
        for name, entity in entities.items()
    }
    assert shown == {
        "p_kw": -1.5,
        "q_kvar": 250.0,
        "v_v": 126.0,
        "import_kwh": 10.0,
        "export_kwh": 20.0,
        "pv_p_kw": 3.25,
        "battery_p_kw": -1.0,
        "battery_soc": 50.0,
    }


def test_the_table_finds_what_is_wrong():
    config = discovery(DeviceTopics("x"), "meter", ["p_kw", "import_kwh"], 15)
    config["cmps"]["p_kw"]["state_class"] = "total_increasing"
    config["cmps"]["import_kwh"] |= {"unit_of_measurement": "kW", "unique_id": "sharegrid_x_p_kw"}
    config["o"] = {}
    assert len(complaints(config)) == 4


def test_ids_hold_only_what_home_assistant_allows():
    assert re.fullmatch(r"[A-Za-z0-9_-]+", object_id("Haus 1/Süd"))
    assert discovery_topic("pi.1") == "homeassistant/device/sharegrid_pi_1/config"


def test_every_sensor_has_a_class_of_the_tables():
    for sensor in SENSORS.values():
        assert sensor.unit in UNITS[sensor.device_class]
        assert sensor.state_class in STATE_CLASSES[sensor.device_class]


def test_templates_read_what_is_published():
    jinja2 = pytest.importorskip("jinja2")
    config = discovery(DeviceTopics("x"), "battery", ["p_kw", "soc"], 15, Control("Power", -5.0, 5.0))
    said = {"values": {"p_kw": -1.5, "soc": 0.25}}
    shown = {
        name: jinja2.Template(config["cmps"][name]["value_template"]).render(value_json=said)
        for name in ("p_kw", "soc")
    }
    assert shown["p_kw"] == "-1.5"
    assert float(shown["soc"].replace("%", "")) == 25.0
    silent = jinja2.Template(config["cmps"]["p_kw"]["value_template"]).render(
        value_json={"values": {"p_kw": None}}
    )
    assert silent == "None"


def test_the_command_is_a_setting_that_expires():
    jinja2 = pytest.importorskip("jinja2")

    class Now:
        def timestamp(self):
            return 100.0

    config = discovery(DeviceTopics("x"), "battery", ["p_kw"], 15, Control("Power", -5.0, 5.0))
    text = jinja2.Template(config["cmps"]["set_kw"]["command_template"]).render(value=2.5, now=Now)
    assert json.loads(text) == {"power_kw": 2.5, "expires": 130.0}
