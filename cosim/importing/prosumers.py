"""A table of prosumers for `[tables]` from a lab's own list: safe ids beside names of any text."""

from dataclasses import dataclass
from pathlib import Path

from cosim.importing.loose_table import Decimal, LooseTable, read_loose
from cosim.importing.profiles import safe_name
from cosim.population.tables import COLUMNS, TEXTS
from sharegrid.text import closest


@dataclass(frozen=True)
class ImportedProsumers:
    """Rows for the table of prosumers, and what was understood and changed."""

    columns: list[str]
    rows: list[list[str]]
    notes: list[str]


def import_prosumers(path: Path, decimal: Decimal | None = None) -> ImportedProsumers:
    """Prosumers of a file.

    Raises
    ------
    ImportRefused
        The file cannot be read, a column is unknown or missing, a cell holds no number, two ids are the same.
    """
    table = read_loose(path, decimal)
    names = [name.strip().lower().replace(" ", "_") for name in table.columns]
    for given, name in zip(table.columns, names, strict=True):
        if name not in COLUMNS:
            hint = closest(name, list(COLUMNS)) or f"remove it; known are {', '.join(COLUMNS)}"
            raise table.refusal(f"unknown column; {hint}", given)
    if "id" not in names:
        raise table.refusal("no column id; add one with a name for each prosumer")
    ids = _ids(table, names)
    filled = {
        name: ids
        if name == "id"
        else table.texts(given)
        if name in TEXTS
        else [f"{value:.12g}" for value in table.numbers(given)]
        for given, name in zip(table.columns, names, strict=True)
    }
    given_ids = table.texts(table.columns[names.index("id")])
    if "name" not in filled and ids != given_ids:
        filled = {"id": ids, "name": given_ids, **filled}
    _check_filled(table, filled)
    rows = [list(row) for row in zip(*filled.values(), strict=True)]
    return ImportedProsumers(list(filled), rows, table.notes)


def write_prosumers(found: ImportedProsumers, out: Path) -> None:
    """Write the table as CSV or Parquet, by the ending of its name."""
    import pandas as pd

    frame = pd.DataFrame(found.rows, columns=found.columns)
    if out.suffix != ".parquet":
        frame.to_csv(out, index=False)
        return
    for name in frame.columns:
        if name not in TEXTS:
            frame[name] = frame[name].astype(float)
    frame.to_parquet(out, index=False)


def _ids(table: LooseTable, names: list[str]) -> list[str]:
    """Ids that can stand in a topic; which were changed is noted."""
    given = table.texts(table.columns[names.index("id")])
    ids = [safe_name(text) for text in given]
    for was, now in zip(given, ids, strict=True):
        if was != now:
            table.notes.once(f"{was!r} has the id {now}, its name stays beside it")
    seen: set[str] = set()
    for row, each in enumerate(ids):
        if each in seen:
            raise table.refusal(f"the id {each} stands twice; rename one", "id", row)
        seen.add(each)
    return ids


def _check_filled(table: LooseTable, filled: dict[str, list[str]]) -> None:
    for name, cells in filled.items():
        for row, cell in enumerate(cells):
            if cell in ("", "nan"):
                raise table.refusal("the cell is empty; fill it, or remove the whole column", name, row)
