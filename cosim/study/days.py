"""A run through time day by day, on several processes, whose figures are those of one process to the bit.

What happens on a day is told by where regulators and capacitors stand when it begins. Each process goes
through days that follow each other; where it begins in the middle, that is guessed from the day before,
played from where controls stand in the feeder's file. In the end every day must begin where the one before
ended, and one that does not is played again.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cosim.feeder.circuit import Floats
from cosim.feeder.controls import Positions
from cosim.feeder.opendss import Feeder
from cosim.feeder.timeseries import Stretch, TimeRules, play
from cosim.study.kept_days import KeptDays
from cosim.study.options import FeederSource
from sharegrid.errors import SharegridError

# A process takes over half of what another one has before it, if that is as many days.
_WORTH_SHARING = 4


@dataclass(frozen=True)
class Setup:
    """What every process knows: where the feeder comes from, what holds in each step, the results' folder."""

    source: FeederSource
    rules: TimeRules
    out: Path


@dataclass
class _Worker:
    feeder: Feeder
    first: Positions
    rules: TimeRules
    kept: KeptDays


_worker: _Worker | None = None


def _begin(setup: Setup, feeder: Feeder | None = None) -> None:
    global _worker
    if feeder is None:
        # The parent decides when to stop; a day is soon over.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=_end_with_parent, daemon=True).start()
        feeder = setup.source.open()
    _worker = _Worker(feeder, feeder.positions(), setup.rules, KeptDays(setup.out))


def _end_with_parent() -> None:
    """A pool's processes wait for work for ever where their parent was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _play(
    day: int | None, start: Positions | None, shape: Floats, kvar_shape: Floats | None
) -> tuple[Positions, Positions]:
    """Go through a day and keep it (``None``: do not); where controls stood before and after."""
    assert _worker is not None
    stretch = play(_worker.feeder, start or _worker.first, shape, _worker.rules, kvar_shape=kvar_shape)
    if day is not None:
        _worker.kept.write(day, stretch)
    return stretch.start, stretch.end


class _Here(Executor):
    """Does what it is given at once, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


@dataclass
class _Lane:
    """Days from ``at`` to before ``until``, one after the other; ``where`` controls stand, if it is known."""

    at: int
    until: int
    where: Positions | None
    busy: bool = False


class Days:
    """All days of a run through time.

    Parameters
    ----------
    setup
        What every process knows.
    feeder
        The feeder, opened, its controls where its file has them.
    shape
        Part of its own load that each LAM draws, ``(T,)`` or ``(T, M)``.
    per_day
        Steps of a day.
    kvar_shape
        Part of its own kvar, as ``shape``; ``None`` where it is the same.

    Attributes
    ----------
    steps_done
        Steps of days that are kept.
    """

    def __init__(
        self,
        setup: Setup,
        feeder: Feeder,
        shape: Floats,
        per_day: int,
        kvar_shape: Floats | None = None,
    ) -> None:
        self._setup, self._feeder, self._shape, self._per_day = setup, feeder, shape, per_day
        self._kvar_shape = kvar_shape
        self._first = feeder.positions()
        self._kept = KeptDays(setup.out)
        self.count = -(-len(shape) // per_day)
        self._ends = self._kept.ends(self.count)
        self.steps_done = sum(len(self._of(day)) for day in self._ends)

    def play(self, jobs: int, on_steps: Callable[[int], None] = lambda _count: None) -> Iterator[Stretch]:
        """Go through all days that are not kept yet, on some processes; then all days in turn.

        Raises
        ------
        SharegridError
            A process ended, or the disk is full; days that are kept stay.
        """
        with self._executor(min(jobs, self.count)) as pool:
            try:
                self._fill(pool, jobs, on_steps)
                self._mend(pool)
            except BrokenProcessPool:
                raise SharegridError(
                    "a process of the run ended, perhaps for want of memory: --resume, with fewer --jobs"
                ) from None
            finally:
                pool.shutdown(cancel_futures=True)
        return (self._kept.read(day) for day in range(self.count))

    def _executor(self, jobs: int) -> Executor:
        if jobs <= 1:
            _begin(self._setup, self._feeder)
            return _Here()
        return ProcessPoolExecutor(
            jobs, multiprocessing.get_context("spawn"), initializer=_begin, initargs=(self._setup,)
        )

    def _fill(self, pool: Executor, jobs: int, on_steps: Callable[[int], None]) -> None:
        lanes, running = self._lanes(), dict[Future[tuple[Positions, Positions]], _Lane]()
        while True:
            while len(running) < jobs and (lane := _free(lanes)) is not None:
                lane.busy = True
                # Where controls stand is guessed by a day that is not kept.
                day, shape = (lane.at, lane.at) if lane.where else (None, lane.at - 1)
                parts = self._of(shape), self._kvar_of(shape)
                running[pool.submit(_play, day, lane.where, *parts)] = lane
            if not running:
                return
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                lane, (start, end) = running.pop(done), done.result()
                if lane.where:
                    self._ends[lane.at] = (start, end)
                    self.steps_done += len(self._of(lane.at))
                    on_steps(len(self._of(lane.at)))
                    lane.at += 1
                lane.where, lane.busy = end, False

    def _mend(self, pool: Executor) -> None:
        """Play again whatever does not begin where the day before ended."""
        where = self._first
        for day in range(self.count):
            if self._ends[day][0] != where:
                self._ends[day] = pool.submit(_play, day, where, self._of(day), self._kvar_of(day)).result()
            where = self._ends[day][1]

    def _lanes(self) -> list[_Lane]:
        """The gaps between days that are kept."""
        lanes: list[_Lane] = []
        for day in range(self.count):
            if day in self._ends:
                continue
            if lanes and lanes[-1].until == day:
                lanes[-1].until += 1
            else:
                lanes.append(_Lane(day, day + 1, self._ends[day - 1][1] if day else self._first))
        return lanes

    def _of(self, day: int) -> Floats:
        return self._shape[self._steps(day)]

    def _kvar_of(self, day: int) -> Floats | None:
        return None if self._kvar_shape is None else self._kvar_shape[self._steps(day)]

    def _steps(self, day: int) -> slice:
        return slice(day * self._per_day, (day + 1) * self._per_day)


def _free(lanes: list[_Lane]) -> _Lane | None:
    """A lane with a day to be played: one that is at rest, else half of the longest."""
    for lane in lanes:
        if not lane.busy and lane.at < lane.until:
            return lane
    longest = max(lanes, key=lambda lane: lane.until - lane.at, default=None)
    if longest is None or longest.until - longest.at < 2 * _WORTH_SHARING:
        return None
    middle = (longest.at + longest.until) // 2
    lanes.append(_Lane(middle, longest.until, None))
    longest.until = middle
    return lanes[-1]
