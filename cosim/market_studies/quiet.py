"""Whole runs as tasks: a run into a folder that goes away, without what it prints."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cosim.market_studies.declaration import StudyError

if TYPE_CHECKING:
    from cosim.results.reader import Run


@contextmanager
def quiet_run(scenario: str | Path | None = None, **options: Any) -> Iterator[Run]:
    """A run to look at inside the block; options are those of `cosim.from_python.run`.

    Raises
    ------
    StudyError
        It ended before its last interval.
    SharegridError
        As the run itself.
    """
    from cosim.from_python import run

    with tempfile.TemporaryDirectory(prefix="sharegrid-") as folder:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            done = run(scenario, out=Path(folder) / "run", **options)
        intervals = done.summary.intervals
        if intervals.settled < intervals.planned:
            raise StudyError(f"a run ended after {intervals.settled} of {intervals.planned} intervals")
        yield done
