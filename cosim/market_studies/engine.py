"""Where tasks run: in this process, in local processes, or on any cluster of Dask."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from cosim.market_studies.declaration import StudyError, Task
from cosim.market_studies.identity import difference, identity

if TYPE_CHECKING:
    from distributed import Client

CONNECT_S = 10.0
"""How long a scheduler and its first worker are waited for."""

Done = Callable[[int, Any], None]
"""Called with a task's number and what it measured, in the order in which tasks end."""


class Engine(Protocol):
    """Runs a function on tasks, in any order."""

    def run(self, function: Callable[..., Any], tasks: Sequence[Task], done: Done) -> None:
        """Run a function once for each task; an error of one ends it, and what was done stays done."""
        ...


class InProcess:
    """One task after the other, here."""

    def run(self, function: Callable[..., Any], tasks: Sequence[Task], done: Done) -> None:
        """As `Engine.run`."""
        for number, task in enumerate(tasks):
            done(number, function(**task))


class OnDask:
    """Tasks on the workers of a Dask scheduler; one whose worker dies runs on another."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def run(self, function: Callable[..., Any], tasks: Sequence[Task], done: Done) -> None:
        """As `Engine.run`; what is complete when one fails is still handed over."""
        from distributed import KilledWorker, as_completed
        from distributed.client import FutureCancelledError
        from distributed.comm.core import CommClosedError

        futures = [self._client.submit(function, **task, pure=False) for task in tasks]
        place = {future.key: number for number, future in enumerate(futures)}
        failed: BaseException | None = None
        try:
            for future in as_completed(futures):
                if future.status == "finished":
                    done(place[future.key], future.result())
                elif failed is None:
                    failed = future.exception() or RuntimeError(f"a task ended as {future.status}")
        except (FutureCancelledError, CommClosedError, TimeoutError) as error:
            raise StudyError("the scheduler is lost: start one again") from error
        finally:
            self._client.cancel(futures)
        if isinstance(failed, KilledWorker):
            raise StudyError("a task ended every worker that took it; give workers more memory") from failed
        if failed is not None:
            if "cancel" in type(failed).__name__.lower() or "cancel" in str(failed).lower():
                raise StudyError("the scheduler is lost: start one again") from failed
            raise failed


@contextmanager
def open_engine(jobs: int | None, scheduler: str | None) -> Iterator[Engine]:
    """An engine that is closed behind.

    Parameters
    ----------
    jobs
        Local processes; None for as many as there are processors. One needs no Dask.
    scheduler
        Address of a Dask scheduler in place of local processes.

    Raises
    ------
    StudyError
        The scheduler does not answer, has no worker, or has workers with another version.
    """
    jobs = jobs or os.cpu_count() or 1
    if scheduler is None and jobs == 1:
        yield InProcess()
        return
    import dask
    from distributed import Client, LocalCluster

    with warnings.catch_warnings(), dask.config.set({"distributed.admin.log-format": "%(message)s"}):
        warnings.simplefilter("ignore")  # versions are compared below, ports are chosen by the system
        _be_silent()
        if scheduler is None:
            with (
                LocalCluster(
                    n_workers=jobs,
                    threads_per_worker=1,
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",
                    silence_logs=50,
                ) as cluster,
                Client(cluster) as client,
            ):
                yield OnDask(client)
            return
        client = _connected(scheduler)
        try:
            _same_program(client, scheduler)
            yield OnDask(client)
        finally:
            client.close()


def _be_silent() -> None:
    """Let only this project's own lines be printed: Dask logs lost workers and connections itself.

    It gives some of its loggers levels of their own, so that their parents' levels say nothing.
    """
    import logging

    for name in [*logging.root.manager.loggerDict, "distributed", "tornado"]:
        if name.split(".")[0] in ("distributed", "tornado"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def _connected(scheduler: str) -> Client:
    from distributed import Client

    try:
        return Client(scheduler, timeout=CONNECT_S, name="sharegrid")
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise StudyError(
            f"--scheduler {scheduler}: no Dask scheduler answers there; start one with `dask scheduler`, or "
            "leave the option out"
        ) from error


def _same_program(client: Client, scheduler: str) -> None:
    """See that all workers have our version."""
    try:
        client.wait_for_workers(1, timeout=CONNECT_S)
    except TimeoutError as error:
        raise StudyError(
            f"--scheduler {scheduler}: it has no workers; start some with `dask worker {scheduler}`"
        ) from error
    ours = identity()
    try:
        found = client.run(identity)
    except Exception as error:
        raise StudyError(
            f"--scheduler {scheduler}: its workers cannot load this sharegrid ({type(error).__name__}: "
            f"{error}); install version {ours['sharegrid']} there"
        ) from error
    for worker, theirs in found.items():
        if wrong := difference(ours, theirs):
            raise StudyError(f"--scheduler {scheduler}: {worker} is another program: {wrong}")
