"""An event loop in virtual time: nothing waits, and nothing runs in a thread.

Time passes only when nothing is left to do: it then jumps to the next timer. Work for threads is done at
once, in the loop's own thread. Where no timer is left, or too much time has passed, something hangs, and
says so.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class Hang(BaseException):
    """Nothing can happen any more, or what is to happen takes too long."""


class _NoFiles(selectors.BaseSelector):
    """A selector without files, which lets virtual time pass in place of waiting."""

    def __init__(self, until_s: float, most_turns: int | None) -> None:
        self.now_s = 0.0
        self.until_s = until_s
        self.turns = 0
        self._most_turns = most_turns
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Keep the loop's own pipe, on which nothing ever comes."""
        key = selectors.SelectorKey(fileobj, 0, events, data)
        self._keys[fileobj] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.turns += 1
        if timeout is None:
            raise Hang(f"nothing is left to happen at {self.now_s:.3f} s")
        if timeout > 0.0:
            self.now_s += timeout
        if self.now_s > self.until_s or (self._most_turns is not None and self.turns > self._most_turns):
            raise Hang(f"not over at {self.now_s:.0f} s of virtual time, after {self.turns} turns")
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Event loop in virtual time.

    Parameters
    ----------
    until_s
        Virtual time at which whatever still runs hangs [s].
    begin_s
        Wall time at which virtual time begins [s since epoch].
    most_turns
        After so many turns whatever still runs hangs; never by default.
    """

    def __init__(self, until_s: float, begin_s: float = 0.0, most_turns: int | None = None) -> None:
        self._no_files = _NoFiles(until_s, most_turns)
        self._more_s = until_s
        self._begin_s = begin_s
        super().__init__(self._no_files)
        # Sums of times differ in their last bits.
        self._clock_resolution = 1e-6

    def begin_anew(self) -> None:
        """Allow for more time, as to clear up."""
        self._no_files.until_s = self.time() + self._more_s
        self._no_files.turns = 0

    def time(self) -> float:
        """Virtual time since the loop was made [s]."""
        return self._no_files.now_s

    def wall_s(self) -> float:
        """Wall time that it is in this loop [s since epoch]."""
        return self._begin_s + self.time()

    def run_in_executor(  # type: ignore[override]
        self, _: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Do work at once; whoever waits for it has its result after this turn."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - handed to whoever waits
            done.set_exception(error)
        return done
