"""Words of a set-point that must not leave an envelope: the last step before the wire.

Scaling and rounding move a value a little, so it is kept within its bounds in the units of the register
itself. Bounds are exact fractions of what stands in decimals: 0.3 is three tenths and not a little less.
"""

import math
from fractions import Fraction

import msgspec
import numpy as np

from devices.errors import RangeError
from devices.registers.points import FLOATS, Point, decode, encode

Bounds = tuple[Fraction | None, Fraction | None]
ANYWHERE: Bounds = (None, None)


def exact(number: float) -> Fraction | None:
    """A number as it is written in decimals; ``None`` for an infinite one, which bounds nothing."""
    return Fraction(repr(float(number))) if math.isfinite(number) else None


def encode_within(point: Point, value: float, sf: int, bounds: Bounds) -> list[int]:
    """Words of the number nearest to a value that a register can hold within bounds.

    Parameters
    ----------
    point
        The point to be written, of a numeric type.
    value
        Value in the point's unit.
    sf
        Scale factor in force.
    bounds
        Least and greatest value that the words may stand for, in the point's unit; ``None`` for any.

    Returns
    -------
    list of int
        Words 0..65535.

    Raises
    ------
    RangeError
        The value is not finite, nothing within the bounds fits the register, or the words would stand for
        something else.
    """
    if not math.isfinite(value):
        raise RangeError(f"{value} cannot be written to a register; give a finite number")
    if bounds == ANYWHERE:
        return encode(point, value, sf)
    low, high = bounds
    if low is not None and high is not None and low > high:
        raise _nothing_fits(point)
    value = max(value, -math.inf if low is None else float(low))
    value = min(value, math.inf if high is None else float(high))
    plain = msgspec.structs.replace(point, scale=1.0, sign=1, sf=None)
    step = point.sign * Fraction(repr(point.scale)) * (1 if point.type in FLOATS else Fraction(10) ** sf)
    numbers = [None if edge is None else edge / step for edge in (low, high)]
    least, most = numbers if step > 0 else reversed(numbers)
    if point.type in FLOATS:
        words = encode(plain, _nearest_float(point, value / float(step), least, most))
    else:
        words = encode(plain, _nearest_integer(point, round(exact(value) / step), least, most))  # type: ignore[operator]
    _assert_within(point, decode(plain, words), step, bounds)
    return words


def _nearest_integer(point: Point, number: int, least: Fraction | None, most: Fraction | None) -> int:
    low = number if least is None else math.ceil(least)
    high = number if most is None else math.floor(most)
    if low > high and least is not None and most is not None:
        raise _nothing_fits(point)
    if least is not None:
        number = max(number, low)
    return number if most is None else min(number, high)


def _nearest_float(point: Point, number: float, least: Fraction | None, most: Fraction | None) -> float:
    kind = np.float32 if point.type == "float32" else np.float64
    stored = kind(number)
    if not np.isfinite(stored):
        raise _nothing_fits(point)
    while most is not None and Fraction(float(stored)) > most:
        stored = np.nextafter(stored, kind(-np.inf))
    while least is not None and Fraction(float(stored)) < least:
        stored = np.nextafter(stored, kind(np.inf))
    if most is not None and Fraction(float(stored)) > most:
        raise _nothing_fits(point)
    return float(stored)


def _assert_within(point: Point, number: float | str | None, step: Fraction, bounds: Bounds) -> None:
    """Refuse words that read as nothing, or as a value outside, whatever made them so."""
    if number is None or isinstance(number, str):
        raise _nothing_fits(point)
    value = step * Fraction(number)
    low, high = bounds
    if (low is not None and value < low) or (high is not None and value > high):
        raise _nothing_fits(point)


def _nothing_fits(point: Point) -> RangeError:
    return RangeError(
        f"a register of type {point.type} {f'in {point.unit} ' if point.unit else ''}holds no value "
        "within the envelope; widen min_kw to max_kw, or correct rating and scale factor"
    )
