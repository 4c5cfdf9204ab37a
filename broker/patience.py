"""Waits by the time in which this process ran: who was held up itself blames nobody else for it.

A process that was stopped, a computer that slept, or an event loop that was blocked finds all its timers over
when it goes on, and answers unread, or others who were held up with it. So a wait goes in parts. Of a part
that ends late only its own length counts, and the last one is made once more: by then what came is read.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from types import TracebackType

LATE_S = 0.1
"""Timers that fire later than this were held up [s]."""

LEAST_LOOK_S = 0.1
"""How long is listened at least for what came in while this process was held up [s]."""

GLANCE_S = 0.02
"""So long what lies in the sockets is read [s], by who comes too late for a wait, for whatever reason."""

_PARTS = 4
# Event loops call back a little before the time.
_EARLY_S = 0.001


class Patience:
    """Calls ``over`` once something was waited for long enough; one timer does for many waits.

    Attributes
    ----------
    was_held_up
        Whether this process was, since the wait began.
    """

    def __init__(self, over: Callable[[], None]) -> None:
        self.was_held_up = False
        self._over = over
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._left_s = math.inf
        self._part_s = math.inf
        self._counted_s = 0.0
        self._may_look = True

    def begin(self, seconds: float) -> None:
        """Wait so long from now on [s], in place of what was waited for."""
        self._left_s, self._part_s = seconds, seconds / _PARTS
        self._counted_s = self._loop.time()
        self._may_look, self.was_held_up = True, False
        if math.isfinite(seconds):
            self._wake_by(self._counted_s + self._part_s)

    def end(self) -> None:
        """Wait for nothing any more."""
        self._left_s = math.inf

    def close(self) -> None:
        """Wait for nothing any more, and leave no timer."""
        self.end()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wake_by(self, when_s: float) -> None:
        if self._timer is not None and self._timer.when() > when_s:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(when_s, self._look, when_s)

    def _look(self, due_s: float) -> None:
        self._timer = None
        if math.isinf(self._left_s):
            return
        now_s = self._loop.time()
        is_late = now_s > due_s + LATE_S
        self.was_held_up |= is_late
        self._left_s -= max(0.0, (due_s if is_late else now_s) - self._counted_s)
        self._counted_s = now_s
        if self._left_s > _EARLY_S:
            self._wake_by(now_s + min(self._part_s, self._left_s))
        elif is_late and self._may_look:
            self._may_look = False
            self._left_s = max(self._part_s, LEAST_LOOK_S)
            self._wake_by(now_s + self._left_s)
        else:
            self._left_s = math.inf
            self._over()


class Within:
    """Context of `within`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timeout = asyncio.timeout(None)

    async def __aenter__(self) -> Within:
        await self._timeout.__aenter__()
        self._patience = Patience(self.expire)
        self._patience.begin(self._seconds)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._patience.close()
        await self._timeout.__aexit__(kind, error, trace)

    def expire(self) -> None:
        """End what is under way now, as if the time were over."""
        if not self._timeout.expired():
            self._timeout.reschedule(asyncio.get_running_loop().time())


def within(seconds: float) -> Within:
    """As `asyncio.timeout`, but of time in which this process did not run little counts.

    Parameters
    ----------
    seconds
        How long the block may take [s].

    Raises
    ------
    TimeoutError
        It took longer.
    """
    return Within(seconds)
