"""Changes of single keys of a scenario, as text of a command line and as values."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from cosim.scenario.scenario import ScenarioError
from sharegrid.decoding import decode_toml

PATHS = (
    "feeder.master",
    "live.profiles",
    "market.strategy.folder",
    "population.forecast.folder",
    "tables.lams",
    "tables.prosumers",
    "tables.profiles",
    "tables.vehicles",
)
"""Keys that name a file or folder."""

Changes = Mapping[str, object]
"""Values by dotted key."""


def parse_changes(texts: Sequence[str]) -> dict[str, object]:
    """Changes as they are given on the command line.

    Parameters
    ----------
    texts
        One ``KEY=VALUE`` each. A value is TOML; what is no TOML stands for itself, so that text needs no
        quotes. A path is relative to the working directory.

    Raises
    ------
    ScenarioError
        A text has no key or no ``=``, or one key is given twice.
    """
    changes: dict[str, object] = {}
    for text in texts:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not key:
            raise ScenarioError(f"--set {text}: give KEY=VALUE, as in --set market.wam_fee=0.01")
        if key in changes:
            raise ScenarioError(f"--set {key}: is given twice; leave one of them out")
        changes[key] = _value(value)
        # An empty one names nothing, in quotes or without.
        if key in PATHS and changes[key] != "":
            changes[key] = str(Path(str(changes[key])).absolute())
    return changes


def change_words(changes: Changes) -> list[str]:
    """Words of a command line that make these changes: what `parse_changes` reads."""
    import tomli_w

    return [
        word
        for key, value in changes.items()
        for word in ("--set", f"{key}={tomli_w.dumps({'x': value}).partition('=')[2].strip()}")
    ]


def apply_changes(raw: dict[str, Any], changes: Changes) -> None:
    """Put changes into the nested tables of a scenario's file.

    Raises
    ------
    ScenarioError
        A key leads through something that is no table.
    """
    for key, value in changes.items():
        *tables, name = key.split(".")
        here: Any = raw
        for at, table in enumerate(tables, start=1):
            here = here.setdefault(table, {})
            if not isinstance(here, dict):
                raise ScenarioError(
                    f"--set {key}: {'.'.join(tables[:at])} is no table of keys; change it in the file"
                )
        here[name] = value


def _value(text: str) -> object:
    try:
        return decode_toml(f"x = {text}")["x"]
    except msgspec.DecodeError:
        return text
