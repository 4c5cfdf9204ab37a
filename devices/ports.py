"""What a gateway needs of a device and of the way to it, whatever protocol is spoken there.

Modbus is in `devices.client`. Whoever speaks something else gives the same ports, so that limits, arming,
stop, release, renewal and the checks of readings are the same for all devices.
"""

import math
from collections.abc import Mapping
from typing import Protocol

import msgspec

from devices.endpoint import Endpoint
from devices.limits import SetPointLimits
from devices.registers.rating_trust import RatingTrust
from devices.registers.ratings import Ratings

CONSTANT_S = 60.0
"""How long ratings and scale factors are believed without being read again [s]."""


class Applied(msgspec.Struct, frozen=True):
    """What an inverter shows after a command.

    Attributes
    ----------
    power_kw
        What was asked for, within the limits [kW]; ``None`` where control was given back.
    revert_s
        Seconds after which it falls back by itself, as it shows them; infinity where it never does.
    ignores_revert
        Whether it was to fall back and does not show the time for that.
    """

    power_kw: float | None
    revert_s: float = math.inf
    ignores_revert: bool = False


class MeterPort(Protocol):
    """A device that is only read. Every method that asks it raises `DeviceError` where it cannot."""

    @property
    def endpoint(self) -> Endpoint:
        """Where it is."""
        ...

    @property
    def silent_times(self) -> int:
        """How often in a row it gave no answer."""
        ...

    async def state(self) -> Mapping[str, float | None]:
        """Quantities of its kind that change (`devices.registers.schema.QUANTITIES`), those it tells.

        ``age_s`` among them is how long ago the oldest that it has to tell was told [s].
        """
        ...


class InverterPort(MeterPort, Protocol):
    """A device that takes set-points; ``trust`` is what speaks against its ratings."""

    trust: RatingTrust

    async def ratings(self, fresh_s: float = CONSTANT_S) -> Ratings:
        """What it can do; no older than ``fresh_s`` [s], nor than the connection."""
        ...

    async def set_power(
        self, power_kw: float, valid_s: float, limits: SetPointLimits, fresh_s: float
    ) -> Applied:
        """Send a set-point, and see that the device took it.

        Parameters
        ----------
        power_kw
            The most that PV may generate, or the battery's power, + discharging [kW].
        valid_s
            Seconds after which the device is to fall back by itself; 0 means never.
        limits
            What the value that is sent must not leave, in whatever unit it is sent.
        fresh_s
            How old what the device says of itself may be [s].
        """
        ...

    async def rush_to_zero(self, limits: SetPointLimits) -> None:
        """Bring it to 0 kW by what is known of it, in as few requests as that takes.

        Nothing is read back, and nothing is sent where 0 lies outside the limits, or where too little is
        known that still holds; `set_power` comes after it.
        """
        ...

    async def release(self, fresh_s: float) -> None:
        """Give control back to the device."""
        ...

    async def overwritten(self) -> list[str]:
        """What does not stand as `set_power` left it; empty where all does, or nothing was sent."""
        ...

    def forget(self) -> None:
        """What was sent is no longer expected to stand."""
        ...

    async def revert_point(self) -> str | None:
        """Name of what holds the time after which it falls back by itself; ``None`` where it never does."""
        ...

    async def holds_for_good(self) -> bool:
        """Whether what is sent to stay stays, however long nobody sends anything again."""
        ...

    async def holds_fallback(self) -> bool:
        """Whether its fallback can be commanded."""
        ...

    def begin_priority(self) -> None:
        """Let what is sent to it pass all else and every pause, until `end_priority`."""
        ...

    def end_priority(self) -> None:
        """End what `begin_priority` began."""
        ...
