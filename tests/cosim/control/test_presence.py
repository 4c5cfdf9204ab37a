"""Who is there, as the clock believes it."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest

from broker.client.memory import MemoryBroker
from broker.messages import Alive
from broker.participant.availability import offline_will
from broker.participant.node import Node
from cosim.control.names import BROKER
from cosim.control.presence import DOUBT_S, QUIET_S, Presence


@asynccontextmanager
async def clock_and_wam(elsewhere=("wam",), quiet=None):
    """A clock's view of who is there, with ``wam`` there, and what speaks for it."""
    broker = MemoryBroker()
    async with broker.connect("clock") as bus, broker.connect("wam") as other:
        node, wam = Node(bus, "r1", "clock"), Node(other, "r1", "wam")
        lost = []
        presence = Presence(
            node,
            elsewhere,
            on_change=lambda: None,
            on_quiet=lambda *told: None if quiet is None else quiet.append(told),
            on_lost=lambda: lost.append(1),
        )
        await node.open()
        pump = asyncio.create_task(node.pump())
        await wam.open()
        await asyncio.sleep(0.01)
        yield presence, wam, lost
        presence.close()
        pump.cancel()


async def say_alive(wam, **of):
    told = {"world": wam.world, "instance": wam.availability.instance} | of
    await wam.publish(wam.topics.alive(wam.name), Alive, -1, **told)
    await asyncio.sleep(0.01)


@pytest.mark.parametrize("elsewhere", [[], ["wam"]])
async def test_who_was_back_at_the_broker_before_the_clock_is_seen_by_its_next_sign(elsewhere):
    async with clock_and_wam(elsewhere) as (presence, wam, _):
        assert "wam" in presence.online
        # Its word for it came before; the clock has just lost the broker and believes nobody.
        presence.begin_anew()
        assert presence.online == set()
        await say_alive(wam)
        assert "wam" in presence.online


@pytest.mark.parametrize("forged", [{"world": "another"}, {"instance": "another"}])
async def test_a_sign_of_another_process_is_contradicted_by_the_next_genuine_one(forged, monkeypatch):
    monkeypatch.setattr("cosim.control.presence._SIGN_DOUBT_S", 0.2)
    async with clock_and_wam() as (presence, wam, lost):
        for _ in range(4):
            await say_alive(wam, **forged)
            await asyncio.sleep(0.1)
            await say_alive(wam)
        assert "wam" in presence.online
        assert lost == []
        # Of a process that really is another one nobody says otherwise.
        await say_alive(wam, **forged)
        await asyncio.sleep(0.3)
        assert lost == [1]


async def test_a_contradiction_that_waited_while_the_clock_was_held_up_counts():
    async with clock_and_wam() as (presence, wam, lost):
        gone = offline_will("r1", "wam")
        await wam.bus.publish(gone.topic, gone.payload)
        await asyncio.sleep(0.01)
        time.sleep(DOUBT_S + 0.1)  # noqa: ASYNC251
        await wam.availability.announce()
        await asyncio.sleep(DOUBT_S)
        assert "wam" in presence.online
        assert lost == []


async def test_a_clock_that_was_held_up_itself_calls_nobody_quiet_and_one_that_hears_nothing_does():
    quiet = []
    async with clock_and_wam(quiet=quiet) as (presence, wam, _):
        # A service of the clock's own process tells whether the broker is there.
        lam = Node(wam.bus, "r1", "lam")
        await lam.open()
        await asyncio.sleep(0.01)
        watch = asyncio.create_task(presence.watch())
        await asyncio.sleep(0.01)
        time.sleep(QUIET_S + 0.5)  # noqa: ASYNC251
        await say_alive(lam)
        await say_alive(wam)
        await asyncio.sleep(0.6)
        assert quiet == []
        await asyncio.sleep(QUIET_S + 0.6)
        watch.cancel()
    (name, silent_s), *_ = quiet
    assert name == BROKER
    assert QUIET_S < silent_s < QUIET_S + 1.5
