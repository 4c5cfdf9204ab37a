"""Quantities of a device, each through the first of its points that the device tells.

A profile names several points for a quantity, in order of preference. The first that tells a value counts;
of a sum, the points that are not implemented are left out.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from devices.registers.labels import prototype
from devices.registers.schema import QUANTITIES, Profile, Sum, conversion


class Term(msgspec.Struct, frozen=True):
    """Points whose sum is a quantity, once multiplied with ``factor``; some may be taken off."""

    quantity: str
    points: Sum
    factor: float

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its points."""
        return tuple(name for name, _ in self.points)

    def value(self, read: Mapping[str, float | None]) -> float | None:
        """Value from the points that were read; ``None`` where none of them tells one."""
        if len(self.points) == 1:
            name, sign = self.points[0]
            value = read.get(name)
            return None if value is None else sign * self.factor * value
        known = [
            value if sign > 0 else -value
            for name, sign in self.points
            if (value := read.get(name)) is not None
        ]
        return self.factor * sum(known) if known else None


def terms_of(profile: Profile, wanted: Iterable[str]) -> tuple[Term, ...]:
    """All terms through which quantities may be read, those of one in order of preference."""
    units = QUANTITIES[profile.kind]
    return tuple(
        Term(quantity, points, conversion(profile.point(points[0][0]).unit, units[quantity]) or 1.0)
        for quantity in wanted
        for points in profile.alternatives(quantity)
    )


def point_names(terms: Iterable[Term]) -> tuple[str, ...]:
    """Names of all points in terms, each once."""
    return tuple(dict.fromkeys(name for term in terms for name in term.names))


def single_points(terms: Sequence[Term]) -> tuple[tuple[str, str, float], ...] | None:
    """Quantity, point and factor of each term, where each quantity is one point; ``None`` where one is not.

    Then its value is the point's times the factor, as `first_values` finds it.
    """
    if len({term.quantity for term in terms}) < len(terms) or any(len(term.points) > 1 for term in terms):
        return None
    return tuple((term.quantity, term.points[0][0], term.points[0][1] * term.factor) for term in terms)


def first_values(terms: Iterable[Term], read: Mapping[str, float | None]) -> list[tuple[Term, float]]:
    """For each quantity the first term that tells a value, and that value in the quantity's unit.

    Where a device labels what a quantity is, nothing else stands in for it, though it is not told now: the
    output of a hybrid inverter is not the power of its battery.
    """
    found: dict[str, tuple[Term, float] | None] = {}
    for term in terms:
        if term.quantity in found:
            continue
        value = term.value(read)
        if value is not None:
            found[term.quantity] = term, value
        elif any(name in read and prototype(name) != name for name in term.names):
            found[term.quantity] = None
    return [each for each in found.values() if each is not None]
