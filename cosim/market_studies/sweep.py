"""Runs or studies over a grid of values: one task each, one table of results."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import msgspec

from cosim.market_studies.declaration import Measured, StudyError, Table, Task
from cosim.market_studies.engine import Engine, open_engine
from cosim.market_studies.quiet import quiet_run
from cosim.market_studies.running import Progress, StudyOptions, find_study, run_tasks, unseen
from cosim.market_studies.store import Store
from cosim.results.arrow import replace_file
from cosim.scenario import load_scenario
from cosim.scenario.changes import parse_changes

FIGURES = (
    "intervals", "voltage_pu", "power_quality", "max_loading", "violations", "ac", "network", "energy_kwh",
    "cost", "kpis", "savings_usd", "certificate", "settlement",
)  # fmt: skip
"""What of a run's summary stands in the table: figures that a second run repeats, no wall time."""

_RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)")
_COMMA = re.compile(r",(?![^\[\]]*\])(?![^{}]*\})")
MOST = 100_000
"""Points of a grid at most."""

Grid = Mapping[str, Sequence[object]]
"""Values that are tried, by key."""


@dataclass(frozen=True)
class SweepOptions:
    """What is swept.

    Attributes
    ----------
    grid
        Values by key of the scenario, or of the study; every combination is tried.
    scenario
        File of the scenario; the shipped one where left out.
    study
        Name of a study in place of runs.
    intervals, start
        Of each run, as for ``sharegrid run``.
    quick
        As for a study.
    """

    grid: Grid = field(default_factory=dict)
    scenario: Path | None = None
    study: str | None = None
    intervals: int | None = None
    start: str | None = None
    quick: bool = False


def parse_grid(texts: Sequence[str]) -> dict[str, list[object]]:
    """Values by key out of ``KEY=VALUE,VALUE,...`` and ``KEY=FIRST..LAST``.

    Raises
    ------
    SharegridError
        A text has no key or value, or a key is given twice.
    """
    grid: dict[str, list[object]] = {}
    for text in texts:
        key, _, value = text.partition("=")
        values: list[object] = []
        for part in _COMMA.split(value):
            if found := _RANGE.fullmatch(part.strip()):
                first, last = int(found[1]), int(found[2])
                if not 0 <= last - first < MOST:
                    raise StudyError(f"--set {text}: give a range FIRST..LAST of at most {MOST:,} numbers")
                values += range(first, last + 1)
            else:
                values += parse_changes([f"{key}={part}"]).values()
        if not value.strip():
            raise StudyError(f"--set {text}: give KEY=VALUE,VALUE,... or KEY=FIRST..LAST")
        key = key.strip()
        if key in grid:
            raise StudyError(f"--set {key}: is given twice; give all of its values at once")
        grid[key] = values
    return grid


def sweep(
    scenario: str | Path | None = None,
    *,
    grid: Grid,
    out: str | Path = "sweep",
    study: str | None = None,
    intervals: int | None = None,
    start: str | None = None,
    **options: Any,
) -> Any:
    """Sweep from Python, also where an event loop runs: ``sweep(grid={"population.pv.share": [0.2, 0.5]})``.

    Parameters
    ----------
    scenario, grid, study, intervals, start
        As `SweepOptions`.
    out
        Folder.
    options
        ``jobs``, ``scheduler``, ``quick``, ``resume``, ``force`` of `StudyOptions`.

    Returns
    -------
    DataFrame
        One row for each run; of a study the table that it names first.

    Raises
    ------
    SharegridError
        Whatever a user can put right, in one line.
    """
    import pandas as pd

    given = StudyOptions(**options)
    file = None if scenario is None else Path(scenario)
    asked = SweepOptions(grid, file, study, intervals, start, quick=given.quick)
    with open_engine(given.jobs, given.scheduler) as engine:
        tables = run_sweep(asked, Path(out), given, engine, unseen)
    return pd.DataFrame(next(iter(tables.values())).rows)


def run_sweep(
    asked: SweepOptions, folder: Path, options: StudyOptions, engine: Engine, progress: Progress
) -> dict[str, Table]:
    """Measure every point of a grid on an engine, and write its tables into a folder."""
    if not asked.grid:
        raise StudyError("sweep: nothing varies; give --set KEY=VALUE,VALUE,...")
    count = 1
    for values in asked.grid.values():
        count *= len(values)
    if count > MOST:
        raise StudyError(f"sweep: {count:,} points are more than {MOST:,}; give fewer values")
    points = [dict(zip(asked.grid, values, strict=True)) for values in product(*asked.grid.values())]
    tasks = _study_tasks(asked, points) if asked.study else _run_tasks(asked, points)
    store = Store(folder, "sweep", _settings(asked), resume=options.resume, force=options.force)
    measure = measure_study if asked.study else measure_run
    tables = store.write_tables(run_tasks("sweep", measure, tasks, store, engine, progress))
    replace_file(folder / "report.md", _text(asked, tables).encode())
    return tables


def measure_run(
    *, scenario: str | None, values: dict[str, object], intervals: int | None, start: str | None, digest: str
) -> Measured:
    """Figures of one run; ``digest`` is of the scenario's file, which tasks of another file do not share."""
    del digest
    with quiet_run(scenario, changes=values, intervals=intervals, start=start) as run:
        summary = msgspec.to_builtins(run.summary)
    row: dict[str, Any] = {key: _cell(value) for key, value in values.items()}
    for name in FIGURES:
        row |= _flat(summary[name], name)
    return {"runs": [row]}


def measure_study(*, study: str, values: dict[str, object], task: dict[str, Any]) -> Measured:
    """What one task of a study measures, with the grid's values as further columns."""
    own = {f"set.{key}": _cell(value) for key, value in values.items()}
    measured = find_study(study).measure(**task)
    return {name: [{**own, **row} for row in rows] for name, rows in measured.items()}


def _run_tasks(asked: SweepOptions, points: Sequence[dict[str, object]]) -> list[Task]:
    """Tasks of runs; each value is held against the scenario before anything runs."""
    first = points[0]
    for key, values in asked.grid.items():
        for value in values:
            load_scenario(
                asked.scenario, intervals=asked.intervals, start=asked.start, changes={**first, key: value}
            )
    name = None if asked.scenario is None else str(asked.scenario.absolute())
    common = {
        "scenario": name,
        "intervals": asked.intervals,
        "start": asked.start,
        "digest": _digest(asked.scenario),
    }
    return [{"values": point, **common} for point in points]


def _study_tasks(asked: SweepOptions, points: Sequence[dict[str, object]]) -> list[Task]:
    """Tasks of a study at all points."""
    if asked.scenario is not None or asked.intervals is not None or asked.start is not None:
        raise StudyError(
            "sweep --study: a study has keys of its own; leave scenario, intervals and start out"
        )
    assert asked.study is not None
    study = find_study(asked.study)
    return [
        {"study": study.name, "values": point, "task": task}
        for point in points
        for task in study.tasks(study.settled(point, quick=asked.quick))
    ]


def _settings(asked: SweepOptions) -> dict[str, Any]:
    return {
        "grid": {key: [_cell(value) for value in values] for key, values in asked.grid.items()},
        "scenario": _digest(asked.scenario),
        "study": asked.study,
        "intervals": asked.intervals,
        "start": asked.start,
        "quick": asked.quick,
    }


def _digest(scenario: Path | None) -> str:
    return "" if scenario is None else hashlib.sha256(scenario.read_bytes()).hexdigest()[:12]


def _flat(value: Any, name: str) -> dict[str, Any]:
    """Numbers of nested tables by dotted name."""
    if isinstance(value, dict):
        return {key: each for inner in value for key, each in _flat(value[inner], f"{name}.{inner}").items()}
    return {name: value} if value is None or isinstance(value, int | float) else {}


def _cell(value: object) -> float | int | str | bool | None:
    """A value as a cell of a table can hold it."""
    return value if value is None or isinstance(value, int | float | str) else str(value)


def _text(asked: SweepOptions, tables: Mapping[str, Table]) -> str:
    """The page of a sweep: what varied, and where its tables are."""
    lines = ["# Sweep", "", "| Key | Values |", "| --- | --- |"]
    lines += [f"| {key} | {', '.join(map(str, values))} |" for key, values in asked.grid.items()]
    lines += ["", *(f"{name}.parquet: {len(table):,} rows" for name, table in tables.items())]
    return "\n".join(lines) + "\n"
