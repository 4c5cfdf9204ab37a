import asyncio
import contextlib
import time

import pytest

from broker import messages
from broker.client.memory import MemoryBroker
from broker.messages import Done
from broker.participant.availability import offline_will
from broker.participant.node import Node
from broker.participant.serving import serve
from broker.topics import Topics
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


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0])
async def test_intervals_keep_their_length_where_the_wall_clock_is_set(monkeypatch, jump_s):
    broker, trace, ahead_s = MemoryBroker(), [], [0.0]
    wall_s, loop = time.time, asyncio.get_running_loop()
    monkeypatch.setattr(time, "time", lambda: wall_s() + ahead_s[0])
    loop.call_later(0.15, ahead_s.__setitem__, 0, jump_s)
    async with worker(broker, "wam", trace):
        began = loop.time()
        async with asyncio.timeout(5.0):
            clock, ticks = await run_clock(
                broker, services=["wam"], required={"bid": ["wam"]}, intervals=4, pace="9000"
            )
        took = loop.time() - began
    assert ticks == [0, 1, 2, 3]
    assert 0.4 <= took < 1.0
    assert clock.lag.worst_s < 0.1


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0])
async def test_a_step_waits_no_longer_where_the_wall_clock_is_set(monkeypatch, jump_s):
    broker, trace, ahead_s = MemoryBroker(), [], [0.0]
    wall_s, loop = time.time, asyncio.get_running_loop()
    monkeypatch.setattr(time, "time", lambda: wall_s() + ahead_s[0])
    loop.call_later(0.1, ahead_s.__setitem__, 0, jump_s)
    async with worker(broker, "wam", trace, silent=("clear",)):
        began = loop.time()
        async with asyncio.timeout(5.0):
            await run_clock(
                broker, services=["wam"], required={"clear": ["wam"]}, intervals=1, step_limit_s=0.3
            )
        assert 0.3 <= loop.time() - began < 1.0


@pytest.mark.parametrize(
    ("pace", "behind"),
    [
        ("fast", {"measure": ["bid", "clear", "dispatch", "act", "meter", "settle"]}),
        ("9000", {"measure": ["bid", "clear", "dispatch"], "act": ["meter", "settle"]}),
    ],
)
async def test_services_go_ahead_but_not_where_somebody_is_missing(monkeypatch, pace, behind):
    monkeypatch.setattr("cosim.control.presence.DOUBT_S", 0.05)
    broker, heard = MemoryBroker(), []
    async with (
        broker.connect("w") as w,
        worker(broker, "wam", []),
        broker.connect("feeder", offline_will("r1", "feeder")) as bus,
    ):
        watcher, feeder = Node(w, "r1", "watcher"), Node(bus, "r1", "feeder")

        def hear(step):
            heard.append(step)
            if (step.tick, step.step) == (0, "settle"):
                broker.kill("feeder")

        watcher.on(watcher.topics.step, hear)
        await watcher.open()
        await feeder.open()
        pump = asyncio.create_task(watcher.pump())
        await run_clock(broker, services=["wam", "feeder"], required={"settle": ["wam", "feeder"]}, pace=pace)
        await asyncio.sleep(0.01)
        pump.cancel()
    assert heard[-1].step == "end"
    told = {(step.tick, step.step): [each.step for each in step.ahead] for step in heard}
    assert {step: ahead for (tick, step), ahead in told.items() if tick == 0 and ahead} == behind
    assert [ahead for (tick, _), ahead in told.items() if tick == 1 and ahead] == []
    for step in heard:
        times = [step.deadline, *(time for each in step.ahead for time in (each.opened, each.deadline))]
        assert times == sorted(times)


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


async def test_a_report_counts_for_the_present_step_and_from_who_is_waited_for_alone():
    broker, trace = MemoryBroker(), []
    topics = Topics("r1")
    async with worker(broker, "wam", trace, silent=STEPS), broker.connect("other") as bus:
        forger = Node(bus, "r1", "other")
        listening = asyncio.create_task(
            run_clock(broker, services=["wam"], required={"bid": ["wam"]}, intervals=1, step_limit_s=0.3)
        )
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(0.05)
        for seq, (tick, step) in enumerate([(0, "clear"), (1, "bid"), (0, "measure")]):
            done = Done(run="r1", tick=tick, sender="wam", seq=seq, step=step)
            broker.publish(topics.done("wam"), messages.encode(done))
        await forger.done("bid", 0)
        done = Done(run="r1", tick=0, sender="other", seq=9, step="bid")
        broker.publish(topics.done("wam"), messages.encode(done))
        await listening
        took = asyncio.get_running_loop().time() - began
    assert took >= 0.3


async def test_a_service_that_is_said_to_be_offline_and_contradicts_is_waited_for(monkeypatch):
    monkeypatch.setattr("cosim.control.presence.DOUBT_S", 0.3)
    broker, trace = MemoryBroker(), []
    async with broker.connect("wam", offline_will("r1", "wam")) as bus:
        node = Node(bus, "r1", "wam")
        steps: list[str] = []

        async def on_step(step):
            if step.step == "bid":
                broker.publish(node.topics.availability("wam"), offline_will("r1", "wam").payload)
                await asyncio.sleep(0.6)
                steps.append(step.step)
            elif step.step == "clear":
                trace.append(list(steps))
            await node.done(step.step, step.tick)

        task = asyncio.create_task(serve(node, on_step))
        await run_clock(broker, services=["wam"], required={"bid": ["wam"]}, intervals=1, step_limit_s=5.0)
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert trace == [["bid"]]


async def test_a_service_that_vanishes_is_soon_not_waited_for():
    broker, trace = MemoryBroker(), []
    async with worker(broker, "wam", trace, silent=("bid",)):
        loop = asyncio.get_running_loop()
        loop.call_later(0.1, broker.kill, "wam")
        began = loop.time()
        await run_clock(broker, services=["wam"], required={"bid": ["wam"]}, intervals=1, step_limit_s=20.0)
        assert loop.time() - began < 5.0
