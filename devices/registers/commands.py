"""Which registers carry out a set-point: the first recipe of the profile whose points a device has."""

import math
from collections.abc import Callable, Collection, Mapping

import msgspec

from devices.errors import MissingControl, RangeError
from devices.kinds import DeviceKind
from devices.limits import FREE, SetPointLimits, admissible_kw, may_leave, released_kw
from devices.registers.bounded import ANYWHERE, Bounds, encode_within
from devices.registers.envelope import envelope_bounds, tolerances
from devices.registers.points import INTEGERS, Point
from devices.registers.ratings import Ratings, percent_of
from devices.registers.schema import Argument, Profile, Recipe, conversion

LONGEST_REVERT_S = 0xFFFF_FFFE
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
        envelope_bounds(profile, recipe, has, ratings, limits),
        tolerances(profile, recipe, has, ratings, power_kw),
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


def _shares(power_kw: float, ratings: Ratings) -> dict[Argument, float | None]:
    """A power in the terms that registers have for it."""
    return {
        "power": power_kw,
        "percent of rating": percent_of(power_kw, ratings.power_kw),
        "percent of discharge": percent_of(power_kw, ratings.discharge_kw),
        "percent of charge": percent_of(-power_kw, ratings.charge_kw),
        "discharge in percent of charge": percent_of(power_kw, ratings.charge_kw),
    }


def _fallback_kw(kind: DeviceKind, ratings: Ratings, limits: SetPointLimits) -> float | None:
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
        "fallback percent of rating": percent_of(fallback_kw, ratings.power_kw),
        "fallback enable": 1.0,
    }
