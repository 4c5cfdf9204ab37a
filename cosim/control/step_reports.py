"""Who has reported for the step that is open, and the asking for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from broker import messages
from broker.messages import Done, Step, StepName
from broker.participant.node import Node
from cosim.control.presence import Presence
from cosim.control.waiting import wait_within

# A step is opened again for those who have not reported after so long [s]: they may not have heard of it.
_AGAIN_AFTER_S = 1.0
_ENDS = 3


class StepReports:
    """Opens steps and hears who has done them.

    Parameters
    ----------
    node
        The clock's participant on the bus.
    presence
        Who is online.
    changed
        Set where a wait has to look again.
    ends_step
        Whether a step need not be waited for any longer, as a service was lost.
    """

    def __init__(
        self, node: Node, presence: Presence, changed: asyncio.Event, ends_step: Callable[[], bool]
    ) -> None:
        self.present: tuple[int, StepName] | None = None
        self._node = node
        self._presence = presence
        self._changed = changed
        self._ends_step = ends_step
        self._reported: dict[tuple[int, int, StepName], set[str]] = {}
        node.on(node.topics.done("+"), self._note_done)

    async def ask(self, step: Step, waiting: frozenset[str]) -> set[str]:
        """Open a step, again for those who may not have heard of it; names of those that did not report."""
        payload = messages.encode(step)
        self._open(step)
        await self._node.publish_message(self._node.topics.step, step)
        loop = asyncio.get_running_loop()
        ends = loop.time() + step.deadline - time.time()
        while True:
            left_s = min(ends - loop.time(), _AGAIN_AFTER_S)
            await wait_within(self._changed, lambda: self._is_over(step, waiting), left_s)
            if self._is_over(step, waiting) or loop.time() >= ends:
                return set(waiting - self._done(step))
            await self._node.bus.publish(self._node.topics.step, payload)

    async def end(self, step: Step, services: frozenset[str]) -> None:
        """End the run, and say so again where somebody may not have heard it, or not believed it at once."""
        self._open(step)
        for _ in range(_ENDS):
            await self._node.publish_message(self._node.topics.step, step)
            have_all = lambda: services <= self._done(step)  # noqa: E731
            if await wait_within(self._changed, have_all, _AGAIN_AFTER_S):
                return

    def _open(self, step: Step) -> None:
        self.present = (step.tick, step.step)
        # Some of those that go on by themselves may have done the step before it opens.
        here = (step.epoch, step.tick)
        self._reported = {key: who for key, who in self._reported.items() if key[:2] == here}
        for name in (step.step, *(each.step for each in step.ahead)):
            self._reported.setdefault((*here, name), set())

    def _done(self, step: Step) -> set[str]:
        """Who has reported a step."""
        return self._reported[step.epoch, step.tick, step.step]

    def _is_over(self, step: Step, waiting: frozenset[str]) -> bool:
        """Whether nobody is waited for any more; one that went offline is not."""
        return self._ends_step() or not (waiting - self._done(step)) & self._presence.online

    def _note_done(self, message: Done) -> None:
        # What belongs to no step of the interval that may be done yet changes nothing.
        if (reported := self._reported.get((message.epoch, message.tick, message.step))) is not None:
            reported.add(message.sender)
            self._changed.set()
