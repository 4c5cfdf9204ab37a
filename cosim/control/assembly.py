"""The wait for all services of a run: before its first interval, and where some were lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from cosim.control.losses import ServiceLost
from cosim.control.pacing import PacingError
from cosim.control.presence import Presence
from cosim.control.waiting import wait_within


class Assembly:
    """Waits until all services of a run are there.

    Parameters
    ----------
    presence
        Who is there.
    needed
        Who has to be there now.
    changed
        Set whenever something of this changes.
    stop
        Set where the user ends the run.
    say
        Tells the user something.
    """

    def __init__(
        self,
        presence: Presence,
        needed: Callable[[], frozenset[str]],
        changed: asyncio.Event,
        stop: asyncio.Event,
        *,
        say: Callable[[str], None],
    ) -> None:
        self._presence = presence
        self._needed = needed
        self._changed = changed
        self._stop = stop
        self._say = say

    @property
    def _absent(self) -> str:
        return ", ".join(sorted(self._needed() - self._presence.online))

    async def at_start(self, limit_s: float) -> None:
        """Wait for so long at most [s].

        Raises
        ------
        PacingError
            Somebody does not come, or built another world.
        """
        strangers = self._presence.strangers
        is_complete = await wait_within(self._changed, lambda: bool(strangers) or not self._absent, limit_s)
        if strangers:
            raise PacingError(
                f"{', '.join(sorted(strangers))} built another scenario: "
                "start every process with the same file, options and version"
            )
        if not is_complete:
            raise PacingError(
                f"no sign of {self._absent} on the bus after {limit_s:g} s: start it with the same run id"
            )

    async def again(self, patience_s: float, tick: int) -> None:
        """Wait for those who were lost in a tick, for so long at most [s], or until the user ends the run.

        Raises
        ------
        ServiceLost
            Somebody does not come back.
        """
        if not self._absent:
            return
        self._say(f"waiting for {self._absent}; Ctrl-C ends the run, and `run --resume` goes on with it")
        is_complete = await wait_within(
            self._changed, lambda: not self._absent or self._stop.is_set(), patience_s
        )
        if not is_complete:
            raise ServiceLost(
                f"{self._absent} went offline at tick {tick} and did not come back: start it again, "
                "then `run --resume` goes on with this run"
            )
