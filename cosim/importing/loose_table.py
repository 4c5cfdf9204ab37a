"""Tables as labs have them: text of any encoding, delimiter and decimal sign, Excel, Parquet.

Nothing is guessed silently: whatever is done beyond reading cells is noted, for the user to see.
"""

import codecs
import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cosim.importing.errors import ImportRefused
from cosim.importing.notes import Notes

Decimal = Literal[".", ","]

DELIMITERS = (";", "\t", "|", ",")
NAMES = {";": "semicolon", "\t": "tab", "|": "bar", ",": "comma"}
SHEETS = {".xlsx", ".xlsm", ".xls", ".ods"}

_LOOKED_AT = 50
_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(,\d{3})+$")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$")


@dataclass
class LooseTable:
    """Cells as texts, as they stand in a file.

    Attributes
    ----------
    path
        The file.
    columns
        Names of the columns.
    cells
        Texts, a list for each row, empty where nothing stands.
    lines
        Number of each row in the file, from 1.
    notes
        What was done to read it, for the user.
    decimal
        Sign of decimals, where the user says; found out where not.
    """

    path: Path
    columns: list[str]
    cells: list[list[str]]
    lines: list[int]
    notes: Notes = field(default_factory=Notes)
    decimal: Decimal | None = None

    def refusal(self, what: str, column: str = "", row: int | None = None) -> ImportRefused:
        """Error in one line: file, column, line, what and remedy."""
        place = [self.path.name, *([f"column {column}"] if column else [])]
        place += [f"line {self.lines[row]}"] if row is not None else []
        return ImportRefused(f"{', '.join(place)}: {what}")

    def texts(self, column: str) -> list[str]:
        """Texts of a column."""
        place = self.columns.index(column)
        return [row[place] for row in self.cells]

    def numbers(self, column: str) -> NDArray[np.float64]:
        """Numbers of a column, NaN where a cell is empty.

        Raises
        ------
        ImportRefused
            A cell is no number, or a comma may stand for decimals or for thousands.
        """
        texts = self.texts(column)
        decimal = self.decimal or self._decimal_of(column, texts)
        values = np.full(len(texts), np.nan)
        for row, text in enumerate(texts):
            if not text:
                continue
            plain = _plain(text, decimal)
            if not _NUMBER.match(plain):
                raise self.refusal(f"{text!r} is no number; correct or empty the cell", column, row)
            values[row] = float(plain)
        return values

    def _decimal_of(self, column: str, texts: Sequence[str]) -> Decimal:
        """Sign of decimals in a column, noted where it is the comma."""
        with_comma = [text for text in texts if "," in text and "." not in text]
        if not with_comma:
            return "."
        if all(_THOUSANDS.match(text) for text in with_comma):
            what = f"{with_comma[0]!r} may be a decimal or thousands; say --decimal , or --decimal ."
            raise self.refusal(what, column, list(texts).index(with_comma[0]))
        self.notes.once("decimals are written with a comma")
        return ","


def read_loose(path: Path, decimal: Decimal | None = None) -> LooseTable:
    """Table in a text file, a sheet or a Parquet file.

    Parameters
    ----------
    path
        The file; a sheet is its first.
    decimal
        Sign of decimals; ``None`` finds it out column by column.

    Raises
    ------
    ImportRefused
        The file is missing, of no known kind, or has no table.
    """
    if not path.is_file():
        raise ImportRefused(f"{path}: no such file; correct its name")
    notes = Notes()
    rows = _sheet(path) if path.suffix.lower() in SHEETS | {".parquet"} else _text_rows(path, notes)
    return _table(path, rows, notes, decimal)


def _plain(text: str, decimal: Decimal) -> str:
    """A number as Python writes it."""
    text = text.replace(" ", "").replace("\u00a0", "").replace("'", "")
    if "," in text and "." in text:
        decimal = "," if text.rfind(",") > text.rfind(".") else "."
    elif "," not in text and decimal == ",":
        # Some columns of the same file may have points.
        return text
    thousands = "." if decimal == "," else ","
    return text.replace(thousands, "").replace(decimal, ".")


def _text_rows(path: Path, notes: Notes) -> list[tuple[int, list[str]]]:
    """Lines of a text file with their numbers, cut at its delimiter."""
    text = _decoded(path.read_bytes(), notes)
    cut = {sign: list(csv.reader(text.splitlines(), delimiter=sign)) for sign in DELIMITERS}
    sign = max(DELIMITERS, key=lambda each: _columns_in(cut[each]))
    if sign != ",":
        notes.append(f"cells are divided by a {NAMES[sign]}")
    return [(number, row) for number, row in enumerate(cut[sign], start=1)]


def _columns_in(rows: list[list[str]]) -> int:
    """The number of columns that most of the first lines have."""
    widths = Counter(len(row) for row in rows[:_LOOKED_AT] if any(cell.strip() for cell in row))
    return max(widths, key=lambda width: (widths[width], width), default=0)


def _decoded(data: bytes, notes: Notes) -> str:
    """Text of a file, whatever wrote it."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        notes.append("text is UTF-16")
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        notes.append("text is not UTF-8; read as Windows-1252, check letters with accents")
        return data.decode("cp1252", errors="replace")


def _sheet(path: Path) -> list[tuple[int, list[str]]]:
    """Rows of the first sheet of a workbook, or of a Parquet file."""
    import pandas as pd

    try:
        if path.suffix == ".parquet":
            frame = pd.read_parquet(path)
            frame = pd.concat([pd.DataFrame([frame.columns], columns=frame.columns), frame.astype(object)])
        else:
            frame = pd.read_excel(path, header=None, dtype=object)
    except ImportError as error:
        raise ImportRefused(
            f"{path.name}: {error.name or 'a reader'} is not installed; pip install it"
        ) from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise ImportRefused(f"{path.name}: cannot be read: {reason}; save it as CSV") from None
    rows = frame.itertuples(index=False, name=None)
    return [(number, [_cell_text(cell) for cell in row]) for number, row in enumerate(rows, start=1)]


def _cell_text(cell: object) -> str:
    """A cell of a sheet as text."""
    import pandas as pd

    if cell is None or cell is pd.NaT or (isinstance(cell, float) and np.isnan(cell)):
        return ""
    if isinstance(cell, (float, np.floating)):
        return repr(float(cell))
    return str(cell.isoformat()) if hasattr(cell, "isoformat") else str(cell)


def _table(
    path: Path, rows: list[tuple[int, list[str]]], notes: Notes, decimal: Decimal | None
) -> LooseTable:
    """Header and rows, without what holds nothing."""
    full = [(number, [cell.strip() for cell in row]) for number, row in rows]
    kept = [(number, row) for number, row in full if any(row)]
    if blank := len(full) - len(kept):
        notes.append(f"empty lines left out: {blank}")
    header = next((k for k, (_, row) in enumerate(kept) if sum(map(bool, row)) > 1), None)
    if header is None or header == len(kept) - 1:
        raise ImportRefused(f"{path.name}: no table with a header and rows; give another file")
    if header:
        notes.append(f"lines above the header left out: {header}")
    width = len(kept[header][1])
    body = kept[header + 1 :]
    for number, row in body:
        if any(row[width:]):
            what = f"{len(row)} cells where the header has {width}; correct it"
            raise ImportRefused(f"{path.name}, line {number}: {what}")
    cells = [(row + [""] * width)[:width] for _, row in body]
    named = [k for k, name in enumerate(kept[header][1]) if name or any(row[k] for row in cells)]
    if left := width - len(named):
        notes.append(f"empty columns without a name left out: {left}")
    columns = [kept[header][1][k] or f"column {k + 1}" for k in named]
    for name in columns:
        if columns.count(name) > 1:
            raise ImportRefused(f"{path.name}, column {name}: stands twice; rename one")
    picked = [[row[k] for k in named] for row in cells]
    return LooseTable(path, columns, picked, [number for number, _ in body], notes, decimal)
