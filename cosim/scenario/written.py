"""Scenarios written out as TOML: for a run directory, or for people, with each key's meaning above it."""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from textwrap import wrap
from typing import Any

import msgspec

from cosim.scenario.keys import Key, Section, sections
from cosim.scenario.scenario import Scenario

_WIDTH = 110
_HEADER = re.compile(r"\[+([\w.]+)\]+")
_LIST = re.compile(r" = \[\n((?:    [^\[{\n]+,\n)+)\]")


def resolved_toml(scenario: Scenario) -> str:
    """Every value of a scenario as TOML; loading that gives an equal scenario."""
    return _toml(_values(scenario))


def commented_toml(scenario: Scenario, beside: Scenario | None = None) -> str:
    """A scenario as TOML with each key's meaning, unit and range above it; loading that gives an equal one.

    Parameters
    ----------
    scenario
        What to write.
    beside
        Keys that have the same values here are left out.
    """
    values = _values(scenario)
    if beside is not None:
        values = _changed(values, _values(beside))
    return "\n".join(_commented(_LIST.sub(_in_few_lines, _toml(values)).splitlines())) + "\n"


def _values(scenario: Scenario) -> dict[str, Any]:
    return dict(msgspec.to_builtins(scenario, builtin_types=(datetime,)))


def _toml(values: dict[str, Any]) -> str:
    import tomli_w

    return tomli_w.dumps(_without_empty_lists(values))


def _without_empty_lists(values: dict[str, Any]) -> dict[str, Any]:
    """What is left when lists of nothing go: TOML lets no ``[[table]]`` be added to a written empty list."""
    return {
        key: _without_empty_lists(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if value not in ([], ())
    }


def _changed(values: dict[str, Any], others: dict[str, Any]) -> dict[str, Any]:
    """Keys whose values are not those of other nested tables; tables without any go."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        other = others.get(key)
        if isinstance(value, dict) and isinstance(other, dict):
            if inner := _changed(value, other):
                found[key] = inner
        elif value != other:
            found[key] = value
    return found


def _in_few_lines(found: re.Match[str]) -> str:
    """A list of plain values in as few lines as hold it."""
    items = " ".join(line.strip() for line in found[1].splitlines()).rstrip(",")
    if len(items) + 40 < _WIDTH:
        return f" = [{items}]"
    return " = [\n" + "".join(f"    {line}\n" for line in wrap(f"{items},", _WIDTH - 4)) + "]"


def _commented(lines: list[str]) -> Iterator[str]:
    """Lines of TOML with a section's meaning above its first header and a key's above its first line."""
    known = {section.name: section for section in sections()}
    seen: Counter[str] = Counter()
    here: Section | None = None
    for line in lines:
        header = _HEADER.fullmatch(line)
        if header:
            here = known.get(header[1])
            seen[header[1]] += 1
            if here is not None and seen[here.name] == 1:
                yield from _comment(here.meaning)
        elif here is not None and seen[here.name] == 1:
            name = line.partition(" = ")[0]
            yield from (text for key in here.keys if key.name == name for text in _about(key))
        yield line


def _about(key: Key) -> list[str]:
    """Lines above a key: what it means, in which unit and range."""
    unit, values = ("" if word in ("1", "text") else word for word in (key.unit, key.range))
    holds = "; ".join(filter(None, [unit, values]))
    return _comment(f"{key.meaning} ({holds})" if holds else key.meaning)


def _comment(text: str) -> list[str]:
    bare = text.replace("`", "")
    return wrap(bare, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
