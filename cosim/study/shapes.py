"""Load shapes for power flow through time: the standard household, or a user's table."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cosim.feeder.circuit import Floats
from cosim.population.household import household_shape
from cosim.population.profile_table import row_times
from cosim.scenario.sections import Run
from cosim.scenario.table_file import TableFile, read_table
from cosim.scenario.timeline import timeline_of
from sharegrid.text import closest

_LOWEST, _HIGHEST = -100.0, 100.0
_LOAD, _LOAD_PER_MWH, _PV = "load_kw.", "load_kw_per_mwh.", "pv_kw."
_NEW_YEAR, _HOUR_MIN, _DAY_S = datetime.fromisoformat("2024-01-01"), 60, 86_400

STEPS_MIN = (5, 10, 15, 20, 30, 60)
"""Lengths that a step may have [min]."""


def household_factors(start: datetime, step_min: int, steps: int | None) -> Floats:
    """Standard household H0 through time, its peak in the year of the start being 1.

    Parameters
    ----------
    start
        Begin of the first step, on a clock that never changes.
    step_min
        Length of a step [min].
    steps
        Their number; ``None`` for a year.

    Returns
    -------
    ndarray
        Mean of each step, ``(steps,)``.
    """
    new_year = start.replace(month=1, day=1, hour=0, minute=0, second=0, microsecond=0)
    quarters = int((new_year.replace(year=start.year + 1) - new_year).total_seconds()) // 900
    count = quarters * 15 // step_min if steps is None else steps
    year = timeline_of(Run(start=new_year, time_zone="UTC", interval_min=15, intervals=quarters, substeps=1))
    into_year_min = (start - new_year).total_seconds() / 60.0
    after = max(0, math.ceil((into_year_min + count * step_min) / 15.0) - quarters)
    shape = household_shape(year, extra_ticks=after)
    middles_min = year.start_epoch_min + 7.5 + 15.0 * np.arange(quarters, dtype=np.float64)
    peak = shape.at(middles_min).max()
    opening_min = year.start_epoch_min + into_year_min + step_min * np.arange(count, dtype=np.float64)
    within_min = np.arange(2.5, step_min, 5.0)
    return np.asarray(shape.at(opening_min[:, None] + within_min).mean(axis=1) / peak, dtype=np.float64)


@dataclass(frozen=True)
class Shape:
    """Part of its own load that each LAM draws, ``(T, M)`` or ``(T,)``; from when on, in steps how long.

    ``kvar_factors`` are the parts of its kvar where they are others: PV takes kW off a load, and no kvar.
    """

    factors: Floats
    start: datetime
    step_min: int
    kvar_factors: Floats | None = None


def shape_of(
    path: Path | None, lams: tuple[str, ...], start: datetime | None, step_min: int | None, steps: int | None
) -> Shape:
    """A load shape: the standard household, a row for each step of a table, or imported profiles.

    Parameters
    ----------
    path
        CSV or Parquet file, ``None`` for the standard household. Column ``load`` holds for every LAM without
        a column of its own name, and ``time`` is not looked at. Profiles are columns ``load_kw.NAME`` and
        perhaps ``pv_kw.NAME``, as ``sharegrid import profiles`` writes them: LAMs take the names in turn, and
        a LAM draws its own load at the peak of the profile's. Their ``time`` says where steps begin and how
        long they last.
    lams
        Names of the LAMs.
    start
        Begin of the first step, by the clock of the first row of profiles; ``None`` for their first row, else
        for 2024.
    step_min
        Length of a step [min]; ``None`` for that of profiles, else for an hour.
    steps
        How many; ``None`` for all rows, or a year.

    Raises
    ------
    ScenarioError
        One line with file, column and row: an unknown column, a LAM without column, too few rows, a cell that
        is empty, no number or beyond -100 to 100; profiles with a hole, with steps of another length, or that
        do not hold the start.
    """
    if path is None:
        begin, minutes = start or _NEW_YEAR, step_min or _HOUR_MIN
        return Shape(household_factors(begin, minutes, steps), begin, minutes)
    table = read_table(path, ("time",))
    names = [name for name in table.columns if name.startswith((_LOAD, _LOAD_PER_MWH))]
    first, begin, minutes = 0, start or _NEW_YEAR, step_min or _HOUR_MIN
    if names and "time" in table.columns:
        first, begin, minutes = _times_of(table, start, step_min)
    there = len(table.frame) - first
    count = there if steps is None else steps
    if count > there:
        raise table.refusal(f"{there} rows for {count} steps; add rows or lower --steps")
    rows = np.arange(first, first + count)
    if not names:
        return Shape(_own_factors(table, lams, rows), begin, minutes)
    in_turn = np.arange(len(lams)) % len(names)
    net, load = (each[:, in_turn] for each in _profile_factors(table, names, rows))
    return Shape(net, begin, minutes, load)


def _times_of(table: TableFile, start: datetime | None, step_min: int | None) -> tuple[int, datetime, int]:
    """The first row, when it begins by the clock of the table's first one, and the length of steps [min]."""
    epoch_s = row_times(table)
    step_s = int(np.diff(epoch_s).min(initial=_DAY_S))
    for at in np.flatnonzero(np.diff(epoch_s) != step_s).tolist():
        raise table.refusal(
            f"rows are {step_s / 60:g} min apart, and here one or more are missing; import the file again "
            "with --fill, or take a part without holes",
            "time",
            at + 1,
        )
    if len(epoch_s) > 1 and (step_s % 60 or step_s // 60 not in STEPS_MIN):
        lengths = ", ".join(map(str, STEPS_MIN))
        raise table.refusal(f"rows are {step_s / 60:g} min apart; resample them to {lengths} min", "time", 1)
    minutes = step_s // 60 if len(epoch_s) > 1 else step_min or _HOUR_MIN
    if step_min is not None and step_min != minutes:
        raise table.refusal(f"rows are {minutes} min apart, not {step_min}; leave --step-min out", "time", 1)
    clock = datetime.fromisoformat(table.text("time")[0]).replace(tzinfo=None)
    row, rest = divmod(((start or clock) - clock).total_seconds(), 60 * minutes)
    if rest or not 0 <= row < len(epoch_s):
        last = clock + timedelta(minutes=minutes * (len(epoch_s) - 1))
        raise table.refusal(f"no row begins at {start}; --start must be one from {clock} to {last}", "time")
    return int(row), start or clock, minutes


def _own_factors(table: TableFile, lams: tuple[str, ...], rows: NDArray[np.intp]) -> Floats:
    """Columns for all LAMs or for one each ``(steps, M)``."""
    known = {"time", "load", *lams}
    for name in table.columns:
        if name not in known:
            hint = closest(name, sorted(known)) or "name it load, or after a LAM"
            raise table.refusal(f"unknown column; {hint}", name)
    without = [lam for lam in lams if lam not in table.columns]
    if "load" not in table.columns and without:
        raise table.refusal(f"no column for LAM '{without[0]}'; add it, or a column load for all others")
    own = {
        name: table.numbers(name, _LOWEST, _HIGHEST, rows)
        for name in table.columns
        if name in known - {"time"}
    }
    return np.stack([own[lam] if lam in own else own["load"] for lam in lams], axis=1)


def _profile_factors(table: TableFile, loads: list[str], rows: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Load less PV, and load, of profiles as parts of the load's peak in the table ``(steps, names)``."""
    pv_of = {name: _PV + name.removeprefix(_LOAD) for name in loads if name.startswith(_LOAD)}
    for name in table.columns:
        if name not in {"time", *loads, *pv_of.values()}:
            what = "PV needs a load in kW beside it" if name.startswith("pv_") else "unknown column"
            raise table.refusal(f"{what}; taken are load_kw.NAME, pv_kw.NAME and load_kw_per_mwh.NAME", name)
    whole = np.arange(len(table.frame))
    net, load = [], []
    for name in loads:
        load_kw = table.numbers(name, 0.0, np.inf, whole)
        pv = pv_of.get(name)
        pv_kw = table.numbers(pv, 0.0, np.inf, whole) if pv in table.columns else np.zeros(len(whole))
        peak_kw = float(load_kw.max(initial=0.0))
        if not peak_kw > 0.0:
            raise table.refusal("a load that is never above 0; leave the profile out", name)
        net.append((load_kw - pv_kw)[rows] / peak_kw)
        load.append(load_kw[rows] / peak_kw)
    return np.stack(net, axis=1), np.stack(load, axis=1)
