"""How long an open connection waits for a reply: each request has its own time, from when it goes out."""

import asyncio

import pytest

from devices.client.frames import read_pdu
from devices.client.wire import Silent, open_wire
from devices.endpoint import Link

PDU = read_pdu(3, 0, 1)
ANSWER = bytes((0, 0, 0, 5, 1, 3, 2, 0, 7))


class AnswersSome(asyncio.Protocol):
    """Answers all but the requests whose number is named."""

    def __init__(self, silent_at):
        self.silent_at, self.number = silent_at, 0

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.number += 1
        if self.number not in self.silent_at:
            self.transport.write(data[:2] + ANSWER)


@pytest.fixture
async def wire():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: AnswersSome({2, 4}), "127.0.0.1", 0)
    made = await open_wire(Link("tcp", "127.0.0.1", server.sockets[0].getsockname()[1]))
    yield made
    made.close()
    server.close()


async def seconds_until_silent(wire, timeout_s):
    began = asyncio.get_running_loop().time()
    with pytest.raises(Silent):
        await wire.ask(1, PDU, timeout_s)
    return asyncio.get_running_loop().time() - began


async def test_each_request_waits_its_own_time_whatever_went_before(wire):
    assert await wire.ask(1, PDU, 0.3) == ANSWER[5:]
    await asyncio.sleep(0.2)
    # The time of the first request ends while this one waits.
    assert await seconds_until_silent(wire, 0.3) >= 0.295
    assert (await wire.ask(1, PDU, 5.0))[-1] == 7
    # A shorter time than that of the request before counts at once.
    assert await seconds_until_silent(wire, 0.1) < 2.0
