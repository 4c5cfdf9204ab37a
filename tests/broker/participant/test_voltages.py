import asyncio
import time

import pytest

from broker.client.memory import MemoryBroker
from broker.messages import FeederState, Step, columns
from broker.participant.node import Node
from broker.participant.voltages import FeederVoltages


class Heard:
    """A feeder, a host that goes by its voltages, and what it took."""

    def __init__(self, feeder: Node, host: Node) -> None:
        self.feeder, self.host = feeder, host
        self.taken: list[list[float]] = []
        self.voltages = FeederVoltages(host, lambda v_pu: self.taken.append(v_pu.tolist()))
        self.flags: list[str] = []
        host.flag = self.flags.append  # type: ignore[method-assign]

    async def tell(self, tick: int, lam_v_pu: list[float], *, solved: bool = True) -> None:
        empty = columns.pack([])
        topic = self.feeder.topics.feeder_state
        power = columns.pack([0.0] * len(lam_v_pu))
        await self.feeder.publish(
            topic, FeederState, tick, solved=solved, v_pu=empty, loading=empty, lam_kw=power, lam_kvar=power,
            lam_v_pu=columns.pack(lam_v_pu) if solved else empty, source_kw=None, source_kvar=None,
            losses_kw=None, tap_changes=0, violations=[], estimated=[],
        )  # fmt: skip

    async def settle(self, tick: int, within_s: float) -> None:
        now = time.time()
        step = Step(
            run="r", tick=tick, sender="clock", seq=tick, step="settle", opened=now,
            deadline=now + within_s, interval_s=900.0,
        )  # fmt: skip
        await self.voltages.settle(step)


@pytest.fixture
async def heard():
    broker = MemoryBroker()
    async with broker.connect("feeder") as one, broker.connect("host") as other:
        found = Heard(Node(one, "r", "feeder"), Node(other, "r", "host"))
        await found.host.open()
        pump = asyncio.create_task(found.host.pump())
        yield found
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)


async def test_voltages_are_taken_at_the_end_of_their_interval(heard):
    await heard.tell(0, [0.97, 0.0])
    await heard.settle(0, within_s=5.0)
    assert heard.taken == [[0.97, 0.0]]
    assert heard.flags == []


async def test_without_voltages_the_last_ones_are_kept_and_that_is_flagged(heard):
    await heard.settle(0, within_s=0.05)
    await heard.tell(1, [0.97, 0.98], solved=False)
    await heard.settle(1, within_s=5.0)
    assert heard.taken == []
    assert heard.flags == [f"no voltages for host in tick {tick}; it keeps the last ones" for tick in (0, 1)]
