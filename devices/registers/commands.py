"""Which registers carry out a set-point: the first recipe of the profile whose points a device has."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property

import msgspec

from devices.errors import MissingControl, RangeError
from devices.kinds import DeviceKind
from devices.limits import FREE, SetPointLimits, admissible_kw, may_leave, released_kw
from devices.registers.bounded import ANYWHERE, Bounds, encode_within
from devices.registers.envelope import envelope_bounds, tolerances
from devices.registers.points import INTEGERS, TIMES, Point
from devices.registers.ratings import Ratings, percent_of
from devices.registers.schema import ARGUMENTS, Argument, Profile, Recipe, conversion

_OF_RATING: frozenset[Argument] = frozenset(
    {"percent of rating", "percent of charge", "percent of discharge", "discharge in percent of charge"}
)
LONGEST_REVERT_S = 0xFFFF_FFFE
_FALLBACKS: tuple[Argument, ...] = ("fallback power", "fallback percent of rating", "fallback enable")


class Command(msgspec.Struct, frozen=True, dict=True):
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
    unread, unverified
        Points that cannot be read back, and those that may read back as anything.
    pause_s
        Time after each entry of ``writes`` [s].
    is_share
        Whether it says a power, other than none, as a share of a rating.
    """

    writes: list[dict[str, float]]
    optional: frozenset[str] = frozenset()
    renew: bool = True
    revert_s: float = math.inf
    revert_point: str | None = None
    bounds: Mapping[str, Bounds] = {}
    tolerance: Mapping[str, float] = {}
    unread: frozenset[str] = frozenset()
    unverified: frozenset[str] = frozenset()
    pause_s: float = 0.0
    is_share: bool = False

    @cached_property
    def values(self) -> dict[str, float]:
        """All points and values."""
        return {name: value for batch in self.writes for name, value in batch.items()}

    @cached_property
    def read(self) -> tuple[str, ...]:
        """Points that are read back."""
        return tuple(name for name in self.values if name not in self.unread)


def set_power(
    profile: Profile,
    has: Collection[str],
    ratings: Ratings,
    power_kw: float,
    valid_s: float,
    where: str,
    limits: SetPointLimits = FREE,
    beat: int = 0,
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
        What the power may not leave, nor what the device falls back to where it can be commanded.
    beat
        Number of this command, for devices that want to see a register change.

    Raises
    ------
    MissingControl
        The profile has no recipe for this device, or the device tells no usable rating where it needs one.
    RangeError
        The power is not finite.
    """
    power_kw = admissible_kw(limits, power_kw)
    recipe = choose(profile.commands.set, has, where, power_kw)
    fallback_kw = _fallback_kw(profile.kind, ratings, limits)
    arguments: dict[Argument, float | None] = {
        **_shares(power_kw, ratings),
        "heartbeat": float(beat),
        "revert": min(math.ceil(valid_s), LONGEST_REVERT_S),
        **_fallback(fallback_kw, ratings),
    }
    batches = [_values(profile, batch, has, arguments, recipe.optional, where) for batch in recipe.writes]
    revert = recipe.revert if recipe.revert in has else None
    revert_s = recipe.reverts_after_s or math.inf
    if revert is not None and (at := next(batch[revert] for batch in batches if revert in batch)):
        revert_s = at * TIMES[profile.point(revert).unit or "s"]
    beats = {name for batch in recipe.writes for name, what in batch.items() if what == "heartbeat"}
    return Command(
        batches,
        frozenset(recipe.optional) & frozenset(has),
        recipe.renew or recipe.reverts_after_s is not None,
        revert_s,
        revert,
        envelope_bounds(profile, recipe, has, ratings, limits),
        tolerances(profile, recipe, has, ratings, power_kw),
        _unread(profile, batches),
        frozenset(beats),
        recipe.pause_s,
        bool(power_kw) and any(what in _OF_RATING for batch in recipe.writes for what in batch.values()),
    )


def command_words(
    command: Command, points: Mapping[str, Point], scale_factor: Callable[[str], int | None], where: str
) -> list[dict[str, list[int]]]:
    """Words of a command's points: the one way from a set-point to registers, wherever it comes from.

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

    Returns
    -------
    list
        Words by name for each entry of ``command.writes``.

    Raises
    ------
    MissingControl
        The scale factor of a value other than 0 is not implemented.
    RangeError
        A value does not fit its register within its bounds.
    """

    def words(name: str, value: float) -> list[int]:
        sf = scale_factor(name)
        if sf is None and value != 0.0:
            raise MissingControl(
                f"{where} says of {name} that its scale factor is not implemented; check its settings"
            )
        try:
            # 0 is 0 at any scale, so that a device can be brought to it although its scale is unknown.
            return encode_within(points[name], value, sf or 0, command.bounds.get(name, ANYWHERE))
        except RangeError as error:
            raise RangeError(f"{where}, {name}: {error}") from None

    return [{name: words(name, value) for name, value in batch.items()} for batch in command.writes]


def release(profile: Profile, has: Collection[str], where: str) -> Command:
    """Registers that give control back to a device; parameters and errors as in `set_power`."""
    recipe = choose(profile.commands.release, has, where)
    batches = [_values(profile, batch, has, {}, recipe.optional, where) for batch in recipe.writes]
    return Command(
        batches,
        frozenset(recipe.optional) & frozenset(has),
        recipe.renew,
        unread=_unread(profile, batches),
        pause_s=recipe.pause_s,
    )


def choose(
    recipes: Collection[Recipe], has: Collection[str], where: str, power_kw: float | None = None
) -> Recipe:
    """First recipe for a power, or for any, whose points a device has; raises `MissingControl`."""
    for recipe in recipes:
        if recipe.is_for(power_kw) and all(map(has.__contains__, recipe.needed)):
            return recipe
    raise MissingControl(f"{where} has no registers through which it could be commanded; check its profile")


def _values(
    profile: Profile,
    batch: dict[str, float | str],
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
        if what not in ARGUMENTS:
            values[name] = float(profile.expected(name, what) or 0.0)
            continue
        value = arguments[what]  # type: ignore[index]
        if value is None and what in _FALLBACKS and name in optional:
            continue
        if value is None:
            raise MissingControl(f"{where} tells no rating, of which {name} is a share; check its settings")
        values[name] = _in_unit(point, what, value)  # type: ignore[arg-type]
    return values


def _unread(profile: Profile, batches: Sequence[Mapping[str, float]]) -> frozenset[str]:
    return frozenset(name for batch in batches for name in batch if not profile.point(name).readable)


def _in_unit(point: Point, what: Argument, value: float) -> float:
    """Argument in the unit of a point, within its limits; a time also within its register."""
    low, high = point.limits or (-math.inf, math.inf)
    if what in ("power", "fallback power", "magnitude"):
        value /= conversion(point.unit, "kW") or 1.0
    elif what == "heartbeat":
        return _beat(point, int(value))
    elif what == "revert":
        if point.type in INTEGERS:
            high = min(high, INTEGERS[point.type].high * point.scale)
        # Where 0 is no time that it takes, never is the longest that it does.
        value = high if value == 0.0 < low else math.ceil(value / TIMES[point.unit or "s"])
    return min(max(value, low), high)


def _beat(point: Point, beat: int) -> float:
    """Another number with each beat, within the limits of a point."""
    low, high = point.limits or (0.0, 0x7FFF)
    return low + beat % (int(high - low) + 1)


def _shares(power_kw: float, ratings: Ratings) -> dict[Argument, float | None]:
    """A power in the terms that registers have for it."""
    return {
        "power": power_kw,
        "percent of rating": percent_of(power_kw, ratings.power_kw),
        "percent of discharge": percent_of(power_kw, ratings.discharge_kw),
        "percent of charge": percent_of(-power_kw, ratings.charge_kw),
        "discharge in percent of charge": percent_of(power_kw, ratings.charge_kw),
        "magnitude": abs(power_kw),
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
