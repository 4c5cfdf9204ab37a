"""What lies in a run directory: names of its files, and whether it holds a run."""

from __future__ import annotations

from pathlib import Path

import msgspec

from cosim.results.arrow import ResultsError
from cosim.results.columns import TABLES

SCENARIO, SUMMARY, LEDGER, EVENTS, FEEDER_MAP, REPORT, LIVE = (
    "scenario.toml",
    "summary.json",
    "ledger.sqlite",
    "events.jsonl",
    "feeder_map.json",
    "report.html",
    "live.json",
)
_FILES = (
    *(SCENARIO, SUMMARY, LEDGER, f"{LEDGER}-wal", f"{LEDGER}-shm", EVENTS, FEEDER_MAP, REPORT, LIVE),
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


def run_directory(path: Path) -> Path:
    """The directory, where it holds a run; raises ``ResultsError`` where it holds none."""
    path = Path(path)
    if not any((path / name).exists() for name in _FILES):
        raise ResultsError(f"{path}: holds no run; name a directory that `sharegrid run` has written")
    return path
