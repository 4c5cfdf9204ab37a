"""Tables of a run on disk: Arrow streams while it goes on, Parquet afterwards.

A stream stays readable up to its last whole batch even when its writer is killed; Parquet does not, but
is what people read. ``cosim.results.columns`` defines the tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from cosim.results.columns import TABLES
from cosim.results.errors import ResultsError, translated

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_ROW_GROUP = 100_000


def record_batch(table: str, columns: Mapping[str, Any]) -> pa.RecordBatch:
    """Rows of a table from columns.

    Parameters
    ----------
    table
        Name of the table.
    columns
        Values by column: arrays or lists of one length, or one value for all rows. What is left out,
        ``None`` or NaN is missing; without any column there is no row.

    Raises
    ------
    ResultsError
        A column is unknown, or has another length or type.
    """
    import pyarrow as pa

    fields = schema(table)
    unknown = sorted(set(columns) - set(fields.names))
    if unknown:
        raise ResultsError(f"{table}: no column {unknown[0]!r}; docs/results.md lists the columns")
    lengths = {name: len(value) for name, value in columns.items() if not _is_scalar(value)}
    rows = next(iter(lengths.values()), 1 if columns else 0)
    for name, length in lengths.items():
        if length != rows:
            raise ResultsError(f"{table}.{name}: {length} values where the other columns have {rows}")
    arrays = []
    for field in fields:
        value = columns.get(field.name)
        try:
            values = [value] * rows if _is_scalar(value) else value
            arrays.append(pa.array(values, type=field.type, from_pandas=True))
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise ResultsError(f"{table}.{field.name}: {str(error).splitlines()[0]}") from error
    return pa.record_batch(arrays, schema=fields)


def _is_scalar(value: object) -> bool:
    # A list or tuple is never turned into an array for its shape alone.
    if isinstance(value, (list, tuple)):
        return False
    return isinstance(value, str) or np.ndim(value) == 0  # type: ignore[arg-type]


def schema(table: str) -> pa.Schema:
    """Arrow schema of a table."""
    import pyarrow as pa

    types = {
        "integer": pa.int32(),
        "number": pa.float64(),
        "flag": pa.bool_(),
        "text": pa.string(),
        "time": pa.timestamp("ms", "UTC"),
    }
    return pa.schema([(column.name, types[column.type]) for column in TABLES[table]])


def batches(directory: Path, table: str) -> Iterator[pa.RecordBatch]:
    """Rows of a table in a run directory, from its stream if there is one, else from Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    stream = directory / f"{table}.arrows"
    if not stream.exists():
        file = pq.ParquetFile(directory / f"{table}.parquet", page_checksum_verification=True)
        with file:
            yield from file.iter_batches(_ROW_GROUP)
        return
    with stream.open("rb") as source:
        rows = pa.ipc.open_stream(source)
        try:
            yield from rows
        except (pa.ArrowInvalid, OSError):
            # A killed process leaves its last rows cut off; those before are whole.
            return


def to_parquet(directory: Path, table: str) -> None:
    """Turn the stream of a table into Parquet, in bounded memory."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = schema(table)
    fresh = directory / f"{table}.new"
    with (
        fresh_file(fresh, replace=True) as file,
        pq.ParquetWriter(file, fields, write_page_checksum=True) as writer,
    ):
        waiting: list[pa.RecordBatch] = []
        for batch in batches(directory, table):
            waiting.append(batch)
            if sum(each.num_rows for each in waiting) >= _ROW_GROUP:
                writer.write_table(pa.Table.from_batches(waiting, fields))
                waiting = []
        writer.write_table(pa.Table.from_batches(waiting, fields))
    fresh.replace(directory / f"{table}.parquet")
    (directory / f"{table}.arrows").unlink(missing_ok=True)


def frame(directory: Path, table: str) -> pd.DataFrame:
    """Table of a run directory; raises ``ResultsError`` where it is missing, cut off or of other columns."""
    import pyarrow as pa

    files = [directory / f"{table}{ending}" for ending in (".arrows", ".parquet")]
    found = next((file for file in files if file.exists()), None)
    if found is None:
        raise ResultsError(f"{files[-1]}: is missing; it was removed")
    with translated(found):
        try:
            rows: pd.DataFrame = _whole(found, table).to_pandas()
        except (pa.ArrowException, OSError) as error:
            # A checksum that does not fit is an OSError too, but none of the system's.
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise ValueError(str(error)) from error
        if "tick" in rows and (rows["tick"].isna().any() or not rows["tick"].is_monotonic_increasing):
            raise ValueError("its ticks do not rise")
    return rows


def _whole(file: Path, table: str) -> pa.Table:
    """Table in a file with the columns that this version has; raises ``ResultsError`` for others."""
    import pyarrow as pa

    wanted, found = schema(table), list(batches(file.parent, table))
    there = set(found[0].schema.names) if found else set(wanted.names)
    if other := sorted(there.symmetric_difference(wanted.names)):
        is_older = other[0] in wanted.names
        raise ResultsError(
            f"{file}: has {'no' if is_older else 'a'} column {other[0]}: another version of "
            "sharegrid made this run, or the file was changed; open it with that version"
        )
    return pa.Table.from_batches(found, wanted)


def tick_rows(directory: Path, table: str, tick: int) -> dict[str, list[Any]]:
    """Rows of a table that belong to one interval, by column; raises as ``frame``."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    whole = directory / f"{table}.parquet"
    with translated(whole):
        try:
            if whole.exists():
                found = pq.read_table(whole, filters=[("tick", "=", tick)])
            else:
                wanted = (each.filter(pc.equal(each["tick"], tick)) for each in batches(directory, table))
                found = pa.Table.from_batches(wanted, schema(table))
            rows: dict[str, list[Any]] = found.to_pydict()
        except pa.ArrowException as error:
            raise ValueError(str(error)) from error
    return rows


def fresh_file(path: Path, *, replace: bool = False) -> BinaryIO:
    """New file to write, never one behind a link; ``replace`` removes what an earlier process left there.

    Raises
    ------
    FileExistsError
        It is there, and ``replace`` is not set.
    """
    if replace:
        path.unlink(missing_ok=True)
    return path.open("xb")


def replace_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; a link in its place is replaced, not followed."""
    fresh = path.with_name(f"{path.name}.new")
    try:
        with fresh_file(fresh, replace=True) as file:
            file.write(content)
        fresh.replace(path)
    except BaseException as error:
        # A part of a page would take what a full disk has left.
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
