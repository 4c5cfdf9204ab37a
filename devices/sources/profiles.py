"""Profiles of devices without registers: ``devices/maps/sources/NAME.toml`` or a file of the user's."""

import re
from functools import cache
from importlib.resources import files
from pathlib import Path

from devices.endpoint import Endpoint
from devices.errors import MapError
from devices.registers.models import decode_map
from devices.registers.schema import QUANTITIES, REQUIRED
from devices.sources.schema import SourceProfile

_BRACES = re.compile(r"\{([a-z]+)\}")
_IN_PLACES = {"name"}
_IN_MESSAGES = {"name", "value", "seconds", "expires", "id"}


@cache
def load_source(name: str, folder: Path | None = None) -> SourceProfile:
    """Profile by name, from the user's folder or, where that has none, from those that are shipped.

    Raises
    ------
    MapError
        There is no such file, or it is wrong; names file, key and remedy.
    """
    own = folder / f"{name}.toml" if folder is not None else None
    shipped = files("devices.maps").joinpath("sources", f"{name}.toml")
    if own is not None and own.is_file():
        path, data = str(own), own.read_bytes()
    elif "/" not in name and shipped.is_file():
        path, data = f"sources/{name}.toml", shipped.read_bytes()
    else:
        where = f" or in {folder}" if folder is not None else ""
        raise MapError(f"no profile {name!r} among {', '.join(shipped_sources())}{where}; correct the name")
    profile = decode_map(path, data, SourceProfile)
    for complaint in (_commands_wrong, _values_wrong, _places_wrong):
        if wrong := complaint(profile):
            raise MapError(f"{path}: {wrong}")
    return profile


def source_of(endpoint: Endpoint, folder: Path | None = None) -> SourceProfile:
    """Profile of a device at an address; raises `MapError` as `load_source`, and where they do not match."""
    profile = load_source(endpoint.profile, folder)
    if not endpoint.link.scheme.startswith(profile.over):
        raise MapError(
            f"profile {endpoint.profile} speaks {profile.over}, {endpoint} is {endpoint.link.scheme}; "
            "correct one of them"
        )
    if profile.needs_name and not endpoint.name:
        raise MapError(f"profile {endpoint.profile} needs the device's name; add it to {endpoint} behind a /")
    return profile


def shipped_sources() -> list[str]:
    """Names of the profiles that come with the package."""
    names = (entry.name for entry in files("devices.maps").joinpath("sources").iterdir())
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def _values_wrong(profile: SourceProfile) -> str | None:
    known = QUANTITIES[profile.kind]
    if profile.over == "ocpp":
        if profile.kind != "ev" or profile.values or profile.commands:
            return "over ocpp there are chargers alone (kind ev), which need neither values nor commands"
        return _constants_wrong(profile)
    for quantity in REQUIRED[profile.kind]:
        if quantity not in profile.values:
            return f"values: a {profile.kind} has to tell {quantity}; add it"
    shows = profile.commands.shows if profile.commands else ""
    for name, value in profile.values.items():
        if name not in known and name != shows:
            return f"values.{name}: a {profile.kind} has {', '.join(known)}; use one of them"
        if name in known and value.factor(known[name]) is None:
            return f"values.{name} is not in {known[name]} or the like; correct its unit"
    return _constants_wrong(profile)


def _constants_wrong(profile: SourceProfile) -> str | None:
    known = QUANTITIES[profile.kind]
    for name in profile.constants:
        if name not in known:
            return f"constants.{name}: a {profile.kind} has {', '.join(known)}; use one of them"
    return None


def _commands_wrong(profile: SourceProfile) -> str | None:
    commands = profile.commands
    if commands is None:
        return None
    if profile.kind == "meter":
        return "commands: a meter takes none; remove them"
    if not commands.shows and commands.answer is None:
        return "commands: nothing would confirm a set-point; add shows or answer"
    if commands.shows and commands.shows not in profile.values:
        return f"commands.shows: there is no value {commands.shows}; add it to values"
    if commands.answer is not None and profile.over == "http":
        return "commands.answer is for MQTT; name in shows where the set-point can be read back"
    if not any("{value}" in sent.text + sent.at for sent in commands.set):
        return "commands.set: no message holds {value}; add it"
    if commands.answer is not None and not all("{id}" in sent.text for sent in commands.set):
        return "commands.set: an answer is told apart by {id}; add it to every message"
    if commands.reverts and not any("{seconds}" in sent.text + sent.at for sent in commands.set):
        return "commands.reverts: no message holds {seconds}; add it, or say false"
    return None


def _places_wrong(profile: SourceProfile) -> str | None:
    commands = profile.commands
    sent = (*commands.set, *commands.release) if commands else ()
    read = [value.at for value in profile.values.values()]
    read += [profile.presence.at] if profile.presence else []
    read += [commands.answer.at] if commands and commands.answer else []
    for text, filled in (
        *((at, _IN_PLACES) for at in read),
        *((text, _IN_MESSAGES) for each in sent for text in (each.at, each.text)),
    ):
        if unknown := set(_BRACES.findall(text)) - filled:
            return f"{text!r}: {{{min(unknown)}}} is not filled in here; use {', '.join(sorted(filled))}"
        if set(text) & set("+#") and text in read and profile.over == "mqtt":
            return f"{text!r}: a topic of one device has no wildcards; write it out"
    return None
