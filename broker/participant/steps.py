"""The clock's steps as a service takes them: in order, until the run ends or the clock goes back."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from msgspec.structs import replace

from broker.messages import Step, StepName

_NOWHERE = (-1, -1, -1)


class Steps:
    """Steps that the clock opened for service ``name`` or lets it go into by itself, and the present work.

    Attributes
    ----------
    heard
        Tick and name of the last one that the clock opened.
    goes_ahead
        Whether it goes into steps by itself.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.goes_ahead = True
        self.heard: tuple[int, StepName] | None = None
        self._waiting: deque[Step] = deque()
        self._came = asyncio.Event()
        self._opened_to = self._queued_to = _NOWHERE
        self._present: Step | None = None
        self._work: asyncio.Task[None] | None = None

    @property
    def is_ahead(self) -> bool:
        """Whether the service works on a step that the clock has not opened yet."""
        return self._present is not None and self._present.place > self._opened_to

    def is_open(self, step: Step) -> bool:
        """Whether the clock has opened a step."""
        return self._opened_to >= step.place

    def add(self, step: Step) -> Step | None:
        """Take one that the clock opened, and those into which the service may go on from there.

        Returns
        -------
        Step
            The same as it was planned, where the service works on it already.
        """
        self.heard, self._opened_to = (step.tick, step.step), step.place
        for at, planned in enumerate(self._waiting):
            if planned.place == step.place:
                self._waiting[at] = step
        ahead = [
            replace(step, step=each.step, opened=each.opened, deadline=each.deadline, ahead=[])
            for each in step.ahead
            if self.goes_ahead
        ]
        for each in (step, *ahead):
            if each.place > self._queued_to:
                self._queued_to = each.place
                self._waiting.append(each)
                self._came.set()
        present = self._present
        return present if present is not None and present.place == step.place else None

    def begin_anew(self, step: Step) -> None:
        """Drop those that wait and the work under way, and begin with a step of a new epoch."""
        self._waiting.clear()
        if self._work is not None:
            self._work.cancel()
        self.add(step)

    async def in_order(self) -> AsyncIterator[Step]:
        """Steps in the clock's order, until the run ends."""
        while True:
            while not self._waiting:
                self._came.clear()
                await self._came.wait()
            step = self._present = self._waiting.popleft()
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
