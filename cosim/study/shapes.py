"""Load shapes for power flow through time: the standard household, or a user's table."""

import math
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cosim.feeder.circuit import Floats
from cosim.population.household import household_shape
from cosim.scenario.sections import Run
from cosim.scenario.table_file import TableFile, read_table
from cosim.scenario.timeline import timeline_of
from sharegrid.text import closest

_LOWEST, _HIGHEST = -100.0, 100.0
_LOAD, _PV = "load_kw.", "pv_kw."


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


def read_factors(path: Path, lams: tuple[str, ...], steps: int | None) -> Floats:
    """Load shape of a table: a row for each step, a column for all LAMs or for one, or imported profiles.

    Parameters
    ----------
    path
        CSV or Parquet file; column ``load`` holds for every LAM without a column of its own name, ``time`` is
        not looked at. Profiles are columns ``load_kw.NAME`` and perhaps ``pv_kw.NAME``, as ``sharegrid
        import profiles`` writes them: LAMs take the names in turn, and a LAM draws its own load at the peak
        of the profile's.
    lams
        Names of the LAMs.
    steps
        How many rows to take; ``None`` for all.

    Returns
    -------
    ndarray
        Part of its own load that each LAM draws, ``(steps, M)``.

    Raises
    ------
    ScenarioError
        One line with file, column and row: an unknown column, a LAM without column, too few rows, a cell that
        is empty, no number or beyond -100 to 100.
    """
    table = read_table(path, ("time",))
    count = len(table.frame) if steps is None else steps
    if count > len(table.frame):
        raise table.refusal(f"{len(table.frame)} rows for {count} steps; add rows or lower --steps")
    rows = np.arange(count)
    names = [name.removeprefix(_LOAD) for name in table.columns if name.startswith(_LOAD)]
    if names:
        return _profile_factors(table, names, rows)[:, np.arange(len(lams)) % len(names)]
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


def _profile_factors(table: TableFile, names: list[str], rows: NDArray[np.intp]) -> Floats:
    """Load less PV of each profile as parts of the peak of its load ``(steps, names)``."""
    factors = []
    for name in names:
        load_kw = table.numbers(f"{_LOAD}{name}", 0.0, np.inf, rows)
        pv = f"{_PV}{name}"
        pv_kw = table.numbers(pv, 0.0, np.inf, rows) if pv in table.columns else np.zeros(len(rows))
        peak_kw = float(load_kw.max(initial=0.0))
        if not peak_kw > 0.0:
            raise table.refusal("a load that is never above 0; leave the profile out", f"{_LOAD}{name}")
        factors.append((load_kw - pv_kw) / peak_kw)
    return np.stack(factors, axis=1)
