"""Points of a register map: how a value becomes 16-bit words and comes back.

Bytes are big-endian; words come high word first unless a point says otherwise. A value is a number in the
registers times a fixed scale, a power of ten that may stand in a register of its own (SunSpec), and a sign.
Where a map has markers, each type has one pattern that says "not implemented". Scalars are exact Python
numbers; `devices.registers.columns` treats one point of many like devices at once.
"""

import math
import struct
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from devices.errors import RangeError

PointType = Literal[
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "acc16",
    "acc32",
    "acc64",
    "count",
    "enum16",
    "enum32",
    "bitfield16",
    "bitfield32",
    "bitfield64",
    "sunssf",
    "pad",
    "float32",
    "float64",
    "string",
    "coil",
    "discrete",
]
WordOrder = Literal["high first", "low first"]
Limits = tuple[float, float]


class Point(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One value in a register map.

    Attributes
    ----------
    at
        First register, counted from the start of the map (of the model's ID register in SunSpec).
    type
        How the words are to be read.
    sf
        Name of the point that holds the scale factor (a power of ten), or the scale factor itself.
    scale
        Fixed factor: the value is the number in the registers times this.
    sign
        -1 where the device counts the other way round than the profile's quantity.
    unit
        Unit of the scaled value.
    rw
        Whether a client may write it.
    refresh
        ``once`` where it never changes while the device runs, else ``poll``.
    limits
        Smallest and largest value that may be written, in the point's unit.
    tolerance
        How far it may read back from what was written, in its unit; ``None`` is as commands have it.
    bits
        First and last bit that count, from 0; the value is the number in these alone.
    names
        Names of numbers, of a mode or a state, for what is written and expected.
    function
        Modbus function that reads it, where it is not the map's.
    readable
        Whether it can be read; what cannot is not read back after a write.
    repeat, step
        How often a point of a map stands in it, and registers from one to the next; its copies are named
        ``NAME.1``, ``NAME.2`` and so on.
    words
        Number of registers; needed for strings alone.
    order
        Which word of a longer number comes first; ``None`` is as the map says, else high first.
    markers
        Whether a pattern stands for not implemented; without, every pattern is a number.
    """

    at: int
    type: PointType
    sf: str | int | None = None
    scale: float = 1.0
    sign: Literal[1, -1] = 1
    unit: str | None = None
    rw: bool = False
    refresh: Literal["poll", "once"] = "poll"
    limits: Limits | None = None
    tolerance: Annotated[float, Meta(ge=0.0)] | None = None
    bits: tuple[int, int] | None = None
    names: dict[str, int] = {}
    function: Literal[3, 4] | None = None
    readable: bool = True
    repeat: Annotated[int, Meta(ge=1, le=125)] = 1
    step: Annotated[int, Meta(ge=0, le=65536)] = 0
    words: Annotated[int, Meta(ge=1, le=125)] | None = None
    order: WordOrder | None = None
    markers: bool = True


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
    "acc16": Integer(1, 0, 2**16 - 1, 0),
    "acc32": Integer(2, 0, 2**32 - 1, 0),
    "acc64": Integer(4, 0, 2**63 - 1, 0),
    "count": Integer(1, 0, 2**16 - 2, 2**16 - 1),
    "enum16": Integer(1, 0, 2**16 - 2, 2**16 - 1),
    "enum32": Integer(2, 0, 2**32 - 2, 2**32 - 1),
    "bitfield16": Integer(1, 0, 2**15 - 1, 2**16 - 1),
    "bitfield32": Integer(2, 0, 2**31 - 1, 2**32 - 1),
    "bitfield64": Integer(4, 0, 2**63 - 1, 2**64 - 1),
    "sunssf": Integer(1, -10, 10, -(2**15)),
    "pad": Integer(1, -(2**15) + 1, 2**15 - 1, -(2**15)),
    "coil": Integer(1, 0, 1, 0),
    "discrete": Integer(1, 0, 1, 0),
}
BITS = ("coil", "discrete")
"""Types of one bit each, in tables of their own."""
TIMES = {"s": 1.0, "min": 60.0}
"""Seconds in the units of times."""


FLOATS = {"float32": struct.Struct(">f"), "float64": struct.Struct(">d")}


def word_count(point: Point) -> int:
    """Registers that a point takes."""
    if point.type in FLOATS:
        return FLOATS[point.type].size // 2
    if point.type == "string":
        return point.words or 1
    return INTEGERS[point.type].words


def bounds(point: Point) -> tuple[int, int]:
    """Smallest and largest integer that stands for a value; without markers every pattern does."""
    layout = INTEGERS[point.type]
    if point.markers or point.type in BITS:
        return layout.low, layout.high
    bits = 16 * layout.words
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if layout.absent < 0 else (0, (1 << bits) - 1)


def encode(point: Point, value: float | str | None, sf: int = 0) -> list[int]:
    """Words of one value.

    Parameters
    ----------
    point
        The point to be written.
    value
        Value in the point's unit; ``None`` gives the pattern for not implemented (0 in a map without).
    sf
        Scale factor in force: the register holds ``sign * value / (scale * 10**sf)``, an integer type
        rounded to the nearest.

    Returns
    -------
    list of int
        Words 0..65535, as many as `word_count` says.

    Raises
    ------
    RangeError
        The value is not finite or does not fit, or a text is too long.
    """
    if point.type == "string":
        return _encode_text(str(value or ""), word_count(point))
    if isinstance(value, str):
        raise RangeError(f"text {value!r} does not fit a register of type {point.type}; give a number")
    if point.type in FLOATS:
        words = _words(FLOATS[point.type].pack(math.nan if value is None else _float(value, point)))
    else:
        words = _words(_integer(point, value, sf))
    return words[::-1] if point.order == "low first" else words


def decode(point: Point, words: list[int], sf: int | None = 0) -> float | str | None:
    """Value that words hold: the inverse of `encode`.

    Parameters
    ----------
    point
        The point that was read.
    words
        Its registers in the order of their addresses.
    sf
        Scale factor in force; ``None`` (not implemented) makes a scaled value unknown.

    Returns
    -------
    float, int, str or None
        Value in the point's unit, an integer where no scale makes a fraction of it; ``None`` where the
        device says not implemented.
    """
    return decode_bytes(point, struct.pack(f">{len(words)}H", *words), sf)


def decode_bytes(point: Point, data: bytes, sf: int | None = 0) -> float | str | None:
    """Value that the bytes of a point's registers hold; as `decode`."""
    if point.type == "string":
        return data.split(b"\0", 1)[0].decode("utf-8", errors="replace")
    if point.order == "low first":
        data = b"".join(data[k : k + 2] for k in range(len(data) - 2, -1, -2))
    if point.type in FLOATS:
        number: float = FLOATS[point.type].unpack(data)[0]
        return _times(number, point) if math.isfinite(number) else None
    layout = INTEGERS[point.type]
    raw = int.from_bytes(data, "big", signed=layout.absent < 0)
    if sf is None or (raw == layout.absent and point.markers and layout.absent):
        return None
    if point.bits is not None:
        first, last = point.bits
        raw = (raw >> first) & ((1 << last - first + 1) - 1)
    return _times(raw * 10**sf if sf >= 0 else raw / 10**-sf, point)


def _integer(point: Point, value: float | None, sf: int) -> bytes:
    layout = INTEGERS[point.type]
    raw = layout.absent if point.markers else 0
    if value is not None:
        if not math.isfinite(value):
            raise RangeError(f"{value} cannot stand in an integer register; use None for not implemented")
        number = value if point.scale == 1.0 else value / point.scale
        raw = point.sign * round(number * 10**-sf if sf <= 0 else number / 10**sf)
        low, high = bounds(point)
        if not low <= raw <= high:
            raise RangeError(
                f"{value} {point.unit or ''} does not fit {point.type} at scale factor {sf}; use a larger one"
            )
    return (raw % (1 << 16 * layout.words)).to_bytes(2 * layout.words, "big")


def _float(value: float, point: Point) -> float:
    return value if point.scale == 1.0 and point.sign == 1 else value / (point.sign * point.scale)


def _times(number: float, point: Point) -> float:
    """A register's number in the point's unit; a tenth of an integer is the float that is written so."""
    if point.scale != 1.0:
        inverse = round(1.0 / point.scale)
        number = number / inverse if inverse > 1 and 1.0 / inverse == point.scale else number * point.scale
    return number if point.sign == 1 else -number


def _encode_text(text: str, words: int) -> list[int]:
    data = text.encode("utf-8")
    if len(data) > 2 * words:
        raise RangeError(f"text {text!r} is longer than the {2 * words} bytes of its registers; shorten it")
    return _words(data.ljust(2 * words, b"\0"))


def _words(data: bytes) -> list[int]:
    return list(struct.unpack(f">{len(data) // 2}H", data))
