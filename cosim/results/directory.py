"""Run directory: written interval by interval, readable whatever ends the run, loaded back in one line.

While a run goes on, each table is an Arrow stream (``NAME.arrows``), which stays readable up to its last
whole interval even after a kill; closing turns it into Parquet. ``cosim.results.columns`` defines the tables.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import msgspec

from cosim.results.arrow import ResultsError, batches, frame, record_batch, schema, to_parquet, translated
from cosim.results.columns import TABLES
from cosim.results.ledger import Ledger

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SCENARIO, SUMMARY, LEDGER, EVENTS, FEEDER_MAP, REPORT, LIVE, QUARANTINE = (
    "scenario.toml",
    "summary.json",
    "ledger.sqlite",
    "events.jsonl",
    "feeder_map.json",
    "report.html",
    "live.json",
    "quarantine.jsonl",
)
_FILES = (
    *(SCENARIO, SUMMARY, LEDGER, f"{LEDGER}-wal", f"{LEDGER}-shm", EVENTS, FEEDER_MAP, REPORT, LIVE),
    QUARANTINE,
    *(f"{name}{ending}" for name in TABLES for ending in (".parquet", ".arrows", ".new")),
)


class FeederMap(msgspec.Struct, frozen=True, kw_only=True):
    """Drawing of a feeder: where the buses are [any length unit], what connects them, which carry a LAM."""

    buses: dict[str, tuple[float, float]]
    segments: list[tuple[str, str]]
    lams: list[str]


def held_files(path: Path, *, force: bool) -> list[Path]:
    """Files of a run that a directory holds; raises ``ResultsError`` where there are any and no ``force``."""
    held = [path / name for name in _FILES if (path / name).exists()]
    if held and not force:
        raise ResultsError(
            f"{path}: holds a run already; choose another directory or replace it with --force"
        )
    if path.exists() and not path.is_dir():
        raise ResultsError(f"{path}: is a file; name a directory for the results")
    return held


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
        writer.path = _run_directory(path)
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

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Keep the summary and close."""
        self._write(SUMMARY, msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n")
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


@dataclass(frozen=True)
class Run:
    """A run directory, read on demand; tables are as docs/results.md describes them."""

    path: Path

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The summary; raises ``ResultsError`` where the run was killed before it could write one."""
        with translated(self.path / SUMMARY):
            content: dict[str, Any] = msgspec.json.decode(self._read(SUMMARY))
        return content

    @cached_property
    def scenario(self) -> dict[str, Any]:
        """The resolved scenario."""
        with translated(self.path / SCENARIO):
            return tomllib.loads(self._read(SCENARIO).decode())

    @cached_property
    def feeder_map(self) -> FeederMap:
        """The drawing of the feeder."""
        with translated(self.path / FEEDER_MAP):
            return msgspec.json.decode(self._read(FEEDER_MAP), type=FeederMap)

    @cached_property
    def intervals(self) -> pd.DataFrame:
        """One row per interval."""
        return frame(self.path, "intervals")

    @cached_property
    def lams(self) -> pd.DataFrame:
        """One row per interval and LAM."""
        return frame(self.path, "lams")

    @cached_property
    def nodes(self) -> pd.DataFrame:
        """One row per interval and node."""
        return frame(self.path, "nodes")

    @cached_property
    def devices(self) -> pd.DataFrame:
        """One row per interval, live prosumer and phase."""
        return frame(self.path, "devices")

    @cached_property
    def prosumers(self) -> pd.DataFrame:
        """One row per prosumer, once the run is over."""
        return frame(self.path, "prosumers")

    @cached_property
    def faults(self) -> pd.DataFrame:
        """One row per injected fault, once the run is over."""
        return frame(self.path, "faults")

    @cached_property
    def events(self) -> list[dict[str, Any]]:
        """What happened, in order."""
        complete = self._read(EVENTS).split(b"\n")[:-1]
        with translated(self.path / EVENTS):
            return [msgspec.json.decode(line) for line in complete]

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger, opened to read."""
        return Ledger.open(self.path / LEDGER)

    def _read(self, name: str) -> bytes:
        file = self.path / name
        if not file.exists():
            raise ResultsError(
                f"{file}: is missing; the run was killed before it was written, or it was removed"
            )
        with translated(file):
            return file.read_bytes()


def load(path: Path | str) -> Run:
    """Results of a run, also of one that was interrupted or still goes on.

    Parameters
    ----------
    path
        Run directory.

    Returns
    -------
    Run
        Tables as DataFrames, summary, events and ledger; each is read at its first use.

    Raises
    ------
    ResultsError
        There is no run in the directory.
    """
    return Run(_run_directory(Path(path)))


def _run_directory(path: Path) -> Path:
    path = Path(path)
    if not any((path / name).exists() for name in _FILES):
        raise ResultsError(f"{path}: holds no run; name a directory that `sharegrid run` has written")
    return path
