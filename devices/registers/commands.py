"""Which registers carry out a set-point: the first recipe of the profile whose points a device has."""

import math
from collections.abc import Collection

import msgspec

from devices.errors import MissingControl
from devices.registers.points import INTEGERS, Point
from devices.registers.schema import Argument, Profile, Recipe, conversion

LONGEST_REVERT_S = 0xFFFF_FFFE


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
    """

    writes: list[dict[str, float]]
    optional: frozenset[str] = frozenset()
    renew: bool = True
    revert_s: float = math.inf


class Ratings(msgspec.Struct, frozen=True):
    """What an inverter says it can do [kW, kWh]; ``None`` where it does not tell."""

    power_kw: float | None
    charge_kw: float | None = None
    discharge_kw: float | None = None
    capacity_kwh: float | None = None


def set_power(
    profile: Profile, has: Collection[str], ratings: Ratings, power_kw: float, valid_s: float, where: str
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

    Raises
    ------
    MissingControl
        The profile has no recipe for this device, or the device does not tell a rating that it needs.
    """
    recipe = _choose(profile.commands.set, has, where)
    arguments = {
        "power": power_kw,
        "percent of rating": _percent(power_kw, ratings.power_kw),
        "percent of discharge": _percent(power_kw, ratings.discharge_kw),
        "percent of charge": _percent(-power_kw, ratings.charge_kw),
        "revert": min(math.ceil(valid_s), LONGEST_REVERT_S),
    }
    revert = recipe.revert if recipe.revert in has else None
    fits = valid_s > 0.0 and revert is not None
    return Command(
        [_values(profile, batch, has, arguments, where) for batch in recipe.writes],
        frozenset(recipe.optional) & frozenset(has),
        recipe.renew,
        _bounded(profile.point(revert), arguments["revert"] or 0.0) if fits and revert else math.inf,
    )


def release(profile: Profile, has: Collection[str], where: str) -> Command:
    """Registers that give control back to a device; parameters and errors as in `set_power`."""
    recipe = _choose(profile.commands.release, has, where)
    batches = [_values(profile, batch, has, {}, where) for batch in recipe.writes]
    return Command(batches, frozenset(recipe.optional) & frozenset(has), recipe.renew)


def _choose(recipes: Collection[Recipe], has: Collection[str], where: str) -> Recipe:
    for recipe in recipes:
        if all(name in has or name in recipe.optional for batch in recipe.writes for name in batch):
            return recipe
    raise MissingControl(f"{where} has no registers through which it could be commanded; check its profile")


def _values(
    profile: Profile,
    batch: dict[str, float | Argument],
    has: Collection[str],
    arguments: dict[str, float | None],
    where: str,
) -> dict[str, float]:
    values: dict[str, float] = {}
    for name, what in batch.items():
        if name not in has:
            continue
        point = profile.point(name)
        value = arguments[what] if isinstance(what, str) else float(what)
        if value is None:
            raise MissingControl(f"{where} tells no rating, of which {name} is a share; check its settings")
        if what == "power":
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
    return 100.0 * power_kw / whole_kw if whole_kw else None
