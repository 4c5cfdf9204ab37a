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

    Where a tick has rounds, each is waited for by itself, in their order.

    Parameters
    ----------
    expected
        Keys that must speak in every tick.
    """

    def __init__(self, expected: Collection[str]) -> None:
        self.expected = tuple(sorted(expected))
        self._known = frozenset(expected)
        self._closed = (-1, 0)
        self._have: dict[tuple[int, int], dict[str, T]] = defaultdict(dict)
        self._changed = asyncio.Event()

    def add(self, key: str, tick: int, item: T, round_: int = 0) -> None:
        """Take an item in.

        Raises
        ------
        ValueError
            Nobody expects the key, or it has spoken already.
        Late
            The gate has closed.
        """
        if key not in self._known:
            raise ValueError(f"{key} is not expected here")
        if (tick, round_) <= self._closed:
            raise Late(f"message of tick {tick} came after the gate")
        here = self._have[tick, round_]
        if key in here:
            raise ValueError(f"{key} has spoken already in tick {tick}")
        here[key] = item
        self._changed.set()

    async def wait(
        self, tick: int, deadline: float, round_: int = 0, among: Collection[str] | None = None
    ) -> dict[str, T]:
        """Items of all, or of those ``among``: complete, or what is there at ``deadline`` [s].

        They are in the order of ``expected``.
        """
        wanted = self.expected if among is None else tuple(key for key in self.expected if key in among)
        here = self._have[tick, round_]
        # Lengths first: thousands of senders wake this wait one by one.
        while len(here) < len(wanted) or any(key not in here for key in wanted):
            self._changed.clear()
            try:
                async with asyncio.timeout(max(0.0, deadline - time.time())):
                    await self._changed.wait()
            except TimeoutError:
                break
        self._closed = (tick, round_)
        for past in [when for when in self._have if when <= self._closed]:
            del self._have[past]
        return {key: here[key] for key in wanted if key in here}

    def missing(self, have: Collection[str]) -> list[str]:
        """Keys that were expected and are not in ``have``."""
        return [key for key in self.expected if key not in have]
