"""A client's system calls, gathered: what is written in one turn goes out at once, and nothing is lost."""

import asyncio
import socket

import pytest

from broker.client.gathered import GatheredSocket
from broker.client.mqtt import connect
from broker.server.mosquitto import find_mosquitto, mosquitto


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    yield GatheredSocket(ours), theirs
    ours.close()
    theirs.close()


def test_what_came_is_handed_out_in_pieces_without_asking_again(pair):
    gathered, theirs = pair
    with pytest.raises(BlockingIOError):
        gathered.recv(1)
    theirs.sendall(b"abcdef")
    assert gathered.recv(1) == b"a"
    assert gathered.pending() == 5
    theirs.sendall(b"gh")
    assert gathered.recv(10) == b"bcdef"
    assert gathered.recv(10) == b"gh"
    assert gathered.pending() == 0
    theirs.close()
    assert gathered.recv(1) == b""


def test_what_the_system_does_not_take_stays_in_its_order(pair):
    gathered, theirs = pair
    body = bytes(range(256)) * 8192
    assert gathered.send(body) == len(body)
    gathered.send(b"end")
    gathered.flush()
    assert gathered.is_blocked
    received = b""
    while len(received) < len(body) + 3:
        received += theirs.recv(2**16)
        gathered.flush()
    assert received == body + b"end"
    assert not gathered.is_blocked


def test_what_waits_goes_out_before_it_closes(pair):
    gathered, theirs = pair
    gathered.send(b"goodbye")
    gathered.close()
    assert theirs.recv(100) == b"goodbye"
    assert theirs.recv(100) == b""


@pytest.mark.skipif(find_mosquitto() is None, reason="needs Mosquitto")
async def test_a_burst_costs_few_writes_and_arrives_whole(monkeypatch):
    writes = []
    true_flush = GatheredSocket.flush

    def flush(gathered):
        if gathered.is_blocked:
            writes.append(gathered)
        true_flush(gathered)

    monkeypatch.setattr(GatheredSocket, "flush", flush)
    bodies = [bytes([number]) * 300_000 for number in range(40)]
    async with mosquitto() as broker, connect(broker.url, "to") as to, connect(broker.url, "from") as sender:
        await to.subscribe("burst")
        writes.clear()
        await asyncio.gather(*(sender.publish("burst", b"small") for _ in range(200)))
        received = []
        async with asyncio.timeout(20):
            async for message in to.messages():
                received.append(message.payload)
                if len(received) == 200:
                    break
        # 200 messages, and 400 confirmations of them.
        assert len(writes) < 300
        await asyncio.gather(*(sender.publish("burst", body) for body in bodies))
        received = []
        async with asyncio.timeout(20):
            async for message in to.messages():
                received.append(message.payload)
                if len(received) == len(bodies):
                    break
        assert received == bodies
