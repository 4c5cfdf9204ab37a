"""What lies in a run directory, and whether it holds a run."""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import sha256
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile

from cosim.results.arrow import fresh_file, replace_file
from cosim.results.columns import TABLES
from cosim.results.errors import ResultsError, translated
from cosim.results.lock import refuse_living
from cosim.results.names import (
    BEGINNING,
    BROKER_LOG,
    EVENTS,
    FEEDER_MAP,
    LEDGER,
    LIVE,
    MARKER,
    QUARANTINE,
    REPORT,
    RUN_LOG,
    SCENARIO,
    SUMMARY,
    TRAFFIC,
)
from sharegrid.text import file_above

_MADE_BY = b"A run of sharegrid made this directory; `run --force` may replace its files.\n"
FILES = (
    *(
        SCENARIO,
        BEGINNING,
        SUMMARY,
        LEDGER,
        f"{LEDGER}-wal",
        f"{LEDGER}-shm",
        f"{LEDGER}.new",
        EVENTS,
        FEEDER_MAP,
        REPORT,
        LIVE,
    ),
    QUARANTINE,
    BROKER_LOG,
    RUN_LOG,
    TRAFFIC,
    *(f"{name}{ending}" for name in TABLES for ending in (".parquet", ".arrows", ".new")),
)


def replaceable_files(path: Path, *, force: bool, is_own: bool = False) -> list[Path]:
    """Files of an earlier run in a directory that a new run may write.

    Parameters
    ----------
    path
        The directory; it need not exist.
    force
        Whether the new run may replace an earlier one.
    is_own
        Whether the new run holds the directory's lock already.

    Raises
    ------
    ResultsError
        The directory holds a run and ``force`` is not set; a run that goes on owns it; it holds files with
        names of a run although no run made it; or it, or one of these files, is a symbolic link.
    """
    if path.is_symlink():
        raise ResultsError(f"{path}: is a symbolic link; name the directory itself")
    if path.exists() and not path.is_dir():
        raise ResultsError(f"{path}: is a file; name a directory for the results")
    if (above := file_above(path)) is not None:
        raise ResultsError(f"{path}: {above} is a file; name a directory for the results")
    if not is_own:
        with translated(path):
            refuse_living(path)
    held = [path / name for name in FILES if os.path.lexists(path / name)]
    for file in held:
        if file.is_symlink():
            raise ResultsError(f"{file}: is a symbolic link, which no run writes through; remove it")
    if held and not os.path.lexists(path / MARKER):
        raise ResultsError(
            f"{path}: has a {held[0].name}, but no run made this directory; choose another one, or empty it"
        )
    if held and not force:
        raise ResultsError(
            f"{path}: holds a run already; choose another directory or replace it with --force"
        )
    return held


def refuse_unwritable(path: Path) -> None:
    """Refuse a directory that cannot be made or written to; what was made to see that is gone again.

    Raises
    ------
    ResultsError
        With the system's reason.
    """
    new = [each for each in (path, *path.parents) if not each.exists()]
    with translated(path):
        path.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path):
            pass
    with suppress(OSError):  # Somebody else may have begun to use it.
        for each in new:
            each.rmdir()


def count_others(path: Path) -> int:
    """How much of somebody else lies in a directory that no run has made yet."""
    if not path.is_dir() or os.path.lexists(path / MARKER):
        return 0
    return sum(1 for _ in path.iterdir())


def claim(path: Path) -> None:
    """Mark a directory as one that a run made, so that a later run may replace what is in it."""
    with suppress(FileExistsError), fresh_file(path / MARKER) as marker:
        marker.write(_MADE_BY)


def note_scenario(path: Path, text: bytes) -> None:
    """Note what a run wrote as its scenario, so that a later run sees whether a user has changed it."""
    replace_file(path / MARKER, _MADE_BY + _digest_line(text))


def keep_changed_scenario(path: Path) -> Path | None:
    """Put a scenario that a user has changed since a run wrote it beside itself; its new path."""
    if not is_scenario_changed(path):
        return None
    scenario = path / SCENARIO
    numbers = (f".bak{number}" if number else ".bak" for number in count())
    kept = next(each for end in numbers if not os.path.lexists(each := path / f"{SCENARIO}{end}"))
    return scenario.rename(kept)


def is_scenario_changed(path: Path) -> bool:
    """Whether a user has changed the scenario in a run directory since the run wrote it."""
    scenario = path / SCENARIO
    if not scenario.exists():
        return False
    return not (path / MARKER).read_bytes().endswith(_digest_line(scenario.read_bytes()))


def _digest_line(text: bytes) -> bytes:
    return f"Its {SCENARIO} has SHA-256 {sha256(text).hexdigest()}.\n".encode()


def run_directory(path: Path) -> Path:
    """The directory, where it holds a run; raises ``ResultsError`` where it holds none."""
    path = Path(path)
    if not any((path / name).exists() for name in FILES):
        raise ResultsError(f"{path}: holds no run; name a directory that `sharegrid run` has written")
    return path
