"""What a co-simulation is to the clock: it says when an interval may begin, and what then stands beyond."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from broker.messages import BoundaryValues


class Coupling(Protocol):
    """Others whose time a run keeps step with."""

    async def before(self, tick: int) -> tuple[BoundaryValues | None, list[str]]:
        """Wait until an interval may begin; what is set from outside for it, and what is wrong, in words."""

    async def after(self, tick: int) -> list[str]:
        """Tell the others of an interval that is settled; what went wrong, in words."""


class Coupled:
    """Keeps a clock in step with others, once for each interval: one that begins again has what it had.

    Parameters
    ----------
    coupling
        The others; ``None`` where there are none.
    flag
        Takes what is wrong with them, in words.

    Attributes
    ----------
    boundaries
        What was set from outside, by tick.
    """

    def __init__(self, coupling: Coupling | None, flag: Callable[[str], None]) -> None:
        self.boundaries: dict[int, BoundaryValues | None] = {}
        self._coupling = coupling
        self._flag = flag

    async def may_begin(self, tick: int, stop: asyncio.Event) -> bool:
        """Wait until an interval may begin; whether the run goes on."""
        if self._coupling is None or tick in self.boundaries:
            return True
        asked = asyncio.ensure_future(self._coupling.before(tick))
        stopped = asyncio.ensure_future(stop.wait())
        await asyncio.wait((asked, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not asked.done():
            asked.cancel()
            return False
        self.boundaries[tick], wrong = asked.result()
        for each in wrong:
            self._flag(each)
        return not stop.is_set()

    async def ended(self, tick: int) -> None:
        """Tell the others of an interval that is settled."""
        if self._coupling is not None:
            for each in await self._coupling.after(tick):
                self._flag(each)
