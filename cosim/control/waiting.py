"""Waits that end with a condition, an event, or a time on the wall clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


async def wait_until(changed: asyncio.Event, condition: Callable[[], bool], deadline: float) -> bool:
    """Wait for a condition, looked at whenever ``changed`` is set; whether it is true by ``deadline`` [s]."""
    while not condition():
        changed.clear()
        try:
            async with asyncio.timeout(max(0.0, deadline - time.time())):
                await changed.wait()
        except TimeoutError:
            return condition()
    return True


async def sleep_until(due: float, stop: asyncio.Event) -> None:
    """Sleep until ``due`` [s], or until ``stop`` is set."""
    try:
        async with asyncio.timeout(max(0.0, due - time.time())):
            await stop.wait()
    except TimeoutError:
        return
