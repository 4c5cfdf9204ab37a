"""What a device on MQTT alone publishes and receives: topics, messages, and which settings it refuses.

Below ``ROOT/NAME``: ``meas`` from the device, not retained; ``set`` to it, QoS 1, never retained; ``ack``
from it; ``availability`` from it, retained, ``offline`` as its last will.
"""

import math
from dataclasses import dataclass

import msgspec

ROOT = "sharegrid/v1/devices"
ONLINE, OFFLINE = b"online", b"offline"


@dataclass(frozen=True)
class DeviceTopics:
    """Topics of one device."""

    name: str
    root: str = ROOT

    @property
    def measurement(self) -> str:
        """What the device measures."""
        return f"{self.root}/{self.name}/meas"

    @property
    def setting(self) -> str:
        """Topic of its settings."""
        return f"{self.root}/{self.name}/set"

    @property
    def acknowledgement(self) -> str:
        """Topic of what became of a setting."""
        return f"{self.root}/{self.name}/ack"

    @property
    def availability(self) -> str:
        """Whether it is there."""
        return f"{self.root}/{self.name}/availability"


class Measurement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One measurement.

    Attributes
    ----------
    device, kind
        Name and kind of the device.
    run
        Which start of the device it is of; ``seq`` counts from 0 in each.
    time
        When it was measured [s since epoch].
    values, units
        Values and units by name; ``None`` where the device does not tell.
    """

    device: str
    kind: str
    run: str
    seq: int
    time: float
    values: dict[str, float | None]
    units: dict[str, str]
    v: int = 1


class Setting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A command to a device.

    Attributes
    ----------
    power_kw
        The most that an inverter may generate, or a battery's power, + discharging [kW]; ``None`` gives
        control back.
    expires
        When the message must not be obeyed any more [s since epoch].
    valid_s
        For how long the device keeps to it [s]; 0 means until the next command.
    id
        Name of the message, for its acknowledgement; the same one is obeyed once.
    """

    power_kw: float | None
    expires: float
    valid_s: float = 0.0
    id: str = ""
    v: int = 1


class SettingAck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether a setting was obeyed, and why not."""

    id: str
    ok: bool
    detail: str = ""
    v: int = 1


def refusal(setting: Setting, now: float) -> str | None:
    """Why a setting must not be obeyed at a time [s since epoch], or ``None``."""
    numbers = [setting.expires, setting.valid_s, setting.power_kw or 0.0]
    if not all(math.isfinite(number) for number in numbers):
        return "a number is not finite"
    if setting.valid_s < 0.0:
        return f"valid_s {setting.valid_s:g} is negative"
    if setting.expires <= now:
        return f"expired {now - setting.expires:.1f} s ago"
    return None
