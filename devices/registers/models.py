"""SunSpec information models, from the definitions that come with the package pysunspec2.

Nothing of its code is used. Each definition is read once per process. A model is a fixed part and, with some,
a block of points that is repeated as often as the model's length in a device has room for it.
"""

import json
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, TypeVar

import msgspec

from devices.errors import MapError
from devices.registers.points import Point
from sharegrid.decoding import decode_toml

T = TypeVar("T")
Json = dict[str, Any]

# As in the definitions, and as the quantities of profiles have them.
_UNITS = {
    "Secs": "s",
    "Sec": "s",
    "Pct": "%",
    "Var": "var",
    "Varh": "varh",
    "WH": "Wh",
    "AH": "Ah",
    "C": "degC",
}
_HEADER = ("ID", "L")
# Addresses of networks, which no profile needs.
_FOREIGN = ("ipaddr", "ipv6addr", "eui48")


class Block(msgspec.Struct, frozen=True):
    """Points that a model repeats: of one repetition, with places counted from its first register."""

    name: str
    length: int
    points: dict[str, Point]


class Model(msgspec.Struct, frozen=True):
    """SunSpec information model.

    Attributes
    ----------
    id, name
        Its number and name.
    length
        Registers of the fixed part, without those of ID and length.
    points
        Points of the fixed part by name; places count from the ID register.
    block
        What is repeated behind the fixed part, if anything.
    is_open
        Whether repetitions differ in length, so that a length cannot be judged.
    pad
        Registers at the end that hold nothing, and that makers leave out.
    """

    id: int
    name: str
    length: int
    points: dict[str, Point]
    block: Block | None = None
    is_open: bool = False
    pad: int = 0

    def has_length(self, length: int) -> bool:
        """Whether a device that shows this length keeps to the definition."""
        if self.is_open:
            return length >= self.length
        if self.block is not None:
            return length >= self.length and (length - self.length) % self.block.length == 0
        return self.length - self.pad <= length <= self.length

    def point(self, name: str) -> Point:
        """Point of the fixed part, or ``BLOCK.NUMBER.POINT``, from 1 on; raises ``KeyError``."""
        if name in self.points:
            return self.points[name]
        block, _, rest = name.partition(".")
        number, _, inner = rest.partition(".")
        if self.block is None or block != self.block.name or not number.isdecimal() or int(number) < 1:
            raise KeyError(name)
        point = self.block.points[inner]
        start = self.length + len(_HEADER) + (int(number) - 1) * self.block.length
        sf = f"{block}.{number}.{point.sf}" if point.sf in self.block.points else point.sf
        return msgspec.structs.replace(point, at=start + point.at, sf=sf)


@cache
def model_ids() -> frozenset[int]:
    """IDs of all models that are defined."""
    names = (entry.name for entry in _definitions().iterdir())
    ids = (name.removeprefix("model_").removesuffix(".json") for name in names)
    return frozenset(int(text) for text in ids if text.isdecimal())


@cache
def model(model_id: int) -> Model:
    """SunSpec model by its ID; raises `MapError` where there is no such definition."""
    if model_id not in model_ids():
        raise MapError(f"SunSpec model {model_id} is not defined; correct the number")
    data = _definitions().joinpath(f"model_{model_id}.json").read_bytes()
    group: Json = json.loads(data)["group"]
    points: dict[str, Point] = {}
    at, pad = _place(group, "", 0, points)
    repeated = [inner for inner in group.get("groups", []) if _is_repeated(inner)]
    inner_points: dict[str, Point] = {}
    length = _place(repeated[0], "", 0, inner_points)[0] if repeated else 0
    is_open = len(repeated) > 1 or any(_repeats_within(inner) for inner in repeated)
    return Model(
        id=model_id,
        name=group["name"],
        length=at - len(_HEADER),
        points={name: point for name, point in points.items() if name not in _HEADER},
        block=Block(repeated[0]["name"], length, inner_points) if repeated and not is_open else None,
        is_open=is_open,
        pad=0 if repeated else pad,
    )


@cache
def sunspec_point(name: str) -> Point:
    """Point named ``model.point``; raises ``KeyError`` where there is no such model or point."""
    model_id, _, point_name = name.partition(".")
    if not model_id.isdecimal() or int(model_id) not in model_ids():
        raise KeyError(name)
    return model(int(model_id)).point(point_name)


def decode_map(path: str, data: bytes, kind: type[T]) -> T:
    """Struct in a TOML file; raises `MapError`."""
    try:
        return decode_toml(data, kind)
    except msgspec.DecodeError as error:
        raise MapError(f"{path} is no usable map: {error}; compare it with a shipped one") from None


def _definitions() -> Traversable:
    try:
        return files("sunspec2").joinpath("models", "json")
    except ModuleNotFoundError:
        raise MapError("SunSpec models are missing; install sharegrid[devices]") from None


def _place(group: Json, prefix: str, at: int, points: dict[str, Point]) -> tuple[int, int]:
    """Put the points of a group, and of groups within it that stand once, behind one another.

    Returns the place past the last and the registers of padding before it.
    """
    pad = 0
    for described in group.get("points", []):
        pad = described["size"] if described["type"] == "pad" else 0
        if described["type"] not in _FOREIGN:
            points[prefix + described["name"]] = _point(described, at)
        at += described["size"]
    for inner in group.get("groups", []):
        if not _is_repeated(inner):
            at, pad = _place(inner, f"{prefix}{inner['name']}_", at, points)
    return at, pad


def _point(described: Json, at: int) -> Point:
    return Point(
        at=at,
        type=described["type"],
        sf=described.get("sf"),
        unit=_unit(described.get("units")),
        rw=described.get("access") == "RW",
        refresh="once" if described.get("static") == "S" else "poll",
        words=described["size"] if described["type"] == "string" else None,
    )


def _unit(text: str | None) -> str | None:
    short = (text or "").strip()
    if short.startswith("%") and short[1:2] not in ("", " "):
        short = f"% {short[1:]}"
    return _UNITS.get(short, short) or None


def _is_repeated(group: Json) -> bool:
    return bool(group.get("count", 1) != 1)


def _repeats_within(group: Json) -> bool:
    return any(_is_repeated(inner) or _repeats_within(inner) for inner in group.get("groups", []))
