"""Points of a register map: how a value becomes 16-bit words and comes back.

Words are big-endian, high word first. A SunSpec value is an integer times a power of ten that stands in
a register of its own; each type has one pattern that says "not implemented". Scalars are exact Python
numbers; columns treat one point of many like devices at once.
"""

import math
import struct
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from devices.errors import RangeError

PointType = Literal[
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "acc32",
    "enum16",
    "bitfield16",
    "bitfield32",
    "sunssf",
    "pad",
    "float32",
    "string",
]


class Point(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One value in a register map.

    Attributes
    ----------
    at
        First register, counted from the start of the map (of the model's ID register in SunSpec).
    type
        How the words are to be read.
    sf
        Name of the point that holds the scale factor, or the scale factor itself; absent means 0.
    unit
        Unit of the scaled value.
    rw
        Whether a client may write it.
    static
        Whether it never changes while the device runs.
    words
        Number of registers; needed for strings alone.
    """

    at: int
    type: PointType
    sf: str | int | None = None
    unit: str | None = None
    rw: bool = False
    static: bool = False
    words: int | None = None


class Integer(msgspec.Struct, frozen=True):
    """Layout of an integer type: words, limits of real values, and what stands for not implemented.

    An accumulator is 0 both when it is not implemented and before it has counted: it reads as 0.
    """

    words: int
    low: int
    high: int
    absent: int


INTEGERS: dict[str, Integer] = {
    "int16": Integer(1, -(2**15) + 1, 2**15 - 1, -(2**15)),
    "uint16": Integer(1, 0, 2**16 - 2, 2**16 - 1),
    "int32": Integer(2, -(2**31) + 1, 2**31 - 1, -(2**31)),
    "uint32": Integer(2, 0, 2**32 - 2, 2**32 - 1),
    "int64": Integer(4, -(2**63) + 1, 2**63 - 1, -(2**63)),
    "uint64": Integer(4, 0, 2**64 - 2, 2**64 - 1),
    "acc32": Integer(2, 0, 2**32 - 1, 0),
    "enum16": Integer(1, 0, 2**16 - 2, 2**16 - 1),
    "bitfield16": Integer(1, 0, 2**15 - 1, 2**16 - 1),
    "bitfield32": Integer(2, 0, 2**31 - 1, 2**32 - 1),
    "sunssf": Integer(1, -10, 10, -(2**15)),
    "pad": Integer(1, -(2**15) + 1, 2**15 - 1, -(2**15)),
}


def word_count(point: Point) -> int:
    """Registers that a point takes."""
    if point.type == "float32":
        return 2
    if point.type == "string":
        return point.words or 1
    return INTEGERS[point.type].words


def encode(point: Point, value: float | str | None, sf: int = 0) -> list[int]:
    """Words of one value.

    Parameters
    ----------
    point
        The point to be written.
    value
        Value in the point's unit; ``None`` gives the pattern for not implemented.
    sf
        Scale factor in force: the register holds ``value / 10**sf``, rounded to the nearest integer.

    Returns
    -------
    list of int
        Words 0..65535, high word first, as many as `word_count` says.

    Raises
    ------
    RangeError
        The value is not finite or does not fit, or a text is too long.
    """
    if point.type == "string":
        return _encode_text(str(value or ""), word_count(point))
    if isinstance(value, str):
        raise RangeError(f"text {value!r} does not fit a register of type {point.type}; give a number")
    if point.type == "float32":
        return _words(struct.pack(">f", math.nan if value is None else value))
    layout = INTEGERS[point.type]
    raw = layout.absent if value is None else _unscale(value, sf)
    if value is not None and not layout.low <= raw <= layout.high:
        raise RangeError(
            f"{value} {point.unit or ''} does not fit {point.type} at scale factor {sf}; use a coarser one"
        )
    return _words((raw % (1 << 16 * layout.words)).to_bytes(2 * layout.words, "big"))


def decode(point: Point, words: list[int], sf: int | None = 0) -> float | str | None:
    """Value that words hold: the inverse of `encode`.

    Parameters
    ----------
    point
        The point that was read.
    words
        Its registers, high word first.
    sf
        Scale factor in force; ``None`` (not implemented) makes a scaled value unknown.

    Returns
    -------
    float, int, str or None
        Value in the point's unit, an integer where the scale factor is not negative; ``None`` where the
        device says not implemented.
    """
    data = struct.pack(f">{len(words)}H", *words)
    if point.type == "string":
        return data.split(b"\0", 1)[0].decode("utf-8", errors="replace")
    if point.type == "float32":
        value: float = struct.unpack(">f", data)[0]
        return value if math.isfinite(value) else None
    layout = INTEGERS[point.type]
    raw = int.from_bytes(data, "big", signed=layout.absent < 0)
    if sf is None or (raw == layout.absent and point.type != "acc32"):
        return None
    scaled: float = raw * 10**sf if sf >= 0 else raw / 10**-sf
    return scaled


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
    values = np.asarray(values, dtype=np.float64)
    if point.type == "float32":
        return values.astype(">f4").view(">u2").reshape(-1, 2).astype(np.uint16)
    layout = INTEGERS[point.type]
    present = np.isfinite(values)
    power = np.asarray(sf, dtype=np.float64)
    finite = np.where(present, values, 0.0)
    raw = np.rint(finite * np.power(10.0, np.maximum(-power, 0.0)) / np.power(10.0, np.maximum(power, 0.0)))
    top = float(layout.high) if layout.high < 2**53 else np.nextafter(float(layout.high), 0.0)
    raw = np.clip(raw, layout.low, top)
    integers = raw.astype(np.int64 if layout.absent < 0 else np.uint64)
    integers[~present] = layout.absent
    big = integers.astype(">i8" if layout.absent < 0 else ">u8")
    return big.view(">u2").reshape(-1, 4)[:, 4 - layout.words :].astype(np.uint16)


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
    if point.type == "float32":
        return np.ascontiguousarray(words.astype(">u2")).view(">f4").reshape(-1).astype(np.float64)
    layout = INTEGERS[point.type]
    wide = np.zeros((len(words), 4), dtype=">u2")
    wide[:, 4 - layout.words :] = words
    if layout.absent < 0:
        wide[:, : 4 - layout.words] = np.where(words[:, :1] & 0x8000, 0xFFFF, 0)
        raw: NDArray[np.int64] | NDArray[np.uint64] = wide.view(">i8").reshape(-1)
    else:
        raw = wide.view(">u8").reshape(-1)
    power = np.asarray(sf, dtype=np.float64)
    values = raw * np.power(10.0, np.maximum(power, 0.0)) / np.power(10.0, np.maximum(-power, 0.0))
    return values if point.type == "acc32" else np.where(raw == layout.absent, np.nan, values)


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


def _unscale(value: float, sf: int) -> int:
    if not math.isfinite(value):
        raise RangeError(f"{value} cannot stand in an integer register; use None for not implemented")
    raw: float = value * 10**-sf if sf <= 0 else value / 10**sf
    return round(raw)


def _encode_text(text: str, words: int) -> list[int]:
    data = text.encode("utf-8")
    if len(data) > 2 * words:
        raise RangeError(f"text {text!r} is longer than the {2 * words} bytes of its registers; shorten it")
    return _words(data.ljust(2 * words, b"\0"))


def _words(data: bytes) -> list[int]:
    return list(struct.unpack(f">{len(data) // 2}H", data))
