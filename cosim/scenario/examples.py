"""Example scenarios that come along, by name."""

import re
from importlib.resources import files
from itertools import takewhile
from pathlib import Path

import cosim
from cosim.scenario.scenario import ScenarioError
from sharegrid.text import closest


def examples() -> dict[str, Path]:
    """Files of the example scenarios by name, the first folder's first."""
    folder = _folder()
    found = sorted(folder.glob("*.toml")) + sorted(folder.glob("*/*.toml"))
    return {file.stem: file for file in reversed(found)}


def example(name: str) -> Path:
    """File of an example; raises ``ScenarioError`` where there is none of that name."""
    known = examples()
    if name not in known:
        names = sorted(known)
        raise ScenarioError(f"--example {name}: no such example; {closest(name, names) or ', '.join(names)}")
    return known[name]


def about(file: Path) -> str:
    """First sentence of what stands at the head of a scenario's file."""
    head = takewhile(lambda line: line.startswith("#"), file.read_text(encoding="utf-8").splitlines())
    return re.split(r"(?<=[.:;]) ", " ".join(line.removeprefix("# ") for line in head))[0].rstrip(".:;")


def _folder() -> Path:
    """Where examples are: inside an installed package, beside it in a checkout."""
    inside = Path(str(files(cosim))) / "examples"
    return inside if inside.is_dir() else Path(str(files(cosim))).parent / "scenarios"
