"""One MQTT connection, with a client of the library's kind that answers on demand."""

import asyncio
from contextlib import AsyncExitStack
from types import SimpleNamespace

import pytest

from broker.client.link import Link


class Client:
    """Answers a subscription when it is told to, and waits for that as aiomqtt does."""

    def __init__(self):
        self.answer = asyncio.get_running_loop().create_future()
        self.gone = asyncio.Event()

    @property
    async def messages(self):
        await self.gone.wait()
        for _ in ():
            yield

    async def subscribe(self, filters):
        await asyncio.wait_for(self.answer, 5.0)
        return [SimpleNamespace(is_failure=False) for _ in filters]


@pytest.mark.parametrize("turns", range(4))
async def test_a_cancellation_that_comes_with_the_answer_is_not_lost(turns):
    client, loop = Client(), asyncio.get_running_loop()
    stack = AsyncExitStack()
    stack.callback(client.gone.set)
    link = Link(client, stack)
    task = asyncio.create_task(link.subscribe(["a"], loop.time() + 5.0))
    await asyncio.sleep(0)
    client.answer.set_result(None)
    for _ in range(turns):
        await asyncio.sleep(0)
    was_over = task.done()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled() or was_over
    await link.close()
