import asyncio
import contextlib

import pytest

from broker.client.memory import MemoryBroker
from broker.node import Node, offline_will, serve
from cosim.control.clock import Clock
from cosim.control.pacing import STEPS, Pacing, PacingError, Schedule


async def run_clock(
    broker: MemoryBroker, *, services, required, intervals=2, pace="fast", step_limit_s=0.3, **options
):
    async with broker.connect("clock") as bus:
        node = Node(bus, "r1", "clock")
        ticks: list[int] = []
        clock = Clock(
            node,
            Schedule(
                intervals=intervals, interval_s=900.0, pacing=Pacing.parse(pace), step_limit_s=step_limit_s
            ),
            required=required,
            services=services,
            on_interval=ticks.append,
            **options,
        )
        await clock.run()
        return clock, ticks


@contextlib.asynccontextmanager
async def worker(broker: MemoryBroker, name: str, trace: list, *, silent=()):
    async with broker.connect(name, offline_will("r1", name)) as bus:
        node = Node(bus, "r1", name)

        async def on_step(step):
            trace.append((step.tick, step.step))
            if step.step not in silent:
                await node.done(step.step, step.tick)

        task = asyncio.create_task(serve(node, on_step))
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_steps_come_in_order_and_wait_for_their_reports():
    broker, trace = MemoryBroker(), []
    async with worker(broker, "wam", trace):
        clock, ticks = await run_clock(broker, services=["wam"], required=dict.fromkeys(STEPS, ("wam",)))
    assert trace == [(tick, step) for tick in (0, 1) for step in STEPS]
    assert ticks == [0, 1]
    assert clock.lag.overruns == 0


async def test_a_silent_service_costs_its_step_and_a_flag_not_the_run():
    broker, trace, flags = MemoryBroker(), [], []
    async with broker.connect("w") as w, worker(broker, "wam", trace, silent=("clear",)):
        watcher = Node(w, "r1", "watcher")
        watcher.on(watcher.topics.done("clock"), lambda done: flags.extend(done.flags))
        await watcher.open()
        pump = asyncio.create_task(watcher.pump())
        _, ticks = await run_clock(
            broker, services=["wam"], required={"clear": ["wam"]}, intervals=1, step_limit_s=0.1
        )
        await asyncio.sleep(0.01)
        pump.cancel()
    assert ticks == [0]
    assert flags == ["wam did not finish clear of tick 0 in time"]


async def test_a_service_that_never_comes_is_named():
    with pytest.raises(PacingError, match="no sign of feeder"):
        await run_clock(MemoryBroker(), services=["feeder"], required={}, step_limit_s=0.05)


async def test_paced_intervals_keep_absolute_deadlines():
    broker, trace = MemoryBroker(), []
    loop = asyncio.get_running_loop()
    async with worker(broker, "wam", trace):
        began = loop.time()
        clock, ticks = await run_clock(
            broker, services=["wam"], required={"bid": ["wam"]}, intervals=3, pace="9000"
        )
        took = loop.time() - began
    assert ticks == [0, 1, 2]
    assert took >= 0.3
    assert clock.lag.worst_s < 0.1


async def test_stop_ends_a_paced_wait_at_once():
    broker, trace = MemoryBroker(), []
    async with broker.connect("clock") as bus, worker(broker, "wam", trace):
        clock = Clock(
            Node(bus, "r1", "clock"),
            Schedule(intervals=5, interval_s=900.0, pacing=Pacing.parse("real"), step_limit_s=0.2),
            required={},
            services=["wam"],
            on_interval=lambda _: None,
        )
        asyncio.get_running_loop().call_later(0.1, clock.stop)
        async with asyncio.timeout(2):
            await clock.run()
    assert trace == [(0, step) for step in STEPS[:4]]


async def test_a_service_that_built_another_world_is_named_at_the_start():
    broker = MemoryBroker()
    async with broker.connect("wam") as bus:
        await Node(bus, "r1", "wam", "another").open()
        with pytest.raises(PacingError, match="wam built another scenario"):
            await run_clock(broker, services=["wam"], required={}, step_limit_s=5.0)
