"""Who is there, as the clock believes it."""

import asyncio

import pytest

from broker.client.memory import MemoryBroker
from broker.messages import Alive
from broker.participant.node import Node
from cosim.control.presence import Presence


@pytest.mark.parametrize("elsewhere", [[], ["wam"]])
async def test_who_was_back_at_the_broker_before_the_clock_is_seen_by_its_next_sign(elsewhere):
    broker = MemoryBroker()
    async with broker.connect("clock") as bus, broker.connect("wam") as other:
        node, wam = Node(bus, "r1", "clock"), Node(other, "r1", "wam")
        presence = Presence(
            node, elsewhere, on_change=lambda: None, on_quiet=lambda *_: None, on_lost=lambda: None
        )
        await node.open()
        pump = asyncio.create_task(node.pump())
        await wam.open()
        await asyncio.sleep(0.01)
        assert "wam" in presence.online
        # Its word for it came before; the clock has just lost the broker and believes nobody.
        presence.begin_anew()
        assert presence.online == set()
        await wam.publish(wam.topics.alive("wam"), Alive, -1, instance=wam.availability.instance)
        await asyncio.sleep(0.01)
        pump.cancel()
    assert "wam" in presence.online
