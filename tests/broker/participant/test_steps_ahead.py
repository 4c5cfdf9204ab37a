"""Services that go into later steps of an interval by themselves."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest

from broker.client.memory import MemoryBroker
from broker.messages import Step, StepAhead, encode
from broker.participant.node import Node
from broker.participant.others import reports
from broker.participant.serving import serve

MARKET = ("bid", "clear", "act")


class Run:
    """A clock that the test is, a gateway that reports, and a service with what it has done."""

    def __init__(self, clock, gateway):
        self.clock, self.gateway = clock, gateway
        self.did = []
        self.told = []
        self.last = b""

    async def open(self, name, tick=0, ahead=(), window_s=20.0):
        now = time.time()
        plan = [
            StepAhead(step=each, opened=now + at * window_s, deadline=now + (at + 1) * window_s)
            for at, each in enumerate(ahead, start=1)
        ]
        times = {"opened": now, "deadline": now + window_s, "interval_s": 900.0}
        topic = self.clock.topics.step
        step = self.clock.stamp(topic, Step, tick, step=name, ahead=plan, **times)
        self.last = encode(step)
        await self.clock.publish_message(topic, step)
        await asyncio.sleep(0.02)


@asynccontextmanager
async def running(*, goes_ahead=True):
    broker = MemoryBroker()
    async with broker.connect("clock") as c, broker.connect("gateway") as g, broker.connect("host") as h:
        clock, gateway, host = Node(c, "r", "clock"), Node(g, "r", "gateway"), Node(h, "r", "host")
        run = Run(clock, gateway)
        ready = reports(host, ["gateway"], "bid")
        if not goes_ahead:
            host.go_with_clock()

        async def on_step(step):
            if step.step == "act":
                await ready.wait(step)
            run.did.append((step.tick, step.step))
            await host.done(step.step, step.tick)

        clock.on(clock.topics.done("host"), lambda done: run.told.append((done.tick, done.step)))
        await clock.open()
        tasks = [asyncio.create_task(clock.pump()), asyncio.create_task(serve(host, on_step))]
        await asyncio.sleep(0.02)
        yield run
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_it_goes_on_without_the_clock_as_far_as_others_have_come():
    async with running() as run:
        await run.open("measure", ahead=MARKET)
        assert run.did == [(0, "measure"), (0, "bid"), (0, "clear")]
        await run.gateway.done("bid", 1)
        await asyncio.sleep(0.02)
        assert run.did[3:] == []
        await run.gateway.done("bid", 0)
        await asyncio.sleep(0.02)
        assert run.did[3:] == [(0, "act")]
        for name in (*MARKET, "settle"):
            await run.open(name)
        assert run.did[4:] == [(0, "settle")]


@pytest.mark.parametrize("window_s", [0.02, 20.0])
async def test_it_waits_for_others_until_the_step_opens_by_its_plan_or_by_the_clock(window_s):
    async with running() as run:
        await run.open("measure", ahead=MARKET, window_s=window_s)
        if window_s > 1.0:
            assert (0, "act") not in run.did
            for name in MARKET:
                await run.open(name)
        await asyncio.sleep(4 * 0.02)
        assert run.did[-1] == (0, "act")


async def test_one_that_goes_with_the_clock_waits_for_each_step():
    async with running(goes_ahead=False) as run:
        await run.open("measure", ahead=MARKET)
        assert run.did == [(0, "measure")]
        await run.open("bid")
        assert run.did == [(0, "measure"), (0, "bid")]


async def test_a_report_that_was_lost_is_given_again_although_later_ones_followed():
    async with running() as run:
        await run.open("measure", ahead=("bid", "clear"))
        await run.open("bid")
        assert run.told == [(0, "measure"), (0, "bid"), (0, "clear")]
        heard = []
        run.gateway.on(run.gateway.topics.done("host"), lambda done: heard.append(done.step))
        await run.gateway.open()
        pump = asyncio.create_task(run.gateway.pump())
        await run.clock.bus.publish(run.clock.topics.step, run.last)
        await asyncio.sleep(0.02)
        pump.cancel()
        assert heard == ["bid"]


async def test_gates_of_a_step_close_earlier_where_the_clock_opens_it_with_a_shorter_window():
    broker = MemoryBroker()
    async with broker.connect("clock") as c, broker.connect("host") as h:
        clock, host, waited = Node(c, "r", "clock"), Node(h, "r", "host"), []
        awaited = host.collector({"p": host.topics.telemetry("meter", "p")})

        async def on_step(step):
            if step.step == "bid":
                for gate in (0.5 * (step.opened + step.deadline), step.deadline):
                    await awaited.wait(step.tick, gate, len(waited))
                    waited.append(time.time())

        serving = asyncio.create_task(serve(host, on_step))
        await asyncio.sleep(0.02)
        now = time.time()
        plan = [StepAhead(step="bid", opened=now + 20.0, deadline=now + 40.0)]
        times = {"opened": now, "deadline": now + 20.0, "interval_s": 900.0}
        await clock.publish(clock.topics.step, Step, 0, step="measure", ahead=plan, **times)
        await asyncio.sleep(0.05)
        assert not waited
        now = time.time()
        times |= {"opened": now, "deadline": now + 0.2}
        await clock.publish(clock.topics.step, Step, 0, step="bid", **times)
        await asyncio.sleep(0.4)
        assert waited == pytest.approx([now + 0.1, now + 0.2], abs=0.09)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def test_who_waits_for_something_of_an_interval_that_is_over_goes_on():
    broker = MemoryBroker()
    async with broker.connect("clock") as c, broker.connect("host") as h:
        clock, host = Node(c, "r", "clock"), Node(h, "r", "host")
        awaited = host.collector({"p": host.topics.telemetry("meter", "p")})
        await host.open()
        pump = asyncio.create_task(host.pump())
        waiting = asyncio.create_task(awaited.wait(0, time.time() + 20.0))
        for seq, tick in enumerate((0, 1)):
            assert not waiting.done(), seq
            times = {"opened": 0.0, "deadline": 1.0, "interval_s": 900.0}
            await clock.publish(clock.topics.step, Step, tick, step="measure", **times)
            await asyncio.sleep(0.02)
        assert await asyncio.wait_for(waiting, 1.0) == {}
        pump.cancel()
