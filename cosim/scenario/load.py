"""Reads a scenario from a TOML file and overrides some of its values.

What is wrong with a file is said in one line: file, line, key, remedy.
"""

from datetime import date, datetime, time
from importlib.resources import files
from math import isfinite
from pathlib import Path
from typing import Any

import msgspec

from cosim.scenario.changes import Changes, apply_changes
from cosim.scenario.checks import choices, find_line, inconsistency, unknown_key
from cosim.scenario.extension import Extension
from cosim.scenario.scenario import Scenario, ScenarioError
from cosim.scenario.sections import Run
from cosim.scenario.timeline import intervals_to_midnight
from sharegrid.decoding import decode_toml
from sharegrid.expected import explained, refused
from sharegrid.text import closest, in_words, unreadable


def load_scenario(
    path: str | Path | None = None,
    *,
    intervals: int | None = None,
    seed: int | None = None,
    start: str | None = None,
    changes: Changes | None = None,
) -> Scenario:
    """Scenario from a TOML file, or the shipped default, with some values overridden.

    Parameters
    ----------
    path
        TOML file; None for the default scenario (a summer day of 11,250 prosumers).
    intervals
        Overrides ``run.intervals``.
    seed
        Overrides ``run.seed``.
    start
        Overrides ``run.start``: ``HH:MM`` on the scenario's day, or a whole local date and time. A default of
        "to midnight" (``intervals = 0``) is counted from there.
    changes
        Values of other keys, by dotted key: ``{"market.bidding": "slope"}``. Paths are absolute, or relative
        to the scenario's file.

    Returns
    -------
    Scenario
        With absolute paths and a positive number of intervals.

    Raises
    ------
    ScenarioError
        One line that names the file, the key and the remedy.
    """
    text, where, folder = _read(path)
    try:
        raw = decode_toml(text)
    except msgspec.DecodeError as error:
        raise ScenarioError(f"{where}: not valid TOML: {error}; correct it there") from None
    options = {"run.intervals": intervals, "run.seed": seed, "run.start": start}
    given: dict[str, object] = {key: value for key, value in options.items() if value is not None}
    if start is not None:
        given["run.start"] = _start(start, raw)
    apply_changes(raw, {**(changes or {}), **given})

    def refusal(key: str, what: str) -> ScenarioError:
        if key in given:
            return ScenarioError(f"--{key.removeprefix('run.')}: {what}")
        if key in (changes or {}):
            return ScenarioError(f"--set {key}: {what}")
        line = find_line(text, key)
        return ScenarioError(f"{where}{f':{line}' if line else ''}: {in_words(key)}: {what}")

    unknown = unknown_key(raw, Scenario)
    if unknown is not None:
        raise refusal(*unknown)
    for key, value in _numbers(raw):
        if not isfinite(value):
            raise refusal(key, f"{value} is not a finite number; give one")
    try:
        scenario = msgspec.convert(raw, Scenario)
    except msgspec.ValidationError as error:
        raise refusal(*_explain(error, raw)) from None
    wrong = inconsistency(scenario)
    if wrong is not None:
        raise refusal(*wrong)
    if scenario.live.profiles and not (folder / scenario.live.profiles).is_dir():
        raise refusal("live.profiles", f"no folder {folder / scenario.live.profiles}; correct it")
    return _resolved(scenario, folder)


def _read(path: str | Path | None) -> tuple[str, str, Path]:
    """Text, display name and folder of a scenario file."""
    if path is None:
        default = files("cosim.scenario") / "default.toml"
        return default.read_text(encoding="utf-8"), "default.toml", Path.cwd()
    file = Path(path)
    try:
        return file.read_text(encoding="utf-8"), str(path), file.parent
    except FileNotFoundError:
        if file.is_symlink():
            raise ScenarioError(
                f"{path}: is a link to {file.readlink()}, which is not there; correct the link"
            ) from None
        hint = closest(file.name, [other.name for other in file.parent.glob("*.toml")])
        raise ScenarioError(
            f"{path}: no such file; {hint or 'give the path of a scenario in TOML'}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(
            f"{path}: cannot be read ({unreadable(error)}); give a scenario in TOML"
        ) from None


def _start(text: str, raw: dict[str, Any]) -> datetime:
    """Start given on the command line; a bare time is on the scenario's own day."""
    run = raw.get("run")
    day = run.get("start") if isinstance(run, dict) else None
    try:
        if "T" in text or " " in text.strip() or "-" in text:
            return datetime.fromisoformat(text)
        base = date.fromisoformat(day[:10]) if isinstance(day, str) else day
        return datetime.combine(base if isinstance(base, date) else Run().start, time.fromisoformat(text))
    except ValueError:
        raise ScenarioError(f"--start: {text!r} is no local time; give HH:MM or YYYY-MM-DDTHH:MM") from None


def _numbers(raw: object, at: str = "") -> list[tuple[str, float]]:
    """Every float in nested tables, with its key."""
    if isinstance(raw, dict):
        return [n for key, value in raw.items() for n in _numbers(value, f"{at}.{key}" if at else key)]
    if isinstance(raw, list):
        return [n for place, value in enumerate(raw) for n in _numbers(value, f"{at}[{place}]")]
    return [(at, raw)] if isinstance(raw, float) else []


def _explain(error: msgspec.ValidationError, raw: dict[str, Any]) -> tuple[str, str]:
    """Key and remedy out of a validation error."""
    place, remedy = explained(error, lambda key: choices(key.replace("[...]", ""), Scenario))
    key = place.replace("[...]", "")
    if not remedy.startswith("give "):
        return key, f"{remedy}; see docs/scenario.md"
    value: object = raw
    for part in place.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return key, remedy if value is None or isinstance(value, dict | list) else refused(value, remedy)


def _resolved(scenario: Scenario, folder: Path) -> Scenario:
    """Scenario with paths made absolute and "to midnight" counted."""

    def absolute(name: str) -> str:
        return str((folder / name).resolve()) if name else ""

    run, replace = scenario.run, msgspec.structs.replace

    def found(extension: Extension) -> Extension:
        return replace(extension, folder=absolute(extension.folder)) if extension.use else extension

    return replace(
        scenario,
        run=run if run.intervals else replace(run, intervals=intervals_to_midnight(run)),
        feeder=replace(scenario.feeder, master=absolute(scenario.feeder.master)),
        population=replace(scenario.population, forecast=found(scenario.population.forecast)),
        market=replace(scenario.market, strategy=found(scenario.market.strategy)),
        live=replace(scenario.live, profiles=absolute(scenario.live.profiles)),
        tables=replace(
            scenario.tables,
            lams=absolute(scenario.tables.lams),
            prosumers=absolute(scenario.tables.prosumers),
            profiles=absolute(scenario.tables.profiles),
            vehicles=absolute(scenario.tables.vehicles),
        ),
    )
