"""Texts that devices send and are sent: numbers out of them, and set-points into them.

`within` is the last step before a set-point leaves: it clamps in the unit and the steps of the device.
"""

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec

from devices.errors import MissingControl, RangeError
from devices.limits import SetPointLimits, admissible_kw
from devices.registers.bounded import exact
from devices.registers.ratings import Ratings, is_usable
from devices.sources.schema import Commands
from sharegrid.decoding import decode_json

# What Home Assistant and others write in place of a number that they do not have.
_ABSENT = {"", "unavailable", "unknown", "none", "null", "nan"}
_PER_KW = {"W": Fraction(1000), "kW": Fraction(1)}


class NotThere(ValueError):
    """A JSON text has no such place."""


def number_in(body: bytes, path: str) -> float | None:
    """Number in a text, or at a path of its JSON; ``None`` where the device says that it has none.

    Raises
    ------
    ValueError
        There is something else; says what.
    """
    found = text_in(body, path)
    if found is None or isinstance(found, bool):
        return None if found is None else float(found)
    if isinstance(found, str):
        if found.strip().lower() in _ABSENT:
            return None
        found = float(found)
    if not isinstance(found, int | float):
        raise ValueError(f"{str(found)[:40]!r} is no number")  # noqa: TRY004  # of a text, not of a type
    try:
        return float(found) if math.isfinite(found) else None
    except OverflowError:  # A whole number has more digits than any float.
        return None


def text_in(body: bytes, path: str) -> Any:
    """What stands at a path of a JSON text, or without a path the whole text; raises ``ValueError``."""
    text = body.decode("utf-8", errors="strict")
    if not path:
        return text
    try:
        found: Any = decode_json(body)
    except msgspec.DecodeError:
        raise ValueError(f"{text[:40]!r} is no JSON") from None
    for key in path.split("."):
        if isinstance(found, dict) and key in found:
            found = found[key]
        elif isinstance(found, list) and key.isdigit() and int(key) < len(found):
            found = found[int(key)]
        else:
            raise NotThere(f"there is no {key} of {path}")
    return found


def within(power_kw: float, commands: Commands, limits: SetPointLimits, ratings: Ratings) -> Decimal:
    """Number that stands for a set-point in the device's unit and steps, within the envelope.

    Parameters
    ----------
    power_kw
        What is wanted [kW].
    commands
        Unit, sign and step of the device.
    limits
        What the number must not leave.
    ratings
        100 % where the unit is a percentage.

    Raises
    ------
    RangeError
        The power is not finite, or no step of the device lies within the envelope.
    MissingControl
        The device tells no usable rating, of which a number other than 0 would be a share.
    """
    wanted = exact(admissible_kw(limits, power_kw))
    if wanted is None:
        raise RangeError(f"a set-point of {power_kw} kW cannot be sent; send a finite one")
    per_kw = _per_kw(commands, ratings, float(wanted))
    step = Fraction(repr(commands.step))
    edges = [exact(limits.min_kw), exact(limits.max_kw)]
    least, most = (None if edge is None else edge * per_kw / step for edge in edges[:: commands.sign])
    number = round(wanted * per_kw / step)
    low = number if least is None else max(number, math.ceil(least))
    number = low if most is None else min(low, math.floor(most))
    if least is not None and number < least:
        raise RangeError(
            f"no multiple of {commands.step:g} {commands.unit} lies within the envelope; "
            "widen min_kw to max_kw"
        )
    return Decimal(number) * Decimal(repr(commands.step))


def kw_of(number: float, commands: Commands, ratings: Ratings) -> float:
    """Power that a number of the device stands for [kW]."""
    return float(Fraction(number) / _per_kw(commands, ratings, number))


def _per_kw(commands: Commands, ratings: Ratings, number: float) -> Fraction:
    if commands.unit in _PER_KW:
        return commands.sign * _PER_KW[commands.unit]
    if number == 0.0:
        return Fraction(commands.sign)  # 0 is 0 % of anything.
    if not is_usable(ratings.power_kw):
        raise MissingControl(
            "the device tells no rating, of which a set-point is a share; add constants.rating_kw"
        )
    return commands.sign * 100 / Fraction(repr(ratings.power_kw))


def filled(text: str, values: dict[str, str]) -> str:
    """Text with what stands between its braces; other braces stay, as JSON has them."""
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text
