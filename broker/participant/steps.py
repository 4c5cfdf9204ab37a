"""The clock's steps as a service takes them: in order, until the run ends or the clock goes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from broker.messages import Step, StepName


class Steps:
    """Steps that the clock opened for service ``name``, and the work on the present one.

    Attributes
    ----------
    heard
        Tick and name of the last one that was opened.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.heard: tuple[int, StepName] | None = None
        self._opened: asyncio.Queue[Step] = asyncio.Queue()
        self._work: asyncio.Task[None] | None = None

    def add(self, step: Step) -> None:
        """Take one that the clock opened."""
        self.heard = step.tick, step.step
        self._opened.put_nowait(step)

    def begin_anew(self, step: Step) -> None:
        """Drop those that wait and the work under way, and begin with a step of a new epoch."""
        while not self._opened.empty():
            self._opened.get_nowait()
        if self._work is not None:
            self._work.cancel()
        self.add(step)

    async def in_order(self) -> AsyncIterator[Step]:
        """Steps in the clock's order, until the run ends."""
        while True:
            step = await self._opened.get()
            if step.step == "end":
                return
            yield step

    async def work_on(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work of a step; it is dropped where the clock goes back meanwhile."""
        self._work = asyncio.create_task(work, name=f"{self.name} step")
        try:
            await self._work
        except asyncio.CancelledError:
            mine = asyncio.current_task()
            if not self._work.cancelled() or (mine is not None and mine.cancelling()):
                raise
        finally:
            self._work.cancel()
            self._work = None
