"""A service at work: messages flow in while steps are worked off in order, and what it remembers is kept."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from broker.errors import BrokerError, BusClosed
from broker.messages import Alive, Snapshot, Step
from broker.participant.node import Node
from broker.snapshot import Stateful, pack, unpack

ALIVE_EVERY_S = 0.5
"""How often a service says that it is at work [s]."""


class RestoreFailed(BrokerError):
    """A service cannot go on from what it is said to have remembered, as where another one wrote that.

    Parameters
    ----------
    service
        The service.
    reason
        What does not fit.
    """

    def __init__(self, service: str, reason: object) -> None:
        super().__init__(
            f"{service} cannot go on from the last interval: {reason}; where another commit of sharegrid "
            "began the run, go on with that one, or start a new run"
        )


async def serve(
    node: Node, on_step: Callable[[Step], Awaitable[None]], memory: Stateful | None = None
) -> None:
    """Run a service until the clock ends the run.

    An error in messages or steps ends both, for a service that no longer listens would wait for its next step
    forever.

    Parameters
    ----------
    node
        Participant on the bus.
    on_step
        Does the service's part of a step.
    memory
        What it remembers from one interval to the next: told with the report of each interval's end, and put
        back where the clock goes back. Without it both steps are for ``on_step`` alone.
    """
    keeper = None if memory is None else _Keeper(node, memory)
    if keeper is not None:
        await keeper.begin()
    await node.open()
    tasks = [
        asyncio.create_task(node.pump(), name=f"{node.name} pump"),
        asyncio.create_task(_work(node, on_step, keeper), name=f"{node.name} steps"),
    ]
    alive = asyncio.create_task(_say_alive(node), name=f"{node.name} alive")
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        node.close()
        for task in (*tasks, alive):
            task.cancel()
        await asyncio.gather(*tasks, alive, return_exceptions=True)


async def _work(node: Node, on_step: Callable[[Step], Awaitable[None]], keeper: _Keeper | None) -> None:
    async for step in node.steps():
        if keeper is not None and step.step == "restore":
            await node.work_on(keeper.restore(step))
        elif keeper is not None and step.step == "settle":
            await node.work_on(keeper.settle(step, on_step))
        else:
            await node.work_on(_do(on_step, step))
    await node.done("end", node.tick)


async def _do(on_step: Callable[[Step], Awaitable[None]], step: Step) -> None:
    await on_step(step)


async def _say_alive(node: Node) -> None:
    """Say it without waiting in the queue of what is published, for it means now."""
    topic, world, instance = node.topics.alive(node.name), node.world, node.availability.instance
    with contextlib.suppress(BusClosed):
        while True:
            await asyncio.sleep(ALIVE_EVERY_S)
            await node.publish(topic, Alive, -1, world=world, instance=instance)


class _Keeper:
    """Keeps what a service remembers: tells it at the end of an interval, and puts it back."""

    def __init__(self, node: Node, memory: Stateful) -> None:
        self.node = node
        self.memory = memory
        self._start = b""
        self._step: Step | None = None
        self._told: Snapshot | None = None
        self._topic = node.topics.snapshot(node.name)
        node.on(self._topic, self._take)
        node.believe = self._is_confirmed

    async def begin(self) -> None:
        """Keep what the service remembers at its start, to which the clock may go back."""
        self._start = pack(await self.memory.snapshot())

    async def settle(self, step: Step, on_step: Callable[[Step], Awaitable[None]]) -> None:
        """Let the service end an interval, and report with what it then remembers."""
        await on_step(step)
        await self.node.done(step.step, step.tick, pack(await self.memory.snapshot()))

    def _is_confirmed(self, step: Step) -> bool:
        """Whether the recorder has confirmed that the clock goes back, which one word could not make true."""
        is_asked_for_again, self._step = step == self._step, step
        if self._told is not None and self._told.epoch == step.epoch:
            return True
        if is_asked_for_again:
            self.node.ask_again(step.tick, [self._topic])
        return False

    def _take(self, told: Snapshot) -> None:
        self._told = told
        if self._step is not None and self._step.epoch == told.epoch > self.node.epoch:
            self.node.go_back(self._step)

    async def restore(self, step: Step) -> None:
        """Put back what the recorder says that the service remembered.

        Raises
        ------
        RestoreFailed
            That is another service's, or another run's.
        """
        assert self._told is not None
        try:
            await self.memory.restore(unpack(self._told.content or self._start))
        except ValueError as error:
            raise RestoreFailed(self.node.name, error) from None
        await self.node.done(step.step, step.tick)
