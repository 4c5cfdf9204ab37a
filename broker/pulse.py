"""Whether this process stood still, and since when.

What it reads right after that may be as old as that, and who was not heard meanwhile is not to blame.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

from broker.wall_time import since_boot

STOOD_STILL_S = 1.0
"""A pulse is later than this where the process was stopped or blocked, or its computer slept [s]."""

_EVERY_S = 0.25


class AwakeClock:
    """Time in which this process can hear others: while it is held up itself, their silence says nothing.

    Parameters
    ----------
    look_s
        How often `look` is called at least while nothing holds the process up [s].
    """

    def __init__(self, look_s: float) -> None:
        self._most_s = 2.0 * look_s
        self._awake_s = 0.0
        self._looked_s = time.monotonic()

    def look(self) -> None:
        """Count the time since the last look, without that for which the process was held up."""
        self._awake_s, self._looked_s = self.now_s, time.monotonic()

    @property
    def now_s(self) -> float:
        """How long this process was awake since it began to count [s]."""
        return self._awake_s + min(time.monotonic() - self._looked_s, self._most_s)


class Pulse:
    """Looks four times a second whether the event loop turns, from its making until it is closed.

    Parameters
    ----------
    on_stood_still
        Called after each standstill with how long it lasted [s].
    """

    def __init__(self, on_stood_still: Callable[[float], None] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._tell = on_stood_still
        self._beat_s = since_boot()
        self._from_s = self._to_s = -math.inf
        self._timer = self._loop.call_later(_EVERY_S, self._beat)

    def close(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def said_s(self) -> float:
        """When what is read now was said at the earliest, by `broker.wall_time.since_boot` [s]."""
        now_s = since_boot()
        if now_s - self._beat_s > STOOD_STILL_S:
            return self._beat_s
        # What came in meanwhile is read with the first turns of the loop.
        return self._from_s if now_s < self._to_s + _EVERY_S else now_s

    def stood_still_s(self, since_s: float) -> float:
        """How long it stood still at last, where that ended after a time; else 0 [s]."""
        return self._to_s - max(self._from_s, since_s) if self._to_s > since_s else 0.0

    def _beat(self) -> None:
        now_s = since_boot()
        late_s = now_s - self._beat_s - _EVERY_S
        if late_s > STOOD_STILL_S:
            self._from_s, self._to_s = self._beat_s, now_s
            if self._tell is not None:
                self._tell(late_s)
        self._beat_s = now_s
        self._timer = self._loop.call_later(_EVERY_S, self._beat)
