"""What a study is: settings with ranges, tasks that are measured one by one, figures, and claims."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
import numpy as np

from sharegrid.errors import SharegridError
from sharegrid.expected import explained, form, shown
from sharegrid.text import closest

TIMING = "timing"
"""The table that holds times and is no Parquet file: a second run has others."""

Row = Mapping[str, float | int | str | bool | None]
"""One line of a table by column; units are suffixes of the columns' names."""

Measured = Mapping[str, Sequence[Row]]
"""What one task measured: rows of tables by the tables' names."""

Task = Mapping[str, Any]
"""Arguments of one measurement, as JSON can hold them."""

TIME_OF_DAY = form(r"^\d\d:\d\d$", 'a time of day as HH:MM, such as "13:00"')
"""Pattern of a key that says when."""

Verdict = Literal["yes", "no", "in part", "not comparable"]


class StudyError(SharegridError):
    """A study, a key or a value that cannot be, in one line."""


@dataclass(frozen=True)
class Series:
    """One line or cloud of points of a panel; ``y`` may have gaps (NaN)."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    points: bool = False


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Attributes
    ----------
    x, y
        Their labels, with units.
    bars
        Names of the places of bars, where series are bars beside each other.
    steady
        Values of horizontal lines, by label.
    """

    x: str
    y: str
    series: Sequence[Series]
    title: str = ""
    log_x: bool = False
    log_y: bool = False
    bars: Sequence[str] = ()
    steady: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class FeederMap:
    """A feeder drawn from above with a value at some of its buses.

    Attributes
    ----------
    lines
        Ends of its lines, ``(x1, y1, x2, y2)`` each.
    at, value
        Where values are, and the values.
    label
        What they are, with the unit.
    """

    lines: Sequence[tuple[float, float, float, float]]
    at: Sequence[tuple[float, float]]
    value: Sequence[float]
    label: str
    title: str = ""


@dataclass(frozen=True)
class Figure:
    """A figure: its file's name, what it shows in a sentence, and its panels side by side."""

    name: str
    caption: str
    panels: Sequence[Panel | FeederMap]


@dataclass(frozen=True)
class Claim:
    """A statement of the literature or of theory, our figure beside it, and whether both agree."""

    claim: str
    ours: str
    agrees: Verdict
    why: str


class Table:
    """Rows of one name, by column.

    Parameters
    ----------
    rows
        All rows, in the order of the tasks.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = list(rows)

    def where(self, **values: object) -> Table:
        """The rows that have these values."""
        return Table([row for row in self.rows if all(row[key] == value for key, value in values.items())])

    def values(self, column: str) -> list[Any]:
        """A column as it is."""
        return [row[column] for row in self.rows]

    def numbers(self, column: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        """A column as numbers, with NaN where there is none."""
        return np.array([np.nan if row[column] is None else float(row[column] or 0.0) for row in self.rows])

    def different(self, column: str) -> list[Any]:
        """Different values of a column, in the order in which they come."""
        return list(dict.fromkeys(self.values(column)))

    def medians(self, by: str, column: str) -> tuple[list[float], list[float]]:
        """Different values of one column, and the median of another over the rows that have each."""
        places = sorted(self.different(by))
        found = [self.where(**{by: place}).numbers(column) for place in places]
        return places, [float(np.nanmedian(each)) if np.isfinite(each).any() else np.nan for each in found]

    def __len__(self) -> int:
        return len(self.rows)


Tables = Mapping[str, Table]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of the keys of a study: each with type, range and meaning, and the default at full size."""


@dataclass(frozen=True)
class Study:
    """A study.

    Attributes
    ----------
    name, question
        Its name on the command line, and what it answers, in a sentence.
    settings
        Its keys.
    quick
        Values of keys at which it takes seconds.
    tasks
        What is measured at given settings; each is a task of its own on the engine.
    measure
        Measures one task, given its values as arguments; knows nothing else, so that tasks may run anywhere
        and in any order.
    figures, claims
        What is drawn and said of the tables.
    """

    name: str
    question: str
    settings: type[Settings]
    quick: Mapping[str, Any]
    tasks: Callable[[Any], list[Task]]
    measure: Callable[..., Measured]
    figures: Callable[[Tables], list[Figure]]
    claims: Callable[[Tables], list[Claim]]

    def settled(self, changes: Mapping[str, object], *, quick: bool = False) -> Settings:
        """Settings with some keys changed.

        Raises
        ------
        StudyError
            There is no such key, or it cannot take the value.
        """
        known = list(self.settings.__struct_fields__)
        for key in changes:
            if key not in known:
                near = closest(key, known) or f"it has {', '.join(known)}"
                raise StudyError(f"study {self.name}: --set {key}: no such key; {near}")
        values = {**(self.quick if quick else {}), **changes}
        try:
            return msgspec.convert(values, self.settings)
        except msgspec.ValidationError as error:
            raise StudyError(f"study {self.name}: {_in_words(error, values)}") from error


def _in_words(error: msgspec.ValidationError, values: Mapping[str, object]) -> str:
    """A key that cannot take its value, in one line."""
    place, remedy = explained(error)
    key = place.partition("[")[0]
    value = values.get(key)
    text = str(value) if isinstance(value, list | tuple) else shown(value)
    return f"--set {key}: {text} cannot be used; {remedy}"


def meanings(settings: type[Settings]) -> dict[str, str]:
    """Meaning of each key of a study, in order."""
    properties = msgspec.json.schema_components([settings])[1][settings.__name__]["properties"]
    return {key: properties[key].get("description", "") for key in settings.__struct_fields__}
