"""Where a device is and what it speaks: all that the gateway knows of emulated and real ones alike."""

import msgspec

from devices.profiles import Profile


class Endpoint(msgspec.Struct, frozen=True):
    """One Modbus unit: host, port, unit id and the profile of its registers."""

    host: str
    port: int
    unit: int
    profile: Profile

    def __str__(self) -> str:
        """Return the place as it stands in messages."""
        return f"unit {self.unit} at {self.host}:{self.port}"


class LiveProsumer(msgspec.Struct, frozen=True, kw_only=True):
    """Devices of one prosumer.

    Attributes
    ----------
    id
        Name of the prosumer.
    meter
        Meter at the connection point.
    pv, battery
        Inverters, where it has them.
    nominal_v
        Voltage to neutral that counts as 1 pu [V].
    battery_efficiency
        One-way efficiency of the battery, which no register tells.
    """

    id: str
    meter: Endpoint
    pv: Endpoint | None = None
    battery: Endpoint | None = None
    nominal_v: float = 230.0
    battery_efficiency: float = 1.0
