"""One point of many like devices at once: columns of values in registers, and back.

The same rules as `devices.registers.points` has for one value, on arrays; here a value too large saturates.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from devices.registers.points import FLOATS, INTEGERS, Point, bounds, word_count


def encode_column(point: Point, values: ArrayLike, sf: ArrayLike = 0) -> NDArray[np.uint16]:
    """Words of one point for many devices; what a real device does with a value too large: it saturates.

    Parameters
    ----------
    point
        A numeric point.
    values
        Values in the point's unit, ``(n,)``; NaN gives the pattern for not implemented.
    sf
        Scale factors, ``(n,)`` or one for all.

    Returns
    -------
    NDArray
        Words, ``(n, words)``.
    """
    numbers = np.asarray(values, dtype=np.float64) / (point.sign * point.scale)
    count = word_count(point)
    if point.type in FLOATS:
        words = numbers.astype(f">f{2 * count}").view(">u2").reshape(-1, count)
    else:
        words = _integer_column(point, numbers, sf)
    return (words[:, ::-1] if point.order == "low first" else words).astype(np.uint16)


def decode_column(point: Point, words: NDArray[np.uint16], sf: ArrayLike = 0) -> NDArray[np.float64]:
    """Values of one point for many devices: the inverse of `encode_column`.

    Parameters
    ----------
    point
        A numeric point.
    words
        Registers, ``(n, words)``.
    sf
        Scale factors, ``(n,)`` or one for all.

    Returns
    -------
    NDArray
        Values in the point's unit, ``(n,)``; NaN where not implemented.
    """
    factor = point.sign * point.scale
    if point.order == "low first":
        words = words[:, ::-1]
    if point.type in FLOATS:
        numbers = np.ascontiguousarray(words.astype(">u2")).view(f">f{2 * words.shape[1]}").reshape(-1)
        return factor * numbers.astype(np.float64)
    layout = INTEGERS[point.type]
    wide = np.zeros((len(words), 4), dtype=">u2")
    wide[:, 4 - layout.words :] = words
    if layout.absent < 0:
        wide[:, : 4 - layout.words] = np.where(words[:, :1] & 0x8000, 0xFFFF, 0)
        raw: NDArray[np.int64] | NDArray[np.uint64] = wide.view(">i8").reshape(-1)
    else:
        raw = wide.view(">u8").reshape(-1)
    power = np.asarray(sf, dtype=np.float64)
    values = factor * (raw * np.power(10.0, np.maximum(power, 0.0)) / np.power(10.0, np.maximum(-power, 0.0)))
    is_implemented = (raw != layout.absent) | (not point.markers) | (layout.absent == 0)
    return np.where(is_implemented, values, np.nan)


def scale_factor(largest: ArrayLike, point: Point, finest: int = -2) -> NDArray[np.int64]:
    """Finest scale factors with which values up to ``largest`` fit a point.

    Parameters
    ----------
    largest
        Largest magnitudes in the point's unit, ``(n,)``.
    point
        The integer point to hold them.
    finest
        Smallest scale factor to be used.

    Returns
    -------
    NDArray
        Scale factors, ``(n,)``, within the -10..10 that SunSpec allows.
    """
    capacity = float(INTEGERS[point.type].high)
    ratio = np.maximum(np.asarray(largest, dtype=np.float64), np.finfo(float).tiny) / capacity
    return np.clip(np.ceil(np.log10(ratio)), finest, 10).astype(np.int64)


def _integer_column(point: Point, numbers: NDArray[np.float64], sf: ArrayLike) -> NDArray[np.uint16]:
    layout = INTEGERS[point.type]
    present = np.isfinite(numbers)
    power = np.asarray(sf, dtype=np.float64)
    finite = np.where(present, numbers, 0.0)
    raw = np.rint(finite * np.power(10.0, np.maximum(-power, 0.0)) / np.power(10.0, np.maximum(power, 0.0)))
    low, high = bounds(point)
    raw = np.clip(raw, low, float(high) if high < 2**53 else np.nextafter(float(high), 0.0))
    integers = raw.astype(np.int64 if layout.absent < 0 else np.uint64)
    integers[~present] = layout.absent if point.markers else 0
    big = integers.astype(">i8" if layout.absent < 0 else ">u8")
    return big.view(">u2").reshape(-1, 4)[:, 4 - layout.words :].astype(np.uint16)
