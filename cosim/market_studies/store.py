"""The folder of a study: what each task measured, tables, and what they were made with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from cosim.market_studies.declaration import TIMING, Measured, Row, StudyError, Table, Task
from cosim.market_studies.identity import difference, identity
from cosim.results.arrow import replace_file
from sharegrid.decoding import decode_json
from sharegrid.text import file_above

RECORD = "study.json"
PARTS = "parts"


class Record(msgspec.Struct, frozen=True):
    """What a folder was begun with."""

    name: str
    settings: dict[str, Any]
    program: dict[str, str]


class Store:
    """A study's folder.

    Parameters
    ----------
    folder
        Where it is.
    name, settings
        Of the study.
    resume, force
        Whether to go on with what is there, or to replace it.

    Raises
    ------
    StudyError
        The folder holds other results, or cannot be read.
    OSError
        It cannot be written.
    """

    def __init__(
        self, folder: Path, name: str, settings: Mapping[str, Any], *, resume: bool, force: bool
    ) -> None:
        self.folder = folder
        record = Record(name, dict(settings), identity())
        file = folder / RECORD
        if folder.exists() and not folder.is_dir():
            raise StudyError(f"{folder}: is a file; choose a folder that can be written")
        if (above := file_above(folder)) is not None:
            raise StudyError(f"{folder}: {above} is a file; choose a folder that can be written")
        if file.exists():
            if force:
                self._clear()
            elif resume:
                _refuse_other(file, record)
            else:
                raise StudyError(
                    f"{folder}: holds results already; go on with --resume, replace them with --force, or "
                    "choose another folder with --out"
                )
        (folder / PARTS).mkdir(parents=True, exist_ok=True)
        if not file.exists():
            replace_file(file, msgspec.json.format(msgspec.json.encode(record)) + b"\n")

    def measured(self, task: Task) -> Measured | None:
        """What a task measured, where it is done."""
        file = self._part(task)
        if not file.exists():
            return None
        try:
            found: Measured = decode_json(file.read_bytes())
        except msgspec.DecodeError as error:
            raise StudyError(f"{file}: is damaged ({error}); remove it, to have it measured again") from None
        return found

    def keep(self, task: Task, measured: Measured) -> None:
        """Keep what a task measured: whole, or not at all."""
        replace_file(self._part(task), msgspec.json.encode(measured))

    def write_tables(self, parts: Sequence[Measured]) -> dict[str, Table]:
        """Join what tasks measured, in their order, into tables of Parquet; times into a file of JSON."""
        rows: dict[str, list[Row]] = {}
        for part in parts:
            for name, some in part.items():
                rows.setdefault(name, []).extend(some)
        for name, some in rows.items():
            if name == TIMING:
                replace_file(
                    self.folder / f"{name}.json", msgspec.json.format(msgspec.json.encode(some)) + b"\n"
                )
            else:
                write_parquet(self.folder / f"{name}.parquet", some)
        return {name: Table(some) for name, some in rows.items()}

    def _part(self, task: Task) -> Path:
        key = hashlib.sha256(msgspec.json.encode(task, order="sorted")).hexdigest()[:20]
        return self.folder / PARTS / f"{key}.json"

    def _clear(self) -> None:
        """Take away what a study wrote, and nothing else."""
        for file in self.folder.glob(f"{PARTS}/*.json*"):
            file.unlink()
        (self.folder / RECORD).unlink()


def write_parquet(file: Path, rows: Sequence[Row]) -> None:
    """Rows as a Parquet file, the same bytes for the same rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: [row.get(name) for row in rows] for name in names}
    for name, values in columns.items():
        if any(isinstance(value, float) for value in values):
            columns[name] = [None if value is None else float(value) for value in values]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    replace_file(file, sink.getvalue().to_pybytes())


def _refuse_other(file: Path, ours: Record) -> None:
    """See that a folder was begun with the same study."""
    try:
        theirs = decode_json(file.read_bytes(), Record)
    except msgspec.DecodeError as error:
        raise StudyError(f"{file}: is no record of a study ({error}); replace it with --force") from error
    remedy = "begin anew with --force"
    if theirs.name != ours.name:
        raise StudyError(
            f"{file}: is of {theirs.name!r}, not {ours.name!r}; choose another folder, or {remedy}"
        )
    settings = decode_json(msgspec.json.encode(ours.settings))
    wrong = [key for key in settings if theirs.settings.get(key) != settings[key]]
    if wrong:
        changed = ", ".join(f"{key} was {theirs.settings.get(key)}" for key in wrong)
        raise StudyError(f"{file}: was begun with other settings ({changed}); give them again, or {remedy}")
    if apart := difference(ours.program, theirs.program):
        raise StudyError(f"{file}: was begun by another program ({apart}); {remedy}")
