"""Runs from Python: a call that waits, one that is awaited, and what both say as they go on."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from cosim.options import RunOptions
from cosim.progress import Progress
from cosim.results.reader import Run, load
from cosim.run import run_command


class _EndedError(Exception):
    """Whoever awaited the run does so no more."""


def run(
    scenario: str | Path | None = None,
    *,
    progress: Callable[[Progress], object] | None = None,
    **options: Any,
) -> Run:
    """Run a scenario from Python and load what it wrote, also where an event loop runs, as in a notebook.

    Parameters
    ----------
    scenario
        A scenario file; without one the shipped summer day.
    progress
        Called after each interval with how far the run is. The run waits for it. What it raises ends the run
        after that interval, and is raised here once the results are saved. Where an event loop runs already,
        another thread calls it.
    options
        Fields of `RunOptions`: ``intervals``, ``start``, ``out``, ``pace``, ``broker``, ``seed`` and so on,
        and ``changes`` of the scenario's keys: ``changes={"population.pv.share": 0.5}``.

    Raises
    ------
    SharegridError
        Whatever a user can put right, in one line.
    TypeError
        ``progress`` has to be awaited; see ``run_async``.
    """
    if inspect.iscoroutinefunction(progress):
        raise TypeError("progress has to be awaited: use `await sharegrid.run_async(...)`")
    named = _named(scenario, options)
    if _loop_runs():
        # A run has an event loop of its own, and a thread can run only one.
        with ThreadPoolExecutor(1) as threads:
            threads.submit(run_command, named, progress).result()
    else:
        run_command(named, progress)
    return load(named.directory())


async def run_async(
    scenario: str | Path | None = None,
    *,
    progress: Callable[[Progress], object | Awaitable[object]] | None = None,
    **options: Any,
) -> Run:
    """Run a scenario while the caller's event loop goes on, as for several runs or a page that shows one.

    It has a thread and an event loop of its own. Cancelled, it ends after its present interval, and its
    results are saved.

    Parameters
    ----------
    scenario, options
        As of ``run``.
    progress
        Function or coroutine function, called in the caller's event loop after each interval, one call after
        the other; the run does not wait for it. What it raises ends the run as cancelling does.

    Raises
    ------
    SharegridError
        Whatever a user can put right, in one line.
    """
    named = _named(scenario, options)
    loop, is_ended = asyncio.get_running_loop(), threading.Event()
    states: asyncio.Queue[Progress | None] = asyncio.Queue()

    def tell(state: Progress) -> None:
        if is_ended.is_set():
            raise _EndedError
        loop.call_soon_threadsafe(states.put_nowait, state)

    async def listen() -> None:
        while (state := await states.get()) is not None:
            said = None if progress is None else progress(state)
            if inspect.isawaitable(said):
                await said

    running = asyncio.ensure_future(asyncio.to_thread(run_command, named, tell))
    running.add_done_callback(lambda _: states.put_nowait(None))
    try:
        await listen()
    except BaseException:
        is_ended.set()
        await asyncio.wait({running})
        raise
    await running
    return load(named.directory())


def _named(scenario: str | Path | None, options: dict[str, Any]) -> RunOptions:
    given = RunOptions(scenario=None if scenario is None else Path(scenario), **options)
    return replace(given, run_id=given.name())


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
