"""A device's own registers through its profile: read and commanded from inside the process that has them.

The quantities and recipes are those that a gateway uses, so a device that speaks MQTT alone is the same one.
"""

import math

from devices.emulation.answers import Unit
from devices.emulation.bank import RegisterBank
from devices.errors import IllegalAddress
from devices.kinds import DeviceKind
from devices.limits import SetPointLimits
from devices.registers.commands import Command, command_words, release, set_power
from devices.registers.quantities import first_values, point_names, terms_of
from devices.registers.ratings import Ratings
from devices.registers.schema import QUANTITIES, Profile

# Counters that no market needs, yet a home does: name, point and factor to kWh.
_EXTRAS = {
    "pv": tuple(("energy_kwh", name, 1e-3) for name in ("103.WH", "113.WH", "701.TotWhInj")),
    "battery": (
        ("discharged_kwh", "701.TotWhInj", 1e-3),
        ("discharged_kwh", "103.WH", 1e-3),
        ("charged_kwh", "701.TotWhAbs", 1e-3),
    ),
    "meter": (),
}


class LocalUnit:
    """Registers of one device.

    Parameters
    ----------
    unit
        The registers.
    profile
        What they say and obey.
    name
        Name of the device, for errors.
    """

    def __init__(self, unit: Unit, profile: Profile, name: str) -> None:
        self.profile = profile
        self._bank: RegisterBank = unit.bank
        self._row = unit.row
        self._name = name
        self._has = frozenset(self._bank.layout.points)
        self._terms = terms_of(profile, QUANTITIES[profile.kind])
        self._names = point_names(self._terms)

    def read(self) -> dict[str, float | None]:
        """Quantities of the profile, in its units; ``None`` where the device does not tell."""
        values: dict[str, float | None] = dict.fromkeys(QUANTITIES[self.profile.kind])
        read = {name: self._value(name) for name in self._names if name in self._has}
        for term, value in first_values(self._terms, read):
            values[term.quantity] = _rounded(value)
        extra = {
            name: _rounded(factor * self._bank.value(self._row, point))
            for name, point, factor in _EXTRAS[self.profile.kind]
            if point in self._has
        }
        return values | extra

    def units(self) -> dict[str, str]:
        """Unit of each quantity of `read`."""
        extra = {name: "kWh" for name, _, _ in _EXTRAS[self.profile.kind]}
        return QUANTITIES[self.profile.kind] | extra

    def points(self) -> list[tuple[int, str, float | None, str]]:
        """Address, name, value and unit of every numeric point, as a client finds them."""
        layout = self._bank.layout
        return [
            (
                layout.base + point.at,
                name,
                _rounded(self._bank.value(self._row, name)),
                point.unit or "",
            )
            for name, point in sorted(layout.points.items(), key=lambda item: item[1].at)
            if point.type not in ("string", "pad", "sunssf")
        ]

    def set_power(self, power_kw: float, valid_s: float = 0.0) -> None:
        """Limit an inverter, or set a battery, for ``valid_s`` seconds or, with 0, for good.

        Raises
        ------
        DeviceError
            The device cannot be commanded.
        """
        values, kind = self.read(), self.profile.kind
        ratings = Ratings.of(values)
        self._carry_out(
            set_power(self.profile, self._has, ratings, power_kw, valid_s, self._name, _limits(ratings, kind))
        )

    def release(self) -> None:
        """Give control back to the device; raises as `set_power`."""
        self._carry_out(release(self.profile, self._has, self._name))

    def _carry_out(self, command: Command) -> None:
        layout = self._bank.layout
        words = command_words(
            command, layout.points, lambda name: self._bank.scale_at(self._row, name), self._name
        )
        for batch in words:
            for name in batch:
                if self._bank.write(self._row, layout.base + layout.points[name].at, batch[name]):
                    raise IllegalAddress(f"{self._name} will not have {name} written; check its profile")

    def _value(self, name: str) -> float | None:
        """Value of a point; ``None`` where it is not implemented."""
        value = self._bank.value(self._row, name)
        return None if math.isnan(value) else value


def _limits(ratings: Ratings, kind: DeviceKind) -> SetPointLimits:
    """What the device can do, which no setting leaves."""
    least_kw, most_kw = ratings.range_kw(kind)
    return SetPointLimits(
        min_kw=-math.inf if least_kw is None else least_kw, max_kw=math.inf if most_kw is None else most_kw
    )


def _rounded(value: float) -> float | None:
    """A value with nine digits, which is what registers hold; ``None`` for NaN, which is not implemented."""
    return None if value != value else float(f"{value:.9g}")
