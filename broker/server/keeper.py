"""A program of ours that is started again where it ends before we end it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

from broker.server.child import Child, ChildFailed

_LONGEST_PAUSE_S = 30.0

log = logging.getLogger(__name__)

Start = Callable[[], AbstractAsyncContextManager[Child]]


@asynccontextmanager
async def kept_running(
    name: str, first: Child | None, start: Start, *, is_done: Callable[[Child], bool] = lambda _: False
) -> AsyncIterator[None]:
    """Start a program again each time it ends, for the time of a ``with`` block, and say so.

    Parameters
    ----------
    name
        What it is called in messages.
    first
        The program as it runs now; whoever started it stops it. Without one, it is started beside what the
        block does.
    start
        Starts it in the same way.
    is_done
        Whether one that has ended has done what it was there for.
    """
    keeper = asyncio.create_task(_keep(name, first, start, is_done))
    try:
        yield
    finally:
        keeper.cancel()
        with suppress(asyncio.CancelledError):
            await keeper


async def _keep(name: str, child: Child | None, start: Start, is_done: Callable[[Child], bool]) -> None:
    if child is not None:
        await child.ended.wait()
    pause_s = 0.0
    while child is None or not is_done(child):
        if child is not None:
            log.warning("%s ended by itself; it is started again", name)
        try:
            async with start() as child:
                pause_s = 0.0
                await child.ended.wait()
        except ChildFailed as error:
            pause_s = min(2.0 * pause_s or 1.0, _LONGEST_PAUSE_S)
            log.error("%s does not start: %s; tried again in %g s", name, error, pause_s)  # noqa: TRY400
            await asyncio.sleep(pause_s)
