"""Reading users' CSV and Parquet files so that whatever is wrong is named by file, column and row."""

import logging
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from broker.topics import topic_safe
from cosim.scenario.scenario import ScenarioError
from sharegrid.text import unreadable

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = {".csv", ".parquet"}

_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+$")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TableFile:
    """A table as read, with the name and the row numbers that its user knows.

    ``imported_as`` is the command under ``sharegrid import`` that makes such tables of a lab's own, if any.
    """

    path: Path
    frame: "pd.DataFrame"
    imported_as: str = ""

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return [str(name) for name in self.frame.columns]

    def row(self, index: int) -> str:
        """Row ``index`` as its user finds it: the line of a CSV file, the row of a Parquet file."""
        # The index keeps the places that rows have in the file, also where empty lines were left out.
        place = int(self.frame.index[index])
        return f"line {place + 2}" if self.path.suffix == ".csv" else f"row {place + 1}"

    def refusal(self, what: str, column: str = "", index: int | None = None) -> ScenarioError:
        """Error in one line: file, column, row, what and remedy."""
        place = [self.path.name, *([f"column {column}"] if column else [])]
        place += [self.row(index)] if index is not None else []
        return ScenarioError(f"{', '.join(place)}: {what}")

    def text(self, column: str) -> list[str]:
        """Texts of a column, none of them empty.

        Raises
        ------
        ScenarioError
            A cell is empty.
        """
        empty = self.frame[column].isna()
        cells = ["" if no else str(cell).strip() for cell, no in zip(self.frame[column], empty, strict=True)]
        for index, cell in enumerate(cells):
            if not cell:
                raise self.refusal("the cell is empty; fill it", column, index)
        return cells

    def names(self, column: str) -> list[str]:
        """Texts of a column that name something, each once.

        Raises
        ------
        ScenarioError
            A cell is empty, a name cannot stand in a topic, or it stands twice.
        """
        names = self.text(column)
        first: dict[str, int] = {}
        for index, name in enumerate(names):
            if not topic_safe(name):
                raise self.refusal(
                    f"{name!r} has more than letters, digits and _ . : -; rename it", column, index
                )
            if name in first:
                raise self.refusal(
                    f"{name!r} stands at {self.row(first[name])} already; rename one", column, index
                )
            first[name] = index
        return names

    def numbers(
        self,
        column: str,
        low: float = -np.inf,
        high: float = np.inf,
        rows: NDArray[np.intp] | None = None,
    ) -> NDArray[np.float64]:
        """Numbers of a column, all finite and within a range.

        Parameters
        ----------
        column
            Name of the column.
        low, high
            Range, limits included.
        rows
            Indices of the rows to take and check; all if None.

        Returns
        -------
        NDArray
            ``(rows,)``.

        Raises
        ------
        ScenarioError
            A cell is empty, no number, not finite or out of range.
        """
        import pandas as pd

        cells = self.frame[column] if rows is None else self.frame[column].iloc[rows]
        values = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        bad = np.flatnonzero(~((values >= low) & (values <= high) & np.isfinite(values)))
        if len(bad):
            cell, value = cells.iloc[int(bad[0])], values[bad[0]]
            index = int(bad[0]) if rows is None else int(rows[bad[0]])
            if pd.isna(cell) or not str(cell).strip():
                raise self.refusal("the cell is empty; give a number", column, index)
            if _DECIMAL_COMMA.match(str(cell).strip()):
                what = f"{str(cell)!r} has a decimal comma; write points{_or_import(self.imported_as)}"
                raise self.refusal(what, column, index)
            if not np.isfinite(value):
                raise self.refusal(f"{str(cell)!r} is no finite number; give one", column, index)
            raise self.refusal(f"{value:g} is outside {low:g} to {high:g}; correct it", column, index)
        return values

    def flags(self, column: str) -> NDArray[np.bool_]:
        """Column of true and false (also 1 and 0).

        Raises
        ------
        ScenarioError
            A cell is something else.
        """
        known = {"true": True, "1": True, "false": False, "0": False}
        cells = self.text(column)
        for index, cell in enumerate(cells):
            if cell.lower() not in known:
                raise self.refusal(f"{cell!r} is neither true nor false; give one", column, index)
        return np.array([known[cell.lower()] for cell in cells], dtype=np.bool_)


def read_table(path: str | Path, text_columns: tuple[str, ...], imported_as: str = "") -> TableFile:
    """Table in a CSV or Parquet file.

    Parameters
    ----------
    path
        File ending in ``.csv`` or ``.parquet``.
    text_columns
        Columns to keep as text, whatever they look like.
    imported_as
        Command under ``sharegrid import`` that makes such tables, if any.

    Returns
    -------
    TableFile
        With at least one row.

    Raises
    ------
    ScenarioError
        The file is missing, of another kind, damaged, empty or ragged.
    """
    import pandas as pd

    file = Path(path)
    if file.is_dir():
        raise ScenarioError(f"{path}: is a directory; give the table in it")
    if file.suffix not in SUFFIXES:
        raise ScenarioError(f"{path}: unknown kind of table; give a file that ends in .csv or .parquet")
    if not file.is_file():
        raise ScenarioError(f"{path}: no such file; correct its name")
    try:
        with warnings.catch_warnings():
            # pandas only warns when a row has more cells than the header, and drops them.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            if file.suffix == ".parquet":
                frame = pd.read_parquet(file)
            else:
                _assert_commas(file, imported_as)
                frame = pd.read_csv(
                    file,
                    dtype=dict.fromkeys(text_columns, str),
                    index_col=False,
                    skip_blank_lines=False,
                    float_precision="round_trip",
                )
    # What pandas has written beside the columns may be damaged, too, and lead it anywhere.
    except (OSError, ValueError, LookupError, TypeError, AttributeError, pd.errors.ParserWarning) as error:
        raise ScenarioError(
            f"{file.name}: cannot be read: {_why(error)}; correct or replace the file"
        ) from None
    if file.suffix == ".csv":
        frame = _without_nothing(file, frame)
    table = TableFile(file, frame, imported_as)
    if len(frame) == 0:
        raise table.refusal("the table has no rows; add some or leave the file out of [tables]")
    return table


def _without_nothing(file: Path, frame: "pd.DataFrame") -> "pd.DataFrame":
    """The table without lines and nameless columns in which nothing stands, as spreadsheets leave them."""
    is_empty = frame.isna().all(axis=1)
    nameless = [name for name in frame.columns if str(name).startswith("Unnamed: ")]
    empty = [name for name in nameless if frame[name].isna().all()]
    for what, count in (("lines", int(is_empty.sum())), ("columns without a name", len(empty))):
        if count:
            log.warning("%s: empty %s left out: %d", file.name, what, count)
    return frame[~is_empty].drop(columns=empty)


def _or_import(name: str) -> str:
    return f", or let `sharegrid import {name}` do it" if name else ""


def _assert_commas(file: Path, imported_as: str) -> None:
    """Refuse a file whose cells are divided by something else, before one of its cells is blamed."""
    with file.open(encoding="utf-8", errors="replace") as lines:
        header = lines.readline()
    for sign, name in ((";", "semicolons"), ("\t", "tabs")):
        if sign in header:
            raise ScenarioError(
                f"{file.name}, line 1: cells are divided by {name}; write commas and decimal points"
                f"{_or_import(imported_as)}"
            )


def _why(error: Exception) -> str:
    """Why pandas cannot read a table, in people's words."""
    import pandas as pd

    if isinstance(error, pd.errors.EmptyDataError):
        return "it is empty"
    if isinstance(error, pd.errors.ParserWarning):
        return "a row has more cells than the header"
    if found := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error)):
        return f"line {found[2]} has {found[3]} cells, the header {found[1]}"
    return " ".join(unreadable(error).split())
