"""What strangers on a real broker can throw at a service, and that it goes on."""

import asyncio
import re
import resource

import aiomqtt
import pytest

from broker import messages
from broker.address import parse_address
from broker.client.mqtt import connect
from broker.messages import Award, Rejected
from broker.participant.node import Node
from broker.server import mosquitto
from tests.broker.door.parties import BOUNDS, RUN, TOPICS

AWARD = TOPICS.award("A", "p0")


def award(seq, **changes):
    fields = {"run": RUN, "tick": 0, "sender": "north", "trade_kw": 1.0, "price": 0.1} | changes
    return messages.encode(Award(seq=seq, **fields))


HOSTILE = [
    b"",
    b"\x00" * 1000,
    b"[" * 100_000,
    b'{"kind":"award","x":' + b"[" * 3000 + b"]" * 3000 + b"}",
    b"[" + b"0," * 10**6 + b"0]",
    b"x" * 50_000_000,
    award(10**7),
    award(2**53 - 1),
    award(0, sender="mallory"),
    award(0, tick=10**9),
    award(0, run="another"),
    award(0, trade_kw=1e300),
    award(0).replace(b'"seq":0', b'"seq":' + b"1" * 100_000),
]


@pytest.fixture
def peak_mb():
    """How far the most memory of this process has grown since the test began [MB]."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return lambda: (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


@pytest.fixture
def lenient(monkeypatch):
    """Lets Mosquitto take packets of 64 MiB, as another's broker may; ours drops them itself."""
    own = mosquitto.open_listener

    def listener(port, *, root):
        text, count = re.subn(r"max_packet_size \d+", f"max_packet_size {64 * 2**20}", own(port, root=root))
        assert count == 1
        return text

    monkeypatch.setattr(mosquitto, "open_listener", listener)


@pytest.mark.usefixtures("lenient")
async def test_a_service_on_a_real_broker_refuses_what_strangers_throw_and_goes_on(peak_mb):
    got: list[Award] = []
    told: list[Rejected] = []
    all_told = asyncio.Event()

    def take(refusal):
        told.append(refusal)
        if len(told) == len(HOSTILE) + 1:
            all_told.set()

    async with (
        mosquitto.mosquitto() as handle,
        connect(handle.url, "live") as bus,
        connect(handle.url, "ears") as ears,
    ):
        node, watcher = Node(bus, RUN, "live", bounds=BOUNDS), Node(ears, RUN, "watcher")
        node.on(TOPICS.award("A", "p0"), got.append, through=TOPICS.award("+", "+"))
        watcher.on(TOPICS.rejected("+"), take)
        await node.open()
        await watcher.open()
        pumps = [asyncio.create_task(each.pump()) for each in (node, watcher)]
        where = parse_address(handle.url)
        async with aiomqtt.Client(where.host, where.port) as stranger:
            for body in HOSTILE:
                await stranger.publish(AWARD, body, qos=1)
            await stranger.publish(TOPICS.award("B", "p0"), award(0), qos=1)
            await stranger.publish(AWARD, award(0), qos=1, retain=True)
            await stranger.publish(AWARD, award(0), qos=1)
            await stranger.publish(AWARD, award(0, trade_kw=2.0), qos=1)
        async with asyncio.timeout(20):
            await all_told.wait()
        for pump in pumps:
            assert not pump.done()
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
    assert [(each.trade_kw, each.seq) for each in got] == [(1.0, 0)]
    assert node.traffic().duplicates == 1
    # The wrong topic has no handler and is not even looked at; the last one is a conflict.
    assert node.traffic().rejected == len(HOSTILE) + 1
    assert "another message before" in told[-1].reason
    # A body is there about three times on its way, and nothing is made of it.
    assert peak_mb() < 400
