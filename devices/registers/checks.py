"""What is wrong with a profile: the first of its mistakes, with the key and the remedy."""

import math
import re
from collections.abc import Iterator

from devices.errors import RangeError
from devices.registers.points import BITS, FLOATS, TIMES, Point, encode, word_count
from devices.registers.schema import ARGUMENTS, QUANTITIES, REQUIRED, Profile, Recipe, conversion

_POWERS = ("power", "magnitude", "fallback power")
_SCALES = ("sunssf", "int16")
_SUM = re.compile(r"\s*[^\s+]+(\s+[+-]\s+[^\s+]+)*\s*")
_ONE_WAY = ("charging", "discharging")


def first_mistake(profile: Profile) -> str | None:
    """First mistake in a profile; ``None`` where there is none."""
    for check in (_points_wrong, _quantities_wrong, _traits_wrong, _recipes_wrong):
        for wrong in check(profile):
            return wrong
    return None


def _points_wrong(profile: Profile) -> Iterator[str]:
    if profile.corrections and not profile.sunspec:
        yield "corrections are for SunSpec points; correct the points themselves"
    for name in profile.corrections:
        if _found(profile, name) is None:
            yield f"corrections.{name}: there is no such SunSpec point; correct the name"
    end = profile.modbus.length or 65536
    for name, point in profile.points.items():
        if not 0 <= point.at <= end - word_count(point):
            yield f"points.{name}: register {point.at} lies outside the map; correct at or modbus.length"
        if word_count(point) > profile.modbus.max_registers:
            yield f"points.{name} is longer than modbus.max_registers; correct one of them"
        scale = profile.points.get(point.sf) if isinstance(point.sf, str) else None
        if isinstance(point.sf, str) and scale is None:
            yield f"points.{name}: there is no scale factor {point.sf}; add it"
        if scale is not None and (scale.sf is not None or scale.type not in _SCALES):
            yield f"points.{name}: {point.sf} is no scale factor; one is a whole number of one register"
        if not 0.0 < point.scale < math.inf:
            yield f"points.{name}: scale {point.scale:g} is not positive; use sign = -1 to turn the sign"
        yield from _form_wrong(name, point)


def _form_wrong(name: str, point: Point) -> Iterator[str]:
    if point.limits is not None and not point.limits[0] <= point.limits[1]:
        yield f"points.{name}: limits {point.limits[0]:g} to {point.limits[1]:g} hold nothing; swap them"
    if point.bits is not None:
        first, last = point.bits
        if point.type in (*FLOATS, *BITS, "string") or not 0 <= first <= last < 16 * word_count(point):
            yield f"points.{name}: bits {first} to {last} are not within it; correct them"
        if point.rw:
            # The other bits of the register would be overwritten.
            yield f"points.{name}: some bits of a register cannot be written alone; write the whole"
    if point.type == "discrete" and point.rw:
        yield f"points.{name}: a discrete input cannot be written; use a coil"
    if not point.readable and not point.rw:
        yield f"points.{name} can be neither read nor written; correct readable or rw"


def _quantities_wrong(profile: Profile) -> Iterator[str]:
    known = QUANTITIES[profile.kind]
    for quantity in (*REQUIRED[profile.kind], *profile.required):
        if quantity not in profile.quantities:
            yield f"quantities: a {profile.kind} has to tell {quantity}; add it"
    for quantity in profile.quantities:
        if quantity not in known:
            yield f"quantities.{quantity}: a {profile.kind} has {', '.join(known)}; use one of them"
            continue
        listed = profile.quantities[quantity]
        for text in (listed,) if isinstance(listed, str) else listed:
            if not _SUM.fullmatch(text.replace("+", " + ")):
                yield f"quantities.{quantity}: {text!r} is no sum; write names with + or - between them"
        for terms in profile.alternatives(quantity):
            names = [name for name, _ in terms]
            if len({point.unit for name in names if (point := _found(profile, name))}) > 1:
                yield f"quantities.{quantity}: {' + '.join(names)} have different units; use one"
            for name in names:
                yield from _term_wrong(profile, quantity, name, known[quantity])


def _term_wrong(profile: Profile, quantity: str, name: str, unit: str) -> Iterator[str]:
    point = _found(profile, name)
    if point is None:
        yield f"quantities.{quantity}: there is no point {name}; add it to points or correct the name"
    elif point.type == "string" or not point.readable:
        yield f"quantities.{quantity}: {name} tells no number; use another point"
    elif conversion(point.unit, unit) is None:
        yield f"quantities.{quantity}: {name} is not in {unit} or the like; correct its unit"


def _traits_wrong(profile: Profile) -> Iterator[str]:
    for key, traits in (("identify", profile.identify), ("needs", profile.needs)):
        for trait in traits:
            point = _found(profile, trait.point)
            if point is None or not point.readable:
                yield f"{key}: there is no point {trait.point} that can be read; correct the name"
            elif (point.type == "string") != bool(trait.contains):
                yield f"{key}: {trait.point} needs contains if it is a text, else by equals or between"
            elif not trait.contains and bool(trait.equals) == (trait.between is not None):
                yield f"{key}: {trait.point} needs either equals or between; give one of them"
            elif any(isinstance(one, str) and one not in point.names for one in trait.equals):
                yield f"{key}: {trait.point} has no number of that name; add it to its names"
            elif key == "needs" and not trait.reason:
                yield f"needs: {trait.point} lacks reason; say what it means and what to do"


def _recipes_wrong(profile: Profile) -> Iterator[str]:
    if profile.commands.set and not profile.commands.release:
        yield "commands: a device that can be set has to be released; add commands.release"
    directions = {recipe.when for recipe in profile.commands.set}
    if directions & {*_ONE_WAY} and not {*_ONE_WAY} <= directions:
        yield "commands: set by direction needs recipes for charging and for discharging; add the other"
    if directions & {*_ONE_WAY} and not directions & {"idle", None}:
        yield 'commands: set by direction needs a recipe for no power; add one with when = "idle"'
    if directions & {*_ONE_WAY} and profile.kind != "battery":
        yield "commands: only batteries are set by direction; leave when out"
    for recipe in profile.commands.release:
        if any(what in ARGUMENTS for batch in recipe.writes for what in batch.values()) or recipe.when:
            yield "commands.release writes numbers alone, whatever the power; correct it"
    for recipe in (*profile.commands.set, *profile.commands.release):
        for name, what in (item for batch in recipe.writes for item in batch.items()):
            yield from _write_wrong(profile, recipe, name, what)
    yield from _shared_magnitudes(profile)


def _shared_magnitudes(profile: Profile) -> Iterator[str]:
    """Points that would carry a power of one direction for a moment while the mode is the other's."""
    openings: dict[str, tuple[str | None, dict[str, float | str]]] = {}
    for recipe in profile.commands.set:
        for name in (n for batch in recipe.writes for n, what in batch.items() if what == "magnitude"):
            when, opening = openings.setdefault(name, (recipe.when, recipe.writes[0]))
            if when != recipe.when and (opening != recipe.writes[0] or "magnitude" in opening.values()):
                yield (
                    f"commands: {name} takes powers of both directions; let the writes of both recipes begin "
                    "with the same entry that stops the device"
                )


def _write_wrong(profile: Profile, recipe: Recipe, name: str, what: float | str) -> Iterator[str]:
    point = _found(profile, name)
    if point is None or not point.rw:
        yield f"commands: {name} is no point that may be written; add rw = true or correct the name"
        return
    if point.type == "string":
        yield f"commands: {name} holds a text, which no command writes; use another point"
        return
    yield from _constant_wrong(profile, name, what)
    if isinstance(what, str) and what not in ARGUMENTS and what not in point.names:
        yield f"commands: {name} has no number named {what!r}; use one of {', '.join(sorted(ARGUMENTS))}"
    if recipe in profile.commands.set and what not in (0, *ARGUMENTS) and conversion(point.unit, "kW"):
        yield f"commands: {name} carries a power, so only 0 or a set-point may be written; correct it"
    if what in _POWERS and conversion(point.unit, "kW") is None:
        yield f"commands: {name} is in {point.unit}, so it can hold no power; correct its unit"
    if what == "magnitude" and recipe.when not in _ONE_WAY:
        yield f"commands: {name} holds a magnitude, so its recipe needs when: charging or discharging"
    if what == "revert" and point.unit not in TIMES:
        yield f"commands: {name} holds a time in {point.unit}; correct its unit to s or min"
    if profile.modbus.write_function == 6 and word_count(point) > 1:
        # Between its words the register would hold a power that nobody has asked for.
        yield f"commands: modbus.write_function 6 writes the registers of {name} one by one; use 16"


def _constant_wrong(profile: Profile, name: str, what: float | str) -> Iterator[str]:
    """A number that the register cannot hold, as far as that shows without the device."""
    point = profile.point(name)
    number = profile.expected(name, what)
    if number is None or isinstance(point.sf, str):
        return
    try:
        encode(point, number, point.sf or 0)
    except RangeError as error:
        yield f"commands: {name}: {error}"


def _found(profile: Profile, name: str) -> Point | None:
    try:
        return profile.point(name)
    except KeyError:
        return None
