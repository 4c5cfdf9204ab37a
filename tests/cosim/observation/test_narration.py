"""Whom a run waits for, and for how long, is said ever more rarely."""

import asyncio
import time

from broker.client.memory import MemoryBroker
from broker.messages import Availability, Done, Step
from broker.participant.node import Node
from cosim.observation.narration import Narrator

HEADER = {"run": "r", "seq": 0}


def step(name, tick=2):
    return Step(**HEADER, tick=tick, sender="clock", step=name, opened=0.0, deadline=1.0, interval_s=900.0)


async def test_those_who_keep_a_step_open_are_named_with_the_time():
    said = []
    async with MemoryBroker().connect("recorder") as bus:
        node = Node(bus, "r", "recorder")
        required = {"clear": ["wam", "lams-0"]}
        narrator = Narrator(node, [], required, lambda incident: None, said.append)
        for name in ("wam", "lams-0"):
            narrator._take(Availability(**HEADER, tick=-1, sender=name, online=True))
        narrator._take(step("clear"))
        began = narrator._opened_s
        narrator._look(began + 4.0)
        assert said == []
        narrator._take(Done(**HEADER, tick=2, sender="wam", step="clear"))
        narrator._look(began + 6.0)
        narrator._look(began + 8.0)
        narrator._take(Availability(**HEADER, tick=-1, sender="lams-0", online=False))
        narrator._look(began + 16.0)
        assert said == [
            "step clear has waited 6 s for LAM host 0",
            "step clear has waited 16 s for LAM host 0 (offline)",
        ]
        narrator._take(Done(**HEADER, tick=2, sender="lams-0", step="clear"))
        narrator._look(began + 60.0)
        assert len(said) == 2


async def test_who_says_nothing_while_the_broker_is_away_is_not_named():
    said = []
    async with MemoryBroker().connect("recorder") as bus:
        narrator = Narrator(
            Node(bus, "r", "recorder"), [], {"clear": ["wam"]}, lambda incident: None, said.append
        )
        narrator._take(step("clear"))
    narrator._look(narrator._opened_s + 6.0)
    assert said == ["step clear has waited 6 s for the broker"]


async def test_a_standstill_of_this_process_is_nobodys_wait(monkeypatch):
    monkeypatch.setattr("cosim.observation.narration._LOOK_EVERY_S", 0.1)
    monkeypatch.setattr("cosim.observation.narration._FIRST_WAIT_S", 0.5)
    said = []
    async with MemoryBroker().connect("recorder") as bus:
        node = Node(bus, "r", "recorder")
        narrator = Narrator(node, [], {"clear": ["wam"]}, lambda incident: None, said.append)
        narrator._take(step("clear"))
        looking = asyncio.create_task(narrator.run())
        await asyncio.sleep(0.05)
        time.sleep(1.0)  # noqa: ASYNC251
        await asyncio.sleep(0.15)
        assert said == []
        await asyncio.sleep(0.6)
        looking.cancel()
    assert said == ["step clear has waited 1 s for WAM (offline)"]
