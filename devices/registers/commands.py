"""Which registers carry out a set-point: the first recipe of the profile whose points a device has."""

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from fractions import Fraction
from typing import TypeGuard

import msgspec

from devices.errors import MissingControl, RangeError
from devices.limits import FREE, SetPointLimits, admissible_kw, may_leave, released_kw
from devices.registers.bounded import ANYWHERE, Bounds, encode_within, exact
from devices.registers.points import INTEGERS, Point
from devices.registers.schema import Argument, Profile, Recipe, conversion

LONGEST_REVERT_S = 0xFFFF_FFFE
# Devices round what is written to whole percent, up or down.
_TOLERANCE_PERCENT = 1.0
_FALLBACKS: tuple[Argument, ...] = ("fallback power", "fallback percent of rating", "fallback enable")


class Command(msgspec.Struct, frozen=True):
    """Registers to write and to read back.

    Attributes
    ----------
    writes
        Points and values in the order in which they have to be written; those of one entry go out
        together where their registers touch.
    optional
        Points that a device may lack: they are verified unless they read as not implemented.
    renew
        Whether to write what the registers hold already, which starts revert times anew.
    revert_s
        Seconds after which the device falls back by itself; infinity where it never does.
    revert_point
        Point that holds this time, where the device has one.
    bounds
        Least and greatest value of each point that carries a power, in its unit.
    tolerance
        How far such a point may read back from what was written, in its unit: devices round.
    """

    writes: list[dict[str, float]]
    optional: frozenset[str] = frozenset()
    renew: bool = True
    revert_s: float = math.inf
    revert_point: str | None = None
    bounds: Mapping[str, Bounds] = {}
    tolerance: Mapping[str, float] = {}

    @property
    def values(self) -> dict[str, float]:
        """All points and values."""
        return {name: value for batch in self.writes for name, value in batch.items()}


class Ratings(msgspec.Struct, frozen=True):
    """What an inverter says it can do [kW, kWh]; ``None`` where it does not tell."""

    power_kw: float | None
    charge_kw: float | None = None
    discharge_kw: float | None = None
    capacity_kwh: float | None = None

    def range_kw(self, kind: str) -> tuple[float | None, float | None]:
        """Least and greatest power that a ``pv`` inverter or a ``battery`` can have [kW]."""
        if kind == "pv":
            return 0.0, self.power_kw
        return None if self.charge_kw is None else -self.charge_kw, self.discharge_kw


def set_power(
    profile: Profile,
    has: Collection[str],
    ratings: Ratings,
    power_kw: float,
    valid_s: float,
    where: str,
    limits: SetPointLimits = FREE,
) -> Command:
    """Registers that limit a PV inverter or set a battery's power.

    Parameters
    ----------
    profile
        What the device speaks.
    has
        Points that the device has.
    ratings
        Powers that count as 100 % where registers hold percentages.
    power_kw
        The most that PV may generate, or the battery's power, + discharging [kW].
    valid_s
        Seconds after which the set-point falls away by itself; 0 means never.
    where
        Name of the device for the error.
    limits
        What the power may not leave, nor what the device falls back to where it can be told.

    Raises
    ------
    MissingControl
        The profile has no recipe for this device, or the device tells no usable rating where it needs one.
    RangeError
        The power is not finite.
    """
    recipe = choose(profile.commands.set, has, where)
    power_kw = admissible_kw(limits, power_kw)
    fallback_kw = _fallback_kw(profile.kind, ratings, limits)
    arguments: dict[Argument, float | None] = {
        **_shares(power_kw, ratings),
        "revert": min(math.ceil(valid_s), LONGEST_REVERT_S),
        **_fallback(fallback_kw, ratings),
    }
    revert = recipe.revert if recipe.revert in has else None
    fits = valid_s > 0.0 and revert is not None
    return Command(
        [_values(profile, batch, has, arguments, recipe.optional, where) for batch in recipe.writes],
        frozenset(recipe.optional) & frozenset(has),
        recipe.renew,
        _bounded(profile.point(revert), arguments["revert"] or 0.0) if fits and revert else math.inf,
        revert,
        _all_bounds(profile, recipe, has, ratings, limits),
        {
            name: _tolerance(profile.point(name), power_kw, ratings)
            for name, what in _powers(recipe)
            if name in has
        },
    )


def command_words(
    command: Command, points: Mapping[str, Point], scale_factor: Callable[[str], int | None], where: str
) -> dict[str, list[int]]:
    """Words of every point of a command: the one way from a set-point to registers, wherever it comes from.

    Parameters
    ----------
    command
        What is to be written.
    points
        The points by name.
    scale_factor
        Scale factor in force of a point; ``None`` where the device says that it has none.
    where
        Name of the device for the error.

    Raises
    ------
    MissingControl
        The scale factor of a value other than 0 is not implemented.
    RangeError
        A value does not fit its register within its bounds.
    """
    words: dict[str, list[int]] = {}
    for name, value in command.values.items():
        sf = scale_factor(name)
        if sf is None and value != 0.0:
            raise MissingControl(
                f"{where} says of {name} that its scale factor is not implemented; check its settings"
            )
        try:
            # 0 is 0 at any scale, so that a device can be brought to it although its scale is unknown.
            words[name] = encode_within(points[name], value, sf or 0, command.bounds.get(name, ANYWHERE))
        except RangeError as error:
            raise RangeError(f"{where}, {name}: {error}") from None
    return words


def release(profile: Profile, has: Collection[str], where: str) -> Command:
    """Registers that give control back to a device; parameters and errors as in `set_power`."""
    recipe = choose(profile.commands.release, has, where)
    batches = [_values(profile, batch, has, {}, recipe.optional, where) for batch in recipe.writes]
    return Command(batches, frozenset(recipe.optional) & frozenset(has), recipe.renew)


def choose(recipes: Collection[Recipe], has: Collection[str], where: str) -> Recipe:
    """First recipe whose points a device has; raises `MissingControl`."""
    for recipe in recipes:
        if all(name in has or name in recipe.optional for batch in recipe.writes for name in batch):
            return recipe
    raise MissingControl(f"{where} has no registers through which it could be commanded; check its profile")


def _values(
    profile: Profile,
    batch: dict[str, float | Argument],
    has: Collection[str],
    arguments: Mapping[Argument, float | None],
    optional: Collection[str],
    where: str,
) -> dict[str, float]:
    values: dict[str, float] = {}
    for name, what in batch.items():
        if name not in has:
            continue
        point = profile.point(name)
        value = arguments[what] if isinstance(what, str) else float(what)
        if value is None and what in _FALLBACKS and name in optional:
            continue
        if value is None:
            raise MissingControl(f"{where} tells no rating, of which {name} is a share; check its settings")
        if what in ("power", "fallback power"):
            value /= conversion(point.unit, "kW") or 1.0
        values[name] = _bounded(point, value) if isinstance(what, str) else value
    return values


def _bounded(point: Point, value: float) -> float:
    """Value within the limits of its point; a time also within its register."""
    low, high = point.limits or (-math.inf, math.inf)
    if point.unit == "s" and point.type in INTEGERS:
        high = min(high, INTEGERS[point.type].high * point.scale)
    return min(max(value, low), high)


def _percent(power_kw: float, whole_kw: float | None) -> float | None:
    """Share of a rating; ``None`` where the rating is none, except for 0, which is 0 % of anything."""
    if power_kw == 0.0:
        return 0.0
    return 100.0 * power_kw / whole_kw if _is_usable(whole_kw) else None


def _is_usable(rating_kw: float | None) -> TypeGuard[float]:
    return rating_kw is not None and math.isfinite(rating_kw) and rating_kw > 0.0


def _shares(power_kw: float, ratings: Ratings) -> dict[Argument, float | None]:
    """A power in the terms that registers have for it."""
    return {
        "power": power_kw,
        "percent of rating": _percent(power_kw, ratings.power_kw),
        "percent of discharge": _percent(power_kw, ratings.discharge_kw),
        "percent of charge": _percent(-power_kw, ratings.charge_kw),
        "discharge in percent of charge": _percent(power_kw, ratings.charge_kw),
    }


def _fallback_kw(kind: str, ratings: Ratings, limits: SetPointLimits) -> float | None:
    """What a device has to fall back to in order to stay within its envelope; ``None`` for its default."""
    if not limits.has_envelope or not may_leave(limits, *ratings.range_kw(kind)):
        return None
    return released_kw(limits, kind, ratings.power_kw)


def _fallback(fallback_kw: float | None, ratings: Ratings) -> dict[Argument, float | None]:
    """Arguments for points that say what holds once the revert time is over."""
    if fallback_kw is None:
        return dict.fromkeys(_FALLBACKS)
    return {
        "fallback power": fallback_kw,
        "fallback percent of rating": _percent(fallback_kw, ratings.power_kw),
        "fallback enable": 1.0,
    }


def _powers(recipe: Recipe) -> Iterator[tuple[str, Argument]]:
    """Points of a recipe that carry a power, and in which terms."""
    for name, what in (item for batch in recipe.writes for item in batch.items()):
        if isinstance(what, str) and what not in ("revert", "fallback enable"):
            yield name, what


def _tolerance(point: Point, power_kw: float, ratings: Ratings) -> float:
    """How far a power may read back from what was written: 1 % of the rating, in the point's unit."""
    per_kw = conversion(point.unit, "kW")
    if per_kw is None:
        return _TOLERANCE_PERCENT
    whole_kw = ratings.power_kw if _is_usable(ratings.power_kw) else abs(power_kw)
    return _TOLERANCE_PERCENT / 100.0 * whole_kw / per_kw


def _all_bounds(
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
            found[name] = _narrowed((high, low) if what == "percent of charge" else (low, high), point)
    return found


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
    if what in ("power", "fallback power"):
        return edge_kw / Fraction(repr(conversion(point.unit, "kW") or 1.0))
    whole_kw = {
        "percent of rating": ratings.power_kw,
        "fallback percent of rating": ratings.power_kw,
        "percent of discharge": ratings.discharge_kw,
    }.get(what, ratings.charge_kw)
    if not _is_usable(whole_kw):
        # Without a rating nothing but 0 is written, and 0 is within or was refused before.
        return None
    share = 100 * edge_kw / Fraction(repr(whole_kw))
    return -share if what == "percent of charge" else share
