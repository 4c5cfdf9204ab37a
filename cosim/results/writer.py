"""Writing a run directory, interval by interval, so that it can be read whatever ends the run.

While a run goes on, each table is an Arrow stream (``NAME.arrows``), which stays readable up to its last
whole interval even after a kill; closing turns it into Parquet. ``cosim.results.columns`` defines the tables.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import msgspec

from cosim.results.arrow import batches, frame, record_batch, schema, to_parquet, translated
from cosim.results.columns import TABLES
from cosim.results.directory import (
    EVENTS,
    FEEDER_MAP,
    SCENARIO,
    SUMMARY,
    FeederMap,
    held_files,
    run_directory,
)
from cosim.results.summary import Summary, write_summary

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


class RunWriter:
    """Writes one run directory. Use it as a context manager, or call ``close`` whatever happens.

    Parameters
    ----------
    path
        Directory to make or use.
    force
        Replace the run that it holds; other files in it stay.

    Raises
    ------
    ResultsError
        The directory holds a run and ``force`` is not set, or it cannot be written; nothing was touched.
    """

    def __init__(self, path: Path, *, force: bool = False) -> None:
        self.path = Path(path)
        held = held_files(self.path, force=force)
        with translated(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            for file in held:
                file.unlink()
            self._open({name: iter(()) for name in TABLES})

    @classmethod
    def resume(cls, path: Path, ticks: Collection[int]) -> Self:
        """Writer that goes on with a run that was interrupted or killed.

        Parameters
        ----------
        path
            Its directory.
        ticks
            Intervals that are complete, as the ledger has them; rows of others are dropped.

        Raises
        ------
        ResultsError
            The directory holds no run, or cannot be written.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        writer = cls.__new__(cls)
        writer.path = run_directory(path)
        complete = pa.array(sorted(ticks), type=pa.int32())
        with translated(writer.path):
            events = writer.path / EVENTS
            if events.exists():
                os.truncate(events, events.read_bytes().rfind(b"\n") + 1)
            writer._open(
                {
                    name: (
                        batch.filter(pc.is_in(batch["tick"], value_set=complete))
                        for batch in batches(writer.path, name)
                        # Sums over the run are written when it ends, and it has not.
                        if "tick" in batch.schema.names
                    )
                    for name in TABLES
                }
            )
        return writer

    def _open(self, rows: Mapping[str, Iterator[pa.RecordBatch]]) -> None:
        import pyarrow as pa

        self._streams: dict[str, tuple[BinaryIO, pa.RecordBatchStreamWriter]] = {}
        with ExitStack() as opened:
            self._events = opened.enter_context((self.path / EVENTS).open("ab"))
            for name, kept in rows.items():
                fresh = self.path / f"{name}.new"
                file = opened.enter_context(fresh.open("wb"))
                stream = pa.ipc.new_stream(file, schema(name))
                for batch in kept:
                    stream.write_batch(batch)
                file.flush()
                fresh.replace(self.path / f"{name}.arrows")
                (self.path / f"{name}.parquet").unlink(missing_ok=True)
                self._streams[name] = (file, stream)
            opened.pop_all()

    def scenario(self, text: str) -> None:
        """Keep the resolved scenario [TOML]."""
        self._write(SCENARIO, text.encode())

    def feeder_map(self, drawing: FeederMap) -> None:
        """Keep the drawing of the feeder, for the report."""
        self._write(FEEDER_MAP, msgspec.json.encode(drawing))

    def append(self, table: str, columns: Mapping[str, Any]) -> None:
        """Add rows to a table; they are on their way to the disk when this returns.

        Parameters
        ----------
        table
            One of ``cosim.results.columns.TABLES``.
        columns
            Values by column: arrays or lists of one length, or one value for all rows. What is left out,
            ``None`` or NaN is missing.

        Raises
        ------
        ResultsError
            A column is unknown, has another length or type, or the disk is full.
        """
        file, stream = self._streams[table]
        with translated(self.path):
            stream.write_batch(record_batch(table, columns))
            file.flush()

    def event(self, record: Mapping[str, Any]) -> None:
        """Add one line to the events: by convention ``tick``, ``kind``, ``source`` and ``detail``."""
        with translated(self.path):
            self._events.write(msgspec.json.encode(record) + b"\n")
            self._events.flush()

    def table(self, name: str) -> pd.DataFrame:
        """What a table holds so far."""
        return frame(self.path, name)

    def finish(self, summary: Summary) -> None:
        """Keep the summary and close."""
        self._write(SUMMARY, write_summary(summary))
        self.close()

    def close(self) -> None:
        """Turn the tables into Parquet; nothing happens where that is done."""
        with translated(self.path):
            self._events.close()
            while self._streams:
                name, (file, stream) = self._streams.popitem()
                stream.close()
                file.close()
                to_parquet(self.path, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, name: str, content: bytes) -> None:
        with translated(self.path):
            fresh = self.path / f"{name}.new"
            fresh.write_bytes(content)
            fresh.replace(self.path / name)
