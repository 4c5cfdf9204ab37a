"""How far a run is: its bar on a terminal, and what it tells a caller from Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar


def progress_bar(console: Console) -> Bar:
    """What is done of all, with the time that has passed and the time that is left."""
    return Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


@dataclass(frozen=True)
class Progress:
    """How far a run is once an interval is booked.

    Attributes
    ----------
    done, intervals
        Number of intervals up to the one that was booked, and of all.
    directory
        Where its results are; `sharegrid.load` reads what there is so far.
    """

    done: int
    intervals: int
    directory: Path

    @property
    def share(self) -> float:
        """Part of the run that is over, 0 to 1."""
        return self.done / self.intervals


class ShownProgress:
    """Shows each interval that is over, and tells the caller of each that is booked.

    Attributes
    ----------
    end
        Ends the run after the present interval; called once the caller's function has failed.
    """

    def __init__(
        self, bar: Bar, intervals: int, done: int, directory: Path, tell: Callable[[Progress], object]
    ) -> None:
        self.end: Callable[[], None] = lambda: None
        self._bar = bar
        self._task = bar.add_task("intervals", total=intervals, completed=done)
        self._of = intervals, directory
        self._tell = tell
        self._error: Exception | None = None

    @property
    def console(self) -> Console:
        """Console on which lines stand above the bar."""
        return self._bar.console

    def show(self, tick: int) -> None:
        """Show that an interval is over."""
        self._bar.update(self._task, completed=tick + 1)

    def tell(self, tick: int) -> None:
        """Tell the caller that an interval is booked."""
        if self._error is not None:
            return
        try:
            self._tell(Progress(tick + 1, *self._of))
        except Exception as error:  # noqa: BLE001 - a caller's function may raise anything
            self._error = error
            self.end()

    def raise_error(self) -> None:
        """Raise what the caller's function raised, if it did."""
        if self._error is not None:
            raise self._error


@contextmanager
def shown_progress(
    console: Console, intervals: int, done: int, directory: Path, tell: Callable[[Progress], object]
) -> Iterator[ShownProgress]:
    """Bar of a run's intervals while the block runs.

    Parameters
    ----------
    console
        Where the bar is.
    intervals, done
        Number of all intervals, and of those that are over already.
    directory
        The run's.
    tell
        Called after each interval.
    """
    with progress_bar(console) as bar:
        yield ShownProgress(bar, intervals, done, directory, tell)
