"""Device profiles: data files that say what a kind of meter or inverter tells and obeys.

A profile lies in ``devices/maps/NAME.toml`` or in a folder of the user's; `devices.registers.schema` says
what stands in it. Files are checked when they are read, each once per process.
"""

from functools import cache
from importlib.resources import files
from pathlib import Path

import msgspec

from devices.errors import MapError
from devices.registers.models import decode_map
from devices.registers.points import Point, word_count
from devices.registers.schema import QUANTITIES, REQUIRED, Profile, conversion


@cache
def load_profile(name: str, folder: Path | None = None) -> Profile:
    """Profile by name, from the user's folder or, where that has none, from those that are shipped.

    Raises
    ------
    MapError
        There is no such file, or it is wrong; names file, key and remedy.
    """
    own = folder / f"{name}.toml" if folder is not None else None
    shipped = files("devices.maps").joinpath(f"{name}.toml")
    if own is not None and own.is_file():
        path, data = str(own), own.read_bytes()
    elif "/" not in name and shipped.is_file():
        path, data = f"{name}.toml", shipped.read_bytes()
    else:
        where = f" or in {folder}" if folder is not None else ""
        raise MapError(f"no profile {name!r} among {', '.join(shipped_profiles())}{where}; correct the name")
    return _checked(_finished(decode_map(path, data, Profile)), path)


def shipped_profiles() -> list[str]:
    """Names of the profiles that come with the package."""
    names = (entry.name for entry in files("devices.maps").iterdir())
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def _finished(profile: Profile) -> Profile:
    """Profile whose fixed points know the word order and whether patterns stand for not implemented."""
    access = profile.modbus
    points = {
        name: msgspec.structs.replace(point, order=point.order or access.order, markers=access.markers)
        for name, point in profile.points.items()
    }
    return msgspec.structs.replace(profile, points=points)


def _checked(profile: Profile, path: str) -> Profile:
    for complaint in (_points_wrong, _quantities_wrong, _commands_wrong):
        wrong = complaint(profile)
        if wrong is not None:
            raise MapError(f"{path}: {wrong}")
    return profile


def _points_wrong(profile: Profile) -> str | None:
    if profile.sunspec and profile.points:
        return "a SunSpec profile has no points of its own; name those of the models"
    end = profile.modbus.length or 65536
    for name, point in profile.points.items():
        if not 0 <= point.at <= end - word_count(point):
            return f"points.{name}: register {point.at} lies outside the map; correct at or modbus.length"
        if word_count(point) > profile.modbus.max_registers:
            return f"points.{name} is longer than modbus.max_registers; correct one of them"
        if isinstance(point.sf, str) and point.sf not in profile.points:
            return f"points.{name}: there is no scale factor {point.sf}; add it"
        if point.scale <= 0.0:
            return f"points.{name}: scale {point.scale:g} is not positive; use sign = -1 to turn the sign"
    return None


def _quantities_wrong(profile: Profile) -> str | None:
    known = QUANTITIES[profile.kind]
    for quantity in REQUIRED[profile.kind]:
        if quantity not in profile.quantities:
            return f"quantities: a {profile.kind} has to tell {quantity}; add it"
    for quantity in profile.quantities:
        if quantity not in known:
            return f"quantities.{quantity}: a {profile.kind} has {', '.join(known)}; use one of them"
        for names in profile.alternatives(quantity):
            if len({point.unit for name in names if (point := _found(profile, name))}) > 1:
                return f"quantities.{quantity}: {' + '.join(names)} have different units; use one"
        for name in (name for names in profile.alternatives(quantity) for name in names):
            point = _found(profile, name)
            if point is None:
                return (
                    f"quantities.{quantity}: there is no point {name}; add it to points or correct the name"
                )
            if conversion(point.unit, known[quantity]) is None:
                return (
                    f"quantities.{quantity}: {name} is not in {known[quantity]} or the like; correct its unit"
                )
    return None


def _commands_wrong(profile: Profile) -> str | None:
    if profile.commands.set and not profile.commands.release:
        return "commands: a device that can be set has to be released; add commands.release"
    for recipe in (*profile.commands.set, *profile.commands.release):
        for name, what in (item for batch in recipe.writes for item in batch.items()):
            point = _found(profile, name)
            if point is None or not point.rw:
                return f"commands: {name} is no point that may be written; add rw = true or correct the name"
            if what in ("power", "fallback power") and conversion(point.unit, "kW") is None:
                return f"commands: {name} is in {point.unit}, so it can hold no power; correct its unit"
            if profile.modbus.write_function == 6 and word_count(point) > 1:
                # Between its words the register would hold a power that nobody has asked for.
                return f"commands: modbus.write_function 6 writes the registers of {name} one by one; use 16"
    return None


def _found(profile: Profile, name: str) -> Point | None:
    try:
        return profile.point(name)
    except KeyError:
        return None


def as_builtins(profile: Profile) -> dict[str, object]:
    """Everything that a profile says, to be hashed."""
    found: dict[str, object] = msgspec.to_builtins(profile)
    return found
