"""The wait for what several senders have to say in a tick: until all have, or the gate closes."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Collection
from typing import Generic, TypeVar

T = TypeVar("T")


class Late(ValueError):
    """A message came after the gate that it was meant for had closed."""


class Collector(Generic[T]):
    """What came in for each tick, by sender, and the wait for all of them.

    Parameters
    ----------
    expected
        Keys that must speak in every tick.
    """

    def __init__(self, expected: Collection[str]) -> None:
        self.expected = tuple(sorted(expected))
        self._known = frozenset(expected)
        self._closed = -1
        self._have: dict[int, dict[str, T]] = defaultdict(dict)
        self._changed = asyncio.Event()

    def add(self, key: str, tick: int, item: T) -> None:
        """Take an item in; raises ``ValueError`` for a key that nobody expects, ``Late`` after the gate."""
        if key not in self._known:
            raise ValueError(f"{key} is not expected here")
        if tick <= self._closed:
            raise Late(f"message of tick {tick} came after the gate")
        self._have[tick].setdefault(key, item)
        self._changed.set()

    async def wait(self, tick: int, deadline: float) -> dict[str, T]:
        """Items of ``tick`` in the order of ``expected``: all, or what is there at ``deadline`` [s]."""
        while len(self._have[tick]) < len(self.expected):
            self._changed.clear()
            try:
                async with asyncio.timeout(max(0.0, deadline - time.time())):
                    await self._changed.wait()
            except TimeoutError:
                break
        self._closed = tick
        for old in [t for t in self._have if t < tick]:
            del self._have[old]
        have = self._have.pop(tick)
        return {key: have[key] for key in self.expected if key in have}

    def missing(self, have: Collection[str]) -> list[str]:
        """Keys that were expected and are not in ``have``."""
        return [key for key in self.expected if key not in have]
