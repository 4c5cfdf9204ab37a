"""Messages of one service on their way at once, or beside its work."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

from broker.errors import BusClosed

T = TypeVar("T")
Work = Callable[[], Coroutine[Any, Any, None]]

UNDER_WAY = 24
"""Publishes of one batch that wait for their confirmation at once."""


async def send_all(outgoing: Iterable[tuple[str, T]], send: Callable[[str, T], Awaitable[None]]) -> None:
    """Send many things, each on its topic, with several under way at once; they are made as they go."""
    waiting = iter(outgoing)

    async def work() -> None:
        for topic, what in waiting:
            await send(topic, what)

    await asyncio.gather(*(work() for _ in range(UNDER_WAY)))


async def unless_closed(work: Work) -> None:
    """Send something in a task that nobody awaits; a bus that is closed meanwhile has nobody to hear it."""
    # Called here: of a task that is given up before it begins, nothing is left that nobody awaits.
    with contextlib.suppress(BusClosed):
        await work()
