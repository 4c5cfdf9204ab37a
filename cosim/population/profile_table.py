"""A user's own load and PV in time, from a CSV or Parquet file; what it leaves out stays synthetic.

One row per interval (or per sub-step), one column per quantity and profile: ``load_kw.NAME`` and
``pv_kw.NAME`` as metered, ``load_kw_per_mwh.NAME`` and ``pv_kw_per_kwp.NAME`` to be scaled by each prosumer's
consumption or rating.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from cosim.population.members import Population
from cosim.population.source import Source
from cosim.scenario import Scenario
from cosim.scenario.arrays import Floats
from cosim.scenario.table_file import TableFile, read_table
from cosim.scenario.timeline import Timeline
from sharegrid.text import closest

OFFSET = re.compile(r"(Z|[+-]\d\d(:?\d\d)?)$")
_ABSURD = 100.0
"""Times what is usual from which on a power is in another unit: watts are a thousand."""

QUANTITIES = {
    "load_kw": "Load [kW] of every prosumer of this profile.",
    "load_kw_per_mwh": "Load per annual consumption [kW per 1000 kWh/a].",
    "pv_kw": "Available PV power [kW] of every prosumer of this profile.",
    "pv_kw_per_kwp": "Available PV power per rating [kW/kWp].",
}


def quantity_of(column: str) -> str | None:
    """What a column holds, by its name; ``None`` where that tells no quantity and profile."""
    quantity, _, profile = column.partition(".")
    return quantity if quantity in QUANTITIES and profile else None


@dataclass(frozen=True, slots=True)
class Assigned:
    """Which prosumers take which column of the table, and what each multiplies it by."""

    prosumer: NDArray[np.intp]
    column: NDArray[np.intp]
    factor: Floats

    def put(self, rows: Floats, into: Floats) -> None:
        """Overwrite ``into`` ``(s, n)`` by the rows ``(s or 1, columns)`` of the table."""
        into[:, self.prosumer] = rows[:, self.column] * self.factor


@dataclass(frozen=True, slots=True)
class Tabled:
    """Load and PV as in the table, and from another source where the table is silent.

    Attributes
    ----------
    values
        Rows of the table, the run's and those behind it, ``(ticks * rows_per_tick, columns)``.
    """

    rest: Source
    values: Floats
    rows_per_tick: int
    load: Assigned
    pv: Assigned

    @property
    def ticks(self) -> int:
        """As many as the table has, and the other source."""
        return min(len(self.values) // self.rows_per_tick, self.rest.ticks)

    def sample(self, tick: int) -> tuple[Floats, Floats]:
        """Load and available PV at the sub-steps of a tick [kW], ``(s, n)`` each."""
        load, pv = self.rest.sample(tick)
        rows = self.values[tick * self.rows_per_tick : (tick + 1) * self.rows_per_tick]
        self.load.put(rows, load)
        self.pv.put(rows, pv)
        return load, pv


def read_profiles(scenario: Scenario, population: Population, timeline: Timeline, rest: Source) -> Tabled:
    """Profiles of a user's table for a run.

    Parameters
    ----------
    scenario
        Names the file.
    population
        Whose names of profiles the columns bear.
    timeline
        The run that the rows must cover.
    rest
        Source of what the table leaves out.

    Returns
    -------
    Tabled
        A source of load and PV.

    Raises
    ------
    ScenarioError
        One line that names file, column and row: a time without UTC offset, a wrong step, a hole, a repeated
        row, an empty or negative cell, a column that belongs to nobody.
    """
    table = read_table(scenario.tables.profiles, ("time",), "profiles")
    if "time" not in table.columns:
        raise table.refusal("the column is missing; add the start of each row with its UTC offset", "time")
    names = [name for name in table.columns if name != "time"]
    load, pv = _assign(table, names, population)
    epoch_s = row_times(table)
    rows_per_tick = _rows_per_tick(table, epoch_s, timeline)
    rows = _rows_of_run(table, epoch_s, timeline, rows_per_tick)
    rows = np.append(rows, _rows_behind(epoch_s, timeline, rows_per_tick, rest.ticks))
    values = np.stack([table.numbers(name, low=0.0, rows=rows) for name in names], axis=1)
    _check_magnitudes(table, names, values.mean(axis=0), load, population.annual_kwh / 8760.0)
    _check_magnitudes(table, names, values.max(axis=0), pv, population.pv_kwp)
    return Tabled(rest, values, rows_per_tick, load, pv)


def _assign(table: TableFile, names: list[str], population: Population) -> tuple[Assigned, Assigned]:
    """Columns of load and of PV, each with the prosumers that take them."""
    if not names:
        raise table.refusal(f"no profile; add columns such as load_kw.{population.profile[0]}")
    members: dict[str, list[int]] = {}
    for k, profile in enumerate(population.profile):
        members.setdefault(profile, []).append(k)
    taken: dict[tuple[str, str], str] = {}
    parts: dict[str, list[tuple[NDArray[np.intp], int, Floats]]] = {"load": [], "pv": []}
    for column, name in enumerate(names):
        quantity, _, profile = name.partition(".")
        if quantity not in QUANTITIES:
            hint = closest(quantity, list(QUANTITIES)) or f"known are {', '.join(QUANTITIES)}"
            raise table.refusal(f"unknown quantity; {hint}", name)
        if profile not in members:
            hint = closest(profile, list(members)) or "correct it or remove the column"
            raise table.refusal(f"no prosumer has the profile {profile!r}; {hint}", name)
        what = quantity.partition("_")[0]
        if (what, profile) in taken:
            raise table.refusal(f"says the same as column {taken[what, profile]}; remove one", name)
        taken[what, profile] = name
        who = np.array(members[profile], dtype=np.intp)
        if what == "pv":
            who = who[population.pv_kwp[who] > 0.0]
            if len(who) == 0:
                raise table.refusal(
                    "no prosumer of this profile has PV; give pv_kwp or remove the column", name
                )
        scale = {"load_kw_per_mwh": population.annual_kwh / 1000.0, "pv_kw_per_kwp": population.pv_kwp}
        parts[what].append((who, column, scale.get(quantity, np.ones(population.size))[who]))
    return _joined(parts["load"]), _joined(parts["pv"])


def _check_magnitudes(
    table: TableFile, names: list[str], size: Floats, assigned: Assigned, usual_kw: Floats
) -> None:
    """Refuse columns of a size that cannot be kW beside what is usual for their prosumers, ``(n,)`` [kW]."""
    for who, column, factor in zip(assigned.prosumer, assigned.column, assigned.factor, strict=True):
        found, usual = float(size[column] * factor), float(usual_kw[who])
        if usual > 0.0 and found > _ABSURD * usual:
            raise table.refusal(
                f"{found:,.4g} kW where {usual:,.4g} kW is usual for its prosumers: are these watts? "
                "Divide by 1000, or `sharegrid import profiles --unit W`",
                names[column],
            )


def _joined(parts: list[tuple[NDArray[np.intp], int, Floats]]) -> Assigned:
    none = np.zeros(0, dtype=np.intp)
    return Assigned(
        prosumer=np.concatenate([none, *(who for who, _, _ in parts)]),
        column=np.concatenate([none, *(np.full(len(who), column) for who, column, _ in parts)]),
        factor=np.concatenate([np.zeros(0), *(factor for _, _, factor in parts)]),
    )


def instants_of(table: TableFile, column: str) -> NDArray[np.int64]:
    """Times of a column [s since 1970 UTC], ``(rows,)``.

    Raises
    ------
    ScenarioError
        A time without UTC offset, or one that is none.
    """
    import pandas as pd

    cells = table.frame[column]
    if isinstance(cells.dtype, pd.DatetimeTZDtype):
        instants = cells.dt.tz_convert("UTC")
    elif pd.api.types.is_datetime64_any_dtype(cells.dtype):
        raise table.refusal("times have no UTC offset; store them with a time zone", column)
    else:
        texts = table.text(column)
        for index, text in enumerate(texts):
            if not OFFSET.search(text):
                what = f"{text!r} has no UTC offset; write 2024-06-21T00:00+02:00"
                raise table.refusal(what, column, index)
        instants = pd.to_datetime(pd.Series(texts), utc=True, format="ISO8601", errors="coerce")
    for bad in np.flatnonzero(instants.isna().to_numpy()):
        raise table.refusal("this is no time; write 2024-06-21T00:00+02:00", column, int(bad))
    return np.asarray(instants.dt.tz_localize(None).to_numpy().astype("datetime64[s]").astype(np.int64))


def row_times(table: TableFile) -> NDArray[np.int64]:
    """Start of each row of a table with times [s since 1970 UTC], rising ``(rows,)``.

    Raises
    ------
    ScenarioError
        A time without UTC offset, one that is none, or one that does not rise.
    """
    epoch_s = instants_of(table, "time")
    for bad in np.flatnonzero(np.diff(epoch_s) <= 0):
        what = "repeats the row above" if epoch_s[bad + 1] == epoch_s[bad] else "lies before the row above"
        raise table.refusal(f"the time {what}; sort the rows and keep one of each", "time", int(bad) + 1)
    return epoch_s


def _rows_per_tick(table: TableFile, epoch_s: NDArray[np.int64], timeline: Timeline) -> int:
    """Rows of the table in an interval: one, or one for each sub-step."""
    interval_s = timeline.interval_min * 60
    steps, counts = np.unique(np.diff(epoch_s), return_counts=True)
    step_s = int(steps[np.argmax(counts)]) if steps.size else interval_s
    for rows in (1, timeline.substeps):
        if step_s * rows == interval_s:
            return rows
    what = f"rows are {step_s / 60:g} min apart; resample them to run.interval_min = {timeline.interval_min}"
    raise table.refusal(f"{what} or to its {timeline.substeps} sub-steps", "time", 1)


def _rows_of_run(
    table: TableFile, epoch_s: NDArray[np.int64], timeline: Timeline, rows_per_tick: int
) -> NDArray[np.intp]:
    """Indices of the rows that the run needs, each of which must be there."""
    step_s = timeline.interval_min * 60 // rows_per_tick
    wanted = timeline.start_epoch_min * 60 + np.arange(timeline.intervals * rows_per_tick) * step_s
    rows = np.searchsorted(epoch_s, wanted)
    for k in np.flatnonzero(epoch_s[np.minimum(rows, len(epoch_s) - 1)] != wanted):
        hole, first, last = (
            datetime.fromtimestamp(int(t), UTC).astimezone(timeline.zone).isoformat(timespec="minutes")
            for t in (wanted[k], epoch_s[0], epoch_s[-1])
        )
        what = f"no row for {hole}, the file spans {first} to {last}; add it or move the run"
        raise table.refusal(what, "time", min(int(rows[k]), len(epoch_s) - 1))
    return rows


def _rows_behind(
    epoch_s: NDArray[np.int64], timeline: Timeline, rows_per_tick: int, ticks: int
) -> NDArray[np.intp]:
    """Indices of the rows of whole ticks behind the run, up to ``ticks`` in all or to the first hole."""
    step_s = timeline.interval_min * 60 // rows_per_tick
    behind = np.arange(timeline.intervals * rows_per_tick, ticks * rows_per_tick)
    wanted = timeline.start_epoch_min * 60 + behind * step_s
    rows = np.searchsorted(epoch_s, wanted)
    found = epoch_s[np.minimum(rows, len(epoch_s) - 1)] == wanted
    whole = int(np.cumprod(found).sum()) // rows_per_tick * rows_per_tick
    return np.asarray(rows[:whole], dtype=np.intp)
