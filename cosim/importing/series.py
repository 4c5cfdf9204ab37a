"""Series of power found in a table: one column each, one row for each meter and time, or a day in a row."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosim.importing.clock import Clock, is_time
from cosim.importing.loose_table import LooseTable
from cosim.importing.units import UNITS, to_kw, unit_in
from cosim.population.profile_table import quantity_of

TIME_NAMES = (
    "time",
    "timestamp",
    "datetime",
    "datetime utc",
    "date time",
    "zeit",
    "zeitstempel",
    "datum",
    "tstp",
)
METER_NAMES = ("id", "meter", "meter id", "lclid", "customer", "prosumer", "name", "site", "nmi")

_CLOCK_TIME = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)$")


@dataclass(frozen=True)
class Series:
    """Mean power of one meter.

    Attributes
    ----------
    name
        Of the meter, as the file has it; with the quantity in front where the file says it.
    epoch_s
        Start of each step [s since 1970 UTC], rising, ``(n,)``.
    kw
        Mean power, ``(n,)`` [kW].
    step_s
        Length of a step [s].
    """

    name: str
    epoch_s: NDArray[np.int64]
    kw: NDArray[np.float64]
    step_s: int


@dataclass(frozen=True)
class Reading:
    """How a table is to be read where it does not say so itself.

    Attributes
    ----------
    clock
        Whose times they are.
    unit
        Of all values; ``None`` reads it from the columns' names.
    by_end
        Whether a time is that of a step's end.
    fill
        Whether missing rows and empty cells are filled in by straight lines.
    """

    clock: Clock
    unit: str | None = None
    by_end: bool = False
    fill: bool = False


def series_in(table: LooseTable, reading: Reading) -> list[Series]:
    """All series of a table.

    Raises
    ------
    ImportRefused
        No times or values are found, a unit is not told, a row is missing, stands twice or holds no number.
    """
    days = [name for name in table.columns if _CLOCK_TIME.match(name)]
    if len(days) >= 24 and len(days) > len(table.columns) // 2:
        table.notes.once(f"each row is a day of {len(days)} steps")
        return list(_from_days(table, days, reading))
    time = _column(table, TIME_NAMES, lambda texts: is_time(texts[0]), "date and time")
    others = [name for name in table.columns if name != time]
    meter = next((name for name in others if name.lower().strip() in METER_NAMES), None)
    if meter is not None:
        table.notes.once(f"one row for each {meter} and time")
        return list(_from_long(table, time, meter, [name for name in others if name != meter], reading))
    held = [name for name in others if any(table.texts(name))]
    if not held:
        return []
    steps = _steps(table, time, np.arange(len(table.cells)), held[0], held[0], reading)
    return [_series(table, name, name, steps, table.numbers(name), reading) for name in held]


def _column(table: LooseTable, names: Sequence[str], fits: Callable[[list[str]], bool], what: str) -> str:
    """The column of a name that is known, or whose first cell fits."""
    by_name = [name for name in table.columns if name.lower().strip().replace("_", " ") in names]
    found = by_name or [name for name in table.columns if fits(table.texts(name))]
    if not found:
        raise table.refusal(f"no column holds {what}; call it {names[0]}")
    return found[0]


def _from_long(
    table: LooseTable, time: str, meter: str, others: list[str], reading: Reading
) -> Iterator[Series]:
    """A series for each meter, from the only column of numbers."""
    values = [name for name in others if _holds_numbers(table, name)]
    if len(values) != 1:
        held = ", ".join(values) or "none"
        raise table.refusal(f"one column of values is needed beside {meter} and {time}, not {held}")
    numbers = table.numbers(values[0])
    for name, rows in _grouped(table.texts(meter)).items():
        steps = _steps(table, time, np.array(rows), name, values[0], reading)
        yield _series(table, values[0], name, steps, numbers, reading)


def _from_days(table: LooseTable, days: list[str], reading: Reading) -> Iterator[Series]:
    """A series for each meter and category, from rows that hold a day each."""
    date = _column(
        table, ("date", "day", "datum", "tag"), lambda texts: is_time(_first_moment(texts[0])), "a date"
    )
    keys = [name for name in table.columns if name not in days and name != date]
    keys = [name for name in keys if name.lower() in METER_NAMES or "categor" in name.lower()]
    step_s = _step_of_days(table, days)
    dates, columns = table.texts(date), [table.texts(name) for name in keys]
    names = [" ".join(cells) or "all" for cells in zip(*columns, strict=True)] or ["all"] * len(dates)
    numbers = np.stack([table.numbers(name) for name in days], axis=1)
    for name, rows in _grouped(names).items():
        first = reading.clock.instants(
            [_first_moment(dates[row]) for row in rows], f"{table.path.name}, {date}"
        )
        starts = [at for at in first if at is not None]
        # Whether the first column is called 0:00 or, by its end, 0:30: it is the first step of the day.
        epoch_s = (np.array(starts)[:, None] + step_s * np.arange(len(days))).ravel()
        kept = [row for row, at in zip(rows, first, strict=True) if at is not None]
        factor = _factor(table, name, reading, step_s, "kwh")
        yield _checked(table, name, epoch_s, numbers[kept].ravel() * factor, step_s, reading, None)


def _first_moment(date: str) -> str:
    """The beginning of a day, in the form of its date."""
    return f"{date} 00:00" if " " not in date and "T" not in date else date


def _step_of_days(table: LooseTable, days: list[str]) -> int:
    step_s = 86400 // len(days)
    if step_s * len(days) != 86400:
        raise table.refusal(f"{len(days)} columns of times do not divide a day; complete them")
    return step_s


def _holds_numbers(table: LooseTable, name: str) -> bool:
    texts = [text for text in table.texts(name) if text]
    return bool(texts) and all(re.match(r"[-+]?[\d.,' ]+([eE][-+]?\d+)?$", text) for text in texts[:50])


def _grouped(names: Sequence[str]) -> dict[str, list[int]]:
    """Rows of each name, in the order in which the names come."""
    groups: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        groups.setdefault(name, []).append(row)
    return groups


@dataclass(frozen=True)
class _Steps:
    """Rows of a table in the order of time, and starts of their steps, ``(n,)`` each; how long these are."""

    rows: NDArray[np.intp]
    epoch_s: NDArray[np.int64]
    step_s: int


def _steps(
    table: LooseTable, time: str, rows: NDArray[np.intp], name: str, column: str, reading: Reading
) -> _Steps:
    """Steps of the rows of one series, or of many that have the same times."""
    place = table.columns.index(time)
    texts = [table.cells[row][place] for row in rows]
    at = reading.clock.instants(texts, f"{table.path.name}, column {time}")
    kept = np.array([k for k, each in enumerate(at) if each is not None], dtype=np.intp)
    epoch_s, rows = np.array([at[k] for k in kept], dtype=np.int64), rows[kept]
    order = np.argsort(epoch_s, kind="stable")
    if (np.diff(order) < 0).any():
        table.notes.once("rows were sorted by time")
    epoch_s, rows = epoch_s[order], rows[order]
    for k in np.flatnonzero(np.diff(epoch_s) == 0):
        again = table.cells[rows[k + 1]][place]
        what = f"{again} stands on line {table.lines[rows[k]]} already; keep one"
        raise table.refusal(what, time, int(rows[k + 1]))
    if len(epoch_s) < 2:
        raise table.refusal(f"{name}: one row tells no step; give at least two", column)
    steps, counts = np.unique(np.diff(epoch_s), return_counts=True)
    step_s = int(steps[np.argmax(counts)])
    return _Steps(rows, epoch_s - step_s if reading.by_end else epoch_s, step_s)


def _series(
    table: LooseTable,
    column: str,
    name: str,
    steps: _Steps,
    values: NDArray[np.float64],
    reading: Reading,
) -> Series:
    """A series of some rows of a column, whose values are those of all rows."""
    factor = _factor(table, column, reading, steps.step_s, "kw" if quantity_of(column) else None)
    kw = values[steps.rows] * factor
    return _checked(table, name, steps.epoch_s, kw, steps.step_s, reading, steps.rows)


def _factor(table: LooseTable, column: str, reading: Reading, step_s: int, otherwise: str | None) -> float:
    unit = reading.unit or (otherwise if otherwise == "kw" else unit_in(column) or otherwise)
    if unit is None:
        raise table.refusal(f"the name tells no unit; say --unit {' or '.join(UNITS[:2])} or kWh", column)
    if unit.lower() != "kw":
        table.notes.once(f"{unit} over {step_s / 60:g} min made into mean kW")
    return to_kw(unit, step_s)


def _checked(
    table: LooseTable,
    name: str,
    epoch_s: NDArray[np.int64],
    kw: NDArray[np.float64],
    step_s: int,
    reading: Reading,
    rows: NDArray[np.intp] | None,
) -> Series:
    """The series without holes, or the first of them named."""
    wanted = np.arange(epoch_s[0], epoch_s[-1] + 1, step_s, dtype=np.int64)
    there = np.isin(wanted, epoch_s[~np.isnan(kw)])
    odd = np.flatnonzero((epoch_s - epoch_s[0]) % step_s)
    if odd.size:
        row = None if rows is None else int(rows[odd[0]])
        raise table.refusal(f"{name}: the time is off the steps of {step_s / 60:g} min; correct it", "", row)
    if not there.all():
        hole = reading.clock.written(int(wanted[int(np.argmin(there))]))
        missing = int((~there).sum())
        if not reading.fill or not there.any():
            what = f"{name}: {missing} values are missing, the first for {hole}; add them, or say --fill"
            raise table.refusal(what)
        table.notes.once(
            f"{name}: {missing} missing values filled in by straight lines, the first for {hole}"
        )
        known = ~np.isnan(kw)
        kw = np.interp(wanted, epoch_s[known], kw[known])
        epoch_s = wanted
    return Series(name, epoch_s, kw, step_s)
