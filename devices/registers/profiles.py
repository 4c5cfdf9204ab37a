"""Device profiles: data files that say what a kind of meter or inverter tells and obeys.

A profile lies in ``devices/maps/NAME.toml`` or in a folder of the user's; `devices.registers.schema` says
what stands in it. Files are checked when they are read, each once per process.
"""

import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from devices.errors import MapError
from devices.registers.checks import first_mistake
from devices.registers.models import model_ids
from devices.registers.points import Point, word_count
from devices.registers.schema import Profile
from sharegrid.decoding import decode_toml
from sharegrid.expected import explained
from sharegrid.text import in_words

_MOST_ANCESTORS = 5
_RANGE = re.compile(r"(?<![\w.])(\d+)-(\d+)(?=\.)")
Table = dict[str, Any]


@cache
def load_profile(name: str, folder: Path | None = None) -> Profile:
    """Profile by name, from the user's folder or, where that has none, from those that are shipped.

    Parameters
    ----------
    name
        ``NAME``, or ``NAME#2`` for the second of several meters in one SunSpec chain.
    folder
        Folder of the user's profiles.

    Raises
    ------
    MapError
        There is no such file, or it is wrong; names file, key and remedy.
    """
    stem, _, number = name.partition("#")
    path, table = _merged(stem, folder)
    if number:
        table["nth"] = int(number) if number.isdecimal() else number
    try:
        profile = _finished(msgspec.convert(table, Profile))
    except msgspec.ValidationError as error:
        key, remedy = explained(error)
        words = f"{in_words(key)}: {remedy}" if key else remedy
        raise MapError(f"{path} is no usable map: {words}; compare it with a shipped one") from None
    wrong = first_mistake(profile)
    if wrong is not None:
        raise MapError(f"{path}: {wrong}")
    return profile


def shipped_profiles() -> list[str]:
    """Names of the profiles that come with the package."""
    names = (entry.name for entry in files("devices.maps").iterdir())
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def known_profiles(folder: Path | None = None) -> list[str]:
    """Names of all profiles, the user's own first."""
    own = sorted(path.stem for path in folder.glob("*.toml")) if folder is not None else []
    return list(dict.fromkeys([*own, *shipped_profiles()]))


def _merged(name: str, folder: Path | None, depth: int = 0) -> tuple[str, Table]:
    """Path of a profile, and what stands in it over what stands in the one that it is like."""
    path, data = _found(name, folder)
    try:
        table: Table = decode_toml(data)
    except msgspec.DecodeError as error:
        raise MapError(f"{path} is no usable map: {error}; compare it with a shipped one") from None
    like = table.pop("like", None)
    if like is None:
        return path, table
    if not isinstance(like, str) or depth == _MOST_ANCESTORS:
        raise MapError(f"{path}: like names no profile, or leads round; give the name of another one")
    merged = _merged(like, folder, depth + 1)[1]
    for key, value in table.items():
        is_table = isinstance(value, dict) and isinstance(merged.get(key), dict) and key != "commands"
        merged[key] = merged[key] | value if is_table else value
    return path, merged


def _found(name: str, folder: Path | None) -> tuple[str, bytes]:
    own = folder / f"{name}.toml" if folder is not None else None
    shipped = files("devices.maps").joinpath(f"{name}.toml")
    if own is not None and own.is_file():
        return str(own), own.read_bytes()
    if name and "/" not in name and shipped.is_file():
        return f"{name}.toml", shipped.read_bytes()
    where = f" or in {folder}" if folder is not None else ""
    raise MapError(f"no profile {name!r} among {', '.join(shipped_profiles())}{where}; correct the name")


def _finished(profile: Profile) -> Profile:
    """Profile with all its points named one by one.

    Fixed points then know the word order and whether patterns stand for not implemented, copies of a
    repeated point stand by themselves, and ranges of SunSpec models are written out.
    """
    access = profile.modbus
    points: dict[str, Point] = {}
    for name, point in profile.points.items():
        own = msgspec.structs.replace(point, order=point.order or access.order, markers=access.markers)
        if point.repeat == 1:
            points[name] = own
            continue
        step = point.step or word_count(point)
        for k in range(point.repeat):
            points[f"{name}.{k + 1}"] = msgspec.structs.replace(own, at=point.at + k * step, repeat=1, step=0)
    quantities = {
        quantity: tuple(text for one in _listed(texts) for text in _without_ranges(one))
        for quantity, texts in profile.quantities.items()
        if texts != ()
    }
    corrections = {
        name: correction for text, correction in profile.corrections.items() for name in _without_ranges(text)
    }
    return msgspec.structs.replace(profile, points=points, quantities=quantities, corrections=corrections)


def _listed(texts: str | tuple[str, ...]) -> tuple[str, ...]:
    return (texts,) if isinstance(texts, str) else texts


def _without_ranges(text: str) -> list[str]:
    """``201-203.W`` as the same for each model from 201 to 203 that there is."""
    ranges = {(int(first), int(last)) for first, last in _RANGE.findall(text)}
    if len(ranges) != 1:
        return [text]
    ((first, last),) = ranges
    known = [k for k in sorted(model_ids()) if first <= k <= last]
    return [_RANGE.sub(str(k), text) for k in known] or [text]
