"""SunSpec information models as data files, ``devices/maps/sunspec/ID.toml``, each read once per process."""

from functools import cache
from importlib.resources import files
from typing import TypeVar

import msgspec

from devices.errors import MapError
from devices.registers.points import Point, word_count

MODEL_IDS = (1, 103, 113, 120, 121, 123, 124, 203, 213, 701, 702, 703, 704, 713, 802)

T = TypeVar("T")


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """SunSpec information model; ``length`` does not count the registers of ID and length."""

    id: int
    name: str
    length: int
    points: dict[str, Point]


@cache
def model(model_id: int) -> Model:
    """SunSpec model by its ID; raises `MapError` where the file is missing or wrong."""
    path = f"sunspec/{model_id}.toml"
    try:
        data = files("devices.maps").joinpath(path).read_bytes()
    except FileNotFoundError:
        raise MapError(
            f"SunSpec model {model_id} has no map; known are {', '.join(map(str, MODEL_IDS))}"
        ) from None
    loaded = decode_map(path, data, Model)
    for name, point in loaded.points.items():
        if point.at + word_count(point) > loaded.length + 2:
            raise MapError(f"{path}: point {name} lies past the end; correct at or length")
        if isinstance(point.sf, str) and point.sf not in loaded.points:
            raise MapError(f"{path}: point {name} names no scale factor {point.sf}; add it")
    return loaded


def sunspec_point(name: str) -> Point:
    """Point named ``model.point``; raises ``KeyError`` where there is no such model or point."""
    model_id, _, point_name = name.partition(".")
    if not model_id.isdigit() or int(model_id) not in MODEL_IDS:
        raise KeyError(name)
    return model(int(model_id)).points[point_name]


def decode_map(path: str, data: bytes, kind: type[T]) -> T:
    """Struct in a TOML file; raises `MapError`."""
    try:
        return msgspec.toml.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MapError(f"{path} is no usable map: {error}; compare it with a shipped one") from None
