"""What an inverter says that it can do, and powers as shares of it."""

import math
from collections.abc import Mapping
from typing import TypeGuard

import msgspec

from devices.kinds import CONSUMERS, DeviceKind


class Ratings(msgspec.Struct, frozen=True):
    """What an inverter says it can do [kW, kWh]; ``None`` where it does not tell."""

    power_kw: float | None
    charge_kw: float | None = None
    discharge_kw: float | None = None
    capacity_kwh: float | None = None

    @classmethod
    def of(cls, quantities: Mapping[str, float | None]) -> "Ratings":
        """Ratings among the quantities that a device tells.

        A battery that tells no rate of its own for charging or discharging, or 0, has that of its inverter.
        """
        power_kw = quantities.get("rating_kw")
        return cls(
            power_kw,
            quantities.get("charge_kw") or power_kw,
            quantities.get("discharge_kw") or power_kw,
            quantities.get("capacity_kwh"),
        )

    def range_kw(self, kind: DeviceKind) -> tuple[float | None, float | None]:
        """Least and greatest power that a device can have [kW], + generates.

        A rating of 0 or less, as of a device that is asleep, says nothing of what it can do.
        """
        if kind == "pv":
            return 0.0, self.power_kw if is_usable(self.power_kw) else None
        if kind in CONSUMERS:
            return -self.power_kw if is_usable(self.power_kw) else None, 0.0
        least_kw = -self.charge_kw if is_usable(self.charge_kw) else None
        return least_kw, self.discharge_kw if is_usable(self.discharge_kw) else None


def is_usable(rating_kw: float | None) -> TypeGuard[float]:
    """Whether a power can be said as a share of a rating."""
    return rating_kw is not None and math.isfinite(rating_kw) and rating_kw > 0.0


def percent_of(power_kw: float, rating_kw: float | None) -> float | None:
    """Share of a rating [%]; ``None`` without a usable rating, except for 0, which is 0 % of anything."""
    if power_kw == 0.0:
        return 0.0
    return 100.0 * power_kw / rating_kw if is_usable(rating_kw) else None
