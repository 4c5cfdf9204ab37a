"""Register maps read from the data files in ``devices/maps``, each once per process.

A flat map is one table at fixed addresses (a meter). A SunSpec model is one link of a chain that has to be
walked, because the links before it may be longer or shorter.
"""

from functools import cache
from importlib.resources import files
from typing import Literal, TypeVar

import msgspec

from devices.errors import MapError
from devices.registers import Point, word_count

Profile = Literal["sdm630", "sunspec"]
MODEL_IDS = (1, 103, 120, 121, 123, 124, 203, 701, 704, 713)

T = TypeVar("T", "FlatMap", "Model")


class FlatMap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Points at fixed addresses, read with one function, at most ``max_registers`` at a time."""

    name: str
    function: int
    max_registers: int
    length: int
    points: dict[str, Point]


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """SunSpec information model; ``length`` does not count the registers of ID and length."""

    id: int
    name: str
    length: int
    points: dict[str, Point]


@cache
def meter_map(name: str) -> FlatMap:
    """Flat map by name, as ``sdm630``; raises `MapError` where the file is missing or wrong."""
    return _load(f"{name}.toml", FlatMap)


@cache
def model(model_id: int) -> Model:
    """SunSpec model by its ID; raises `MapError` where the file is missing or wrong."""
    return _load(f"sunspec/{model_id}.toml", Model)


def _load(path: str, kind: type[T]) -> T:
    resource = files("devices.maps").joinpath(path)
    try:
        loaded = msgspec.toml.decode(resource.read_bytes(), type=kind)
    except (FileNotFoundError, msgspec.DecodeError) as error:
        raise MapError(f"register map {path} is unusable: {error}; compare it with its neighbours") from error
    end = loaded.length if isinstance(loaded, FlatMap) else loaded.length + 2
    for name, point in loaded.points.items():
        if point.at + word_count(point) > end:
            raise MapError(f"register map {path}: point {name} lies past the end {end}; correct at or length")
        if isinstance(point.sf, str) and point.sf not in loaded.points:
            raise MapError(f"register map {path}: point {name} names no scale factor {point.sf}; add it")
    return loaded
