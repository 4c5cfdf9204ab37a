"""An armed gateway whose process is really stopped for a while: what it then writes, and whom it blames."""

import asyncio
import signal
import time

import msgspec
import pytest

from broker.client.mqtt import connect
from broker.messages import Step
from broker.participant.node import Node
from tests.integration.run.test_hardware_safety import ENABLE, LIMIT, laboratory


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Clock:
    """Opens steps of a run in real time, and hears what services flag."""

    def __init__(self, bus):
        self._node = Node(bus, "lab", "clock")
        self._bus = bus
        self.flags = []

    async def open(self, step, tick):
        now = time.time()
        topic = self._node.topics.step
        message = self._node.stamp(
            topic, Step, tick, step=step, opened=now, deadline=now + 5.0, interval_s=900.0, pace=1.0
        )
        await self._node.publish_message(topic, message)

    async def listen(self):
        await self._bus.subscribe(self._node.topics.done("+"))
        async for received in self._bus.messages():
            self.flags += msgspec.json.decode(received.payload, type=dict).get("flags", [])


async def test_a_set_point_whose_interval_is_over_is_not_written_after_a_stop_of_the_gateway(
    small_run, small_scenario, here
):
    async with laboratory(small_run, small_scenario, here) as lab, connect(lab.url, "clock") as bus:
        clock = Clock(bus)
        listening = asyncio.create_task(clock.listen())
        await clock.open("measure", 0)
        await lab.until_polled(5.0)
        before = lab.device.at(123, LIMIT), lab.device.at(123, ENABLE)
        lab.process.send_signal(signal.SIGSTOP)
        await lab.set(1.0)
        for step, tick in (("dispatch", 0), ("settle", 0), ("measure", 1)):
            await clock.open(step, tick)
        await asyncio.sleep(3.0)
        lab.process.send_signal(signal.SIGCONT)
        until = time.monotonic() + 4.0
        while time.monotonic() < until:
            assert (lab.device.at(123, LIMIT), lab.device.at(123, ENABLE)) == before
            await asyncio.sleep(0.01)
        listening.cancel()
        said = "; ".join(clock.flags)
        assert "it comes after its interval" in said
        assert "this gateway stood still for 3 s" in said
        for blamed in ("did not answer", "left alone", "lost", "check its power"):
            assert blamed not in said


async def test_a_set_point_of_the_present_interval_is(small_run, small_scenario, here):
    async with laboratory(small_run, small_scenario, here) as lab, connect(lab.url, "clock") as bus:
        await Clock(bus).open("measure", 0)
        await lab.until_polled(5.0)
        lab.process.send_signal(signal.SIGSTOP)
        await lab.set(1.0)
        await asyncio.sleep(3.0)
        lab.process.send_signal(signal.SIGCONT)
        await lab.until(1000, 3.0)


async def test_a_stop_that_came_meanwhile_is_obeyed_at_once(small_run, small_scenario, here):
    async with laboratory(small_run, small_scenario, here) as lab:
        await lab.set(2.0)
        await lab.until(2000, 5.0)
        lab.process.send_signal(signal.SIGSTOP)
        lab.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(4.0)
        lab.process.send_signal(signal.SIGCONT)
        assert await lab.until(500, 3.0) < 3.0
        assert await asyncio.wait_for(lab.process.wait(), 10.0) == 130
