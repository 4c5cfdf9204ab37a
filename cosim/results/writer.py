"""Writing a run directory, interval by interval, so that it can be read whatever ends the run.

While a run goes on, each table is an Arrow stream (``NAME.arrows``), which stays readable up to its last
whole interval even after a kill; closing turns it into Parquet. ``cosim.results.columns`` defines the tables.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import msgspec

from broker.messages import FeederMap
from cosim.results.arrow import batches, frame, fresh_file, record_batch, replace_file, schema, to_parquet
from cosim.results.beginning import Beginning, write_beginning
from cosim.results.columns import TABLES
from cosim.results.directory import (
    claim,
    keep_changed_scenario,
    note_scenario,
    replaceable_files,
    run_directory,
)
from cosim.results.errors import translated
from cosim.results.lock import DirectoryLock, is_same, vanished
from cosim.results.names import BEGINNING, EVENTS, FEEDER_MAP, SCENARIO, SUMMARY
from cosim.results.summary import Summary, write_summary
from sharegrid.decoding import decode_json

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
        Replace the run that it holds; other files in it stay, and so does a scenario that a user changed.

    Attributes
    ----------
    kept
        Where the scenario stays that a user had changed; ``None`` where nobody had.

    Raises
    ------
    ResultsError
        As `cosim.results.directory.replaceable_files`, or the directory cannot be written; nothing was
        touched.
    """

    def __init__(self, path: Path, *, force: bool = False) -> None:
        self.path = Path(path)
        replaceable_files(self.path, force=force)
        with translated(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = DirectoryLock(self.path)
            with self._released_on_error():
                # Another run may have come and gone since the first look.
                held = replaceable_files(self.path, force=force, is_own=True)
                self.kept = keep_changed_scenario(self.path) if held else None
                for file in held:
                    file.unlink(missing_ok=True)
                claim(self.path)
                self._open({name: iter(()) for name in TABLES})

    @contextmanager
    def _released_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._lock.release()
            raise

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
        writer.path, writer.kept = run_directory(path), None
        complete = pa.array(sorted(ticks), type=pa.int32())
        with translated(writer.path):
            writer._lock = DirectoryLock(writer.path)
        with translated(writer.path), writer._released_on_error():
            # It told of a run that was over, and this one is no more.
            (writer.path / SUMMARY).unlink(missing_ok=True)
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
        self._streams: dict[str, tuple[BinaryIO, pa.RecordBatchStreamWriter]] = {}
        with ExitStack() as opened:
            self._events = opened.enter_context((self.path / EVENTS).open("ab"))
            for name, kept in rows.items():
                self._streams[name] = self._open_stream(name, kept, opened)
            opened.pop_all()

    def _open_stream(
        self, name: str, rows: Iterable[pa.RecordBatch], opened: ExitStack
    ) -> tuple[BinaryIO, pa.RecordBatchStreamWriter]:
        """New stream of a table with some rows, in the place of what there was of it."""
        import pyarrow as pa

        fresh = self.path / f"{name}.new"
        file = opened.enter_context(fresh_file(fresh, replace=True))
        stream = pa.ipc.new_stream(file, schema(name))
        # Without rows, the columns would not be in the file yet.
        stream.write_batch(record_batch(name, dict.fromkeys(schema(name).names, ())))
        for batch in rows:
            stream.write_batch(batch)
        file.flush()
        fresh.replace(self._stream(name))
        (self.path / f"{name}.parquet").unlink(missing_ok=True)
        return file, stream

    def beginning(self, beginning: Beginning) -> None:
        """Keep what is known of the run before its first interval."""
        self._write(BEGINNING, write_beginning(beginning))

    def scenario(self, text: str) -> None:
        """Keep the resolved scenario [TOML]."""
        self._write(SCENARIO, text.encode())
        note_scenario(self.path, text.encode())

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
        self._check(self._stream(table), file)
        with translated(self.path):
            stream.write_batch(record_batch(table, columns))
            file.flush()

    def replace(self, table: str, columns: Mapping[str, Any]) -> None:
        """Put rows in the place of all that a table holds; a reader finds those before or these.

        Takes and raises what ``append`` does.
        """
        file, _ = self._streams[table]
        self._check(self._stream(table), file)
        rows = record_batch(table, columns)
        with translated(self.path), ExitStack() as opened:
            self._streams[table] = self._open_stream(table, [rows], opened)
            opened.pop_all()
            file.close()

    def event(self, record: Mapping[str, Any]) -> None:
        """Add one line to the events: by convention ``tick``, ``kind``, ``source`` and ``detail``."""
        self._check(self.path / EVENTS, self._events)
        with translated(self.path):
            self._events.write(msgspec.json.encode(record) + b"\n")
            self._events.flush()

    def flags(self, tick: int) -> list[str]:
        """Flags of an interval among the events so far."""
        lines = (self.path / EVENTS).read_bytes().splitlines()
        records = (decode_json(line) for line in lines if b'"flag"' in line)
        return [each["detail"] for each in records if (each["kind"], each.get("tick")) == ("flag", tick)]

    def last_tick(self, name: str) -> int:
        """Largest tick that a table holds so far; -1 for none."""
        ticks = self.table(name)["tick"]
        return int(ticks.max()) if len(ticks) else -1

    def table(self, name: str) -> pd.DataFrame:
        """What a table holds so far."""
        return frame(self.path, name)

    def finish(self, summary: Summary) -> None:
        """Keep the summary and close."""
        self._write(SUMMARY, write_summary(summary))
        self.close()

    @property
    def is_held(self) -> bool:
        """Whether the directory still is this run's."""
        return self._lock.is_held

    def close(self) -> None:
        """Turn the tables into Parquet; nothing happens where that is done.

        Raises
        ------
        ResultsError
            The directory is another run's by now, or was removed, and what is in it stays as it is; or a
            table's file is gone.
        """
        if self._events.closed:
            return
        is_held, lost = self.is_held, [] if self.is_held else [self.path]
        with translated(self.path):
            self._events.close()
            while self._streams:
                name, (file, stream) = self._streams.popitem()
                stream.close()
                path, is_there = self._stream(name), is_same(self._stream(name), file.fileno())
                file.close()
                if is_held and is_there:
                    to_parquet(self.path, name)
                elif is_held:
                    lost.append(path)
            self._lock.release()
        for path in lost:
            raise vanished(path)

    def _stream(self, table: str) -> Path:
        return self.path / f"{table}.arrows"

    def _check(self, path: Path, file: BinaryIO) -> None:
        self._lock.check()
        if not is_same(path, file.fileno()):
            raise vanished(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, name: str, content: bytes) -> None:
        self._lock.check()
        with translated(self.path):
            replace_file(self.path / name, content)
