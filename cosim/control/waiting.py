"""Waits that end with a condition, with an event, or after some time awake, whatever the wall clock shows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

JUMP_S = 2.0
"""A wall clock that gets so much ahead or behind jumped [s]: the computer slept, or the clock was set."""


class WallClock:
    """Sees where wall time jumps, past deadlines that nobody could keep."""

    def __init__(self) -> None:
        self._ahead_s = time.time() - time.monotonic()

    def jumped_s(self) -> float:
        """By how much it jumped since this was last asked [s]; zero where it did not."""
        before, self._ahead_s = self._ahead_s, time.time() - time.monotonic()
        jump_s = abs(self._ahead_s - before)
        return jump_s if jump_s > JUMP_S else 0.0


async def wait_within(changed: asyncio.Event, condition: Callable[[], bool], limit_s: float) -> bool:
    """Wait for a condition, looked at whenever ``changed`` is set; whether it is true within ``limit_s`` [s].

    Time in which the computer sleeps does not count, nor that by which its clock is set.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limit_s
    while not condition():
        changed.clear()
        try:
            async with asyncio.timeout_at(deadline):
                await changed.wait()
        except TimeoutError:
            return condition()
    return True


async def sleep_until(due: float, stop: asyncio.Event) -> None:
    """Sleep until ``due`` by the loop's time [s], or until ``stop`` is set."""
    try:
        async with asyncio.timeout_at(due):
            await stop.wait()
    except TimeoutError:
        return


def on_the_wall(due: float) -> float:
    """Wall time that a time of the loop is, as the wall clock goes now [s]."""
    return time.time() + due - asyncio.get_running_loop().time()
