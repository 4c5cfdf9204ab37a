"""The wait of a service that works ahead of the clock for what others have to have said before."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from broker import wall_time
from broker.messages import Done, Message, Step, StepName
from broker.participant.node import Node
from broker.patience import GLANCE_S, within

_NEVER = (-1, -1)


class Heard:
    """Of whom a service has heard in an interval.

    Parameters
    ----------
    node
        Participant on the bus; not open yet.
    keys
        Those of whom it has to hear.
    """

    def __init__(self, node: Node, keys: Collection[str]) -> None:
        self._node = node
        self._keys = frozenset(keys)
        self._have: set[str] = set()
        self._at = _NEVER
        self._changed = asyncio.Event()
        node.on(node.topics.step, lambda _: self._changed.set())

    def note(self, key: str, message: Message) -> None:
        """Take note of what one of them said of the present interval; more is not believed."""
        if message.tick != self._node.tick:
            return
        at = message.epoch, message.tick
        if at > self._at:
            self._at, self._have = at, set()
        if at == self._at and key in self._keys:
            self._have.add(key)
            if len(self._have) == len(self._keys):
                self._changed.set()

    async def wait(self, step: Step) -> None:
        """Wait until all have been heard, or until ``step`` opens, by its plan or by the clock's word."""
        while not (self._is_complete(step) or self._node.is_open(step)):
            self._changed.clear()
            try:
                async with within(max(GLANCE_S, step.opened - wall_time.now())):
                    await self._changed.wait()
            except TimeoutError:
                return

    def _is_complete(self, step: Step) -> bool:
        if not self._keys:
            return True
        return self._at > step.place[:2] or (
            self._at == step.place[:2] and len(self._have) == len(self._keys)
        )


def reports(node: Node, names: Collection[str], step: StepName) -> Heard:
    """Hears which services have done their part of an earlier step; ``node`` is not open yet."""
    heard = Heard(node, names)

    def take(done: Done) -> None:
        if done.step == step:
            heard.note(done.sender, done)

    for name in names:
        node.on(node.topics.done(name), take)
    return heard
