"""Registers of a command that carry a power: their bounds, so that no value leaves the device's envelope.

Bounds are exact fractions in each point's own unit, whether it holds a power or a share of a rating.
"""

from collections.abc import Collection, Iterator
from fractions import Fraction

from devices.limits import SetPointLimits
from devices.registers.bounded import ANYWHERE, Bounds, exact
from devices.registers.points import Point
from devices.registers.ratings import Ratings, is_usable
from devices.registers.schema import ARGUMENTS, Argument, Profile, Recipe, conversion

# Devices round what is written to whole percent, up or down.
_TOLERANCE_PERCENT = 1.0
_NO_POWERS = ("revert", "fallback enable", "heartbeat")


def envelope_bounds(
    profile: Profile, recipe: Recipe, has: Collection[str], ratings: Ratings, limits: SetPointLimits
) -> dict[str, Bounds]:
    """Bounds of each point of a recipe that carries a power; none where there is no envelope."""
    if not limits.has_envelope:
        return {}
    edges = exact(limits.min_kw), exact(limits.max_kw)
    found: dict[str, Bounds] = {}
    for name, what in _powers(recipe):
        if name in has:
            point = profile.point(name)
            low, high = (_in_point(point, what, edge, ratings) for edge in edges)
            if what == "magnitude":
                low, high = _of_magnitude((low, high), recipe)
            found[name] = _narrowed((high, low) if what == "percent of charge" else (low, high), point)
    return found


def tolerances(
    profile: Profile, recipe: Recipe, has: Collection[str], ratings: Ratings, power_kw: float
) -> dict[str, float]:
    """How far each point that carries a power may read back from what was written, in the point's unit."""
    return {
        name: _tolerance(profile.point(name), power_kw, ratings) for name, _ in _powers(recipe) if name in has
    }


def _powers(recipe: Recipe) -> Iterator[tuple[str, Argument]]:
    """Points of a recipe that carry a power, and in which terms."""
    for name, what in (item for batch in recipe.writes for item in batch.items()):
        if what in ARGUMENTS and what not in _NO_POWERS:
            yield name, what  # type: ignore[misc]


def _of_magnitude(bounds: Bounds, recipe: Recipe) -> Bounds:
    """Bounds of a power whose direction stands elsewhere, from those of the power itself."""
    low, high = bounds
    if recipe.when == "charging":
        low, high = (None if edge is None else -edge for edge in (high, low))
    return max(low or Fraction(0), Fraction(0)), high


def _narrowed(bounds: Bounds, point: Point) -> Bounds:
    """Bounds within the limits that a point has by itself."""
    if point.limits is None or bounds == ANYWHERE:
        return bounds
    (low, high), (least, most) = bounds, map(exact, point.limits)
    lows, highs = ([edge for edge in edges if edge is not None] for edges in ((low, least), (high, most)))
    return max(lows, default=None), min(highs, default=None)


def _in_point(point: Point, what: Argument, edge_kw: Fraction | None, ratings: Ratings) -> Fraction | None:
    """An edge of the envelope in the unit of a point."""
    if edge_kw is None:
        return None
    if what in ("power", "fallback power", "magnitude"):
        return edge_kw / Fraction(repr(conversion(point.unit, "kW") or 1.0))
    whole_kw = {
        "percent of rating": ratings.power_kw,
        "fallback percent of rating": ratings.power_kw,
        "percent of discharge": ratings.discharge_kw,
    }.get(what, ratings.charge_kw)
    if not is_usable(whole_kw):
        # Without a rating nothing but 0 is written, and 0 is within or was refused before.
        return None
    share = 100 * edge_kw / Fraction(repr(whole_kw))
    return -share if what == "percent of charge" else share


def _tolerance(point: Point, power_kw: float, ratings: Ratings) -> float:
    """How far a power may read back from what was written: 1 % of the rating, in the point's unit."""
    if point.tolerance is not None:
        return point.tolerance
    per_kw = conversion(point.unit, "kW")
    if per_kw is None:
        return _TOLERANCE_PERCENT
    whole_kw = ratings.power_kw if is_usable(ratings.power_kw) else abs(power_kw)
    return _TOLERANCE_PERCENT / 100.0 * whole_kw / per_kw
