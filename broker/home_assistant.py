"""Topics on which Home Assistant is told of devices (its MQTT discovery by device)."""

import re

_PREFIX = "homeassistant"
STATUS_TOPIC = f"{_PREFIX}/status"
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")


def object_id(name: str) -> str:
    """Name as Home Assistant allows it in a topic and in unique ids."""
    return f"sharegrid_{_UNSAFE.sub('_', name)}"


def discovery_topic(name: str) -> str:
    """Where the message about a device is retained."""
    return f"{_PREFIX}/device/{object_id(name)}/config"


ALL_DISCOVERY = f"{_PREFIX}/device/+/config"
"""Filter of the messages about all devices."""
