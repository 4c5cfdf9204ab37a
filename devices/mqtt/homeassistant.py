"""A device as Home Assistant sees it: one retained message with all its entities (MQTT discovery).

Keys are those of its documentation of MQTT discovery by device: ``dev`` who it is, ``o`` who says so,
``cmps`` entities by id with their platform ``p``. Its rules on which unit and state class go with a device
class are tested against a table (tests/devices/mqtt/test_homeassistant.py).
"""

from collections.abc import Iterable
from importlib.metadata import version
from typing import NamedTuple

from broker.home_assistant import object_id
from devices.mqtt.messages import DeviceTopics

# A setting from a dashboard is good for half a minute on its way.
_UNTIL = "now().timestamp() + 30"


class Sensor(NamedTuple):
    """How one quantity is shown; ``factor`` turns our unit into one that Home Assistant knows."""

    title: str
    device_class: str
    unit: str
    state_class: str
    factor: int = 1


SENSORS = {
    "p_kw": Sensor("Power", "power", "kW", "measurement"),
    "q_kvar": Sensor("Reactive power", "reactive_power", "var", "measurement", 1000),
    "v_l1_v": Sensor("Voltage L1", "voltage", "V", "measurement"),
    "v_l2_v": Sensor("Voltage L2", "voltage", "V", "measurement"),
    "v_l3_v": Sensor("Voltage L3", "voltage", "V", "measurement"),
    "v_v": Sensor("Voltage", "voltage", "V", "measurement"),
    "import_kwh": Sensor("Imported energy", "energy", "kWh", "total_increasing"),
    "export_kwh": Sensor("Exported energy", "energy", "kWh", "total_increasing"),
    "energy_kwh": Sensor("Generated energy", "energy", "kWh", "total_increasing"),
    "discharged_kwh": Sensor("Discharged energy", "energy", "kWh", "total_increasing"),
    "charged_kwh": Sensor("Charged energy", "energy", "kWh", "total_increasing"),
    "capacity_kwh": Sensor("Capacity", "energy_storage", "kWh", "measurement"),
    "soc": Sensor("State of charge", "battery", "%", "measurement", 100),
}
MODELS = {"meter": "energy meter", "inverter": "PV inverter", "battery": "battery"}


class Control(NamedTuple):
    """The one command of a device: title, and its range [kW]."""

    title: str
    min_kw: float
    max_kw: float


def discovery(
    topics: DeviceTopics, kind: str, quantities: Iterable[str], expire_s: int, control: Control | None = None
) -> dict[str, object]:
    """Message about a device on MQTT (`devices.mqtt.device`).

    Parameters
    ----------
    topics
        Its topics.
    kind
        ``meter``, ``inverter`` or ``battery``.
    quantities
        What it measures; those that a home has no use for are left out.
    expire_s
        Seconds without a measurement after which its entities are unavailable.
    control
        Commands that it takes.
    """
    entities = {
        name: sensor_entity(topics.name, name, f"value_json['values'].{name}")
        # Not at the root: the number would take it over, and warn of each measurement that it is no number.
        | {"state_topic": topics.measurement, "expire_after": expire_s}
        for name in quantities
        if name in SENSORS
    }
    if control is not None:
        entities["set_kw"] = {
            "p": "number",
            "unique_id": f"{object_id(topics.name)}_set_kw",
            "name": control.title,
            "device_class": "power",
            "unit_of_measurement": "kW",
            "min": control.min_kw,
            "max": control.max_kw,
            "step": 0.1,
            "mode": "box",
            "command_topic": topics.setting,
            "command_template": f'{{"power_kw": {{{{ value }}}}, "expires": {{{{ {_UNTIL} }}}}}}',
            "qos": 1,
            "retain": False,
            "optimistic": True,
        }
    return {
        **about(topics.name, MODELS[kind]),
        "cmps": entities,
        "availability_topic": topics.availability,
    }


def about(name: str, model: str) -> dict[str, object]:
    """Who a device is, and who says so."""
    return {
        "dev": {
            "ids": [object_id(name)],
            "name": name,
            "mf": "sharegrid",
            "mdl": model,
        },
        "o": {"name": "sharegrid", "sw": version("sharegrid")},
    }


def sensor_entity(device: str, quantity: str, value: str) -> dict[str, object]:
    """Entity of one quantity; ``value`` is where it stands in the state's JSON, as a template says it."""
    sensor = SENSORS[quantity]
    scaled = value if sensor.factor == 1 else f"({value} | float(0)) * {sensor.factor}"
    return {
        "p": "sensor",
        "unique_id": f"{object_id(device)}_{quantity}",
        "name": sensor.title,
        "device_class": sensor.device_class,
        "unit_of_measurement": sensor.unit,
        "state_class": sensor.state_class,
        "value_template": f"{{{{ {scaled} if {value} is not none else none }}}}",
    }
