"""Many messages of one service on their way at once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")

UNDER_WAY = 24
"""Publishes of one batch that wait for their confirmation at once."""


async def send_all(outgoing: Iterable[tuple[str, T]], send: Callable[[str, T], Awaitable[None]]) -> None:
    """Send many things, each on its topic, with several under way at once; they are made as they go."""
    waiting = iter(outgoing)

    async def work() -> None:
        for topic, what in waiting:
            await send(topic, what)

    await asyncio.gather(*(work() for _ in range(UNDER_WAY)))
