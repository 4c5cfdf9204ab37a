"""An operator pauses a run, lets it take a step, and changes its pace; twice said is once done."""

import asyncio

from broker import messages
from broker.client.memory import MemoryBroker
from broker.messages import FeederEvent, Lead, PacingState, Rejected
from broker.participant.node import Node
from broker.participant.serving import serve
from cosim.control.pacing import STEPS
from tests.cosim.control.test_clock import run_clock, worker

SENDER = "operator-1"


def lead(seq, action, **fields):
    return messages.encode(Lead(run="r1", tick=-1, sender=SENDER, seq=seq, action=action, **fields))


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


class Observer:
    """What the clock says of its pace and what it refuses."""

    def __init__(self, bus):
        self.bus, self.states, self.refused = bus, [], []

    async def listen(self):
        await self.bus.subscribe("sharegrid/v1/r1/pacing", "sharegrid/v1/r1/rejected/clock")
        async for received in self.bus.messages():
            if received.payload:
                message = messages.decode(received.payload)
                if isinstance(message, PacingState):
                    self.states.append((message.is_paused, message.pace))
                elif isinstance(message, Rejected):
                    self.refused.append(message.reason)

    async def say(self, *said):
        await self.bus.publish(f"sharegrid/v1/r1/lead/{SENDER}", lead(*said[:2], **dict(said[2:])))


async def test_a_run_pauses_steps_and_goes_on():
    broker, trace, flags = MemoryBroker(), [], []
    required = dict.fromkeys(STEPS, ("wam",))
    async with (
        broker.connect("operator") as bus,
        broker.connect("ears") as at,
        worker(broker, "wam", trace),
    ):
        ears = Node(at, "r1", "ears")
        ears.on(ears.topics.done("clock"), lambda done: flags.extend(done.flags))
        await ears.open()
        hearing = asyncio.create_task(ears.pump())
        operator = Observer(bus)
        listening = asyncio.create_task(operator.listen())
        running = asyncio.create_task(
            run_clock(broker, services=["wam"], required=required, intervals=6, pace="9000")
        )
        await until(lambda: operator.states == [(False, 9000.0)])
        await operator.say(0, "pause")
        await until(lambda: operator.states[-1] == (True, 9000.0))
        await asyncio.sleep(0.3)
        paused_at = len({tick for tick, _ in trace})
        await asyncio.sleep(0.3)
        assert len({tick for tick, _ in trace}) == paused_at < 6
        for _ in range(2):
            await operator.say(1, "step")
        await until(lambda: len({tick for tick, _ in trace}) == paused_at + 1)
        await asyncio.sleep(0.3)
        assert len({tick for tick, _ in trace}) == paused_at + 1
        await operator.say(2, "pace")
        await until(lambda: operator.states[-1] == (True, None))
        await operator.say(3, "go on")
        _, ticks = await running
        assert ticks == list(range(6))
        assert trace == [(tick, step) for tick in range(6) for step in STEPS]
        said = [flag for flag in flags if flag.endswith(f"by {SENDER}")]
        assert [flag.partition(" by ")[0] for flag in said] == [
            "paused",
            "one interval asked for",
            "pace set to fast",
            "goes on",
        ]
        for task in (listening, hearing):
            task.cancel()


async def test_a_run_with_hardware_is_not_led():
    broker, trace = MemoryBroker(), []
    async with broker.connect("operator") as bus, worker(broker, "wam", trace):
        operator = Observer(bus)
        listening = asyncio.create_task(operator.listen())
        running = asyncio.create_task(
            run_clock(broker, services=["wam"], required={}, pace="9000", refusal="hardware is real")
        )
        await until(lambda: operator.states)
        await operator.say(0, "pause")
        await until(lambda: operator.refused == ["hardware is real"])
        _, ticks = await running
        assert ticks == [0, 1]
        listening.cancel()


async def test_an_event_is_told_with_every_step_of_the_next_interval():
    broker, told, flags = MemoryBroker(), [], []
    event = FeederEvent(kind="line-outage", element="l7")
    async with broker.connect("operator") as bus, broker.connect("wam") as at:
        node = Node(at, "r1", "wam")
        operator = Observer(bus)

        async def report(step):
            if step.events:
                told.append((step.tick, step.step, step.events))
            if (step.tick, step.step) == (1, "clear"):
                await operator.say(0, "event", ("event", event))
                await operator.say(1, "event")
                await until(lambda: operator.refused)
            await node.done(step.step, step.tick)

        node.on(node.topics.done("clock"), lambda done: flags.extend(done.flags))
        serving = asyncio.create_task(serve(node, report))
        listening = asyncio.create_task(operator.listen())
        await run_clock(
            broker, services=["wam"], required=dict.fromkeys(STEPS, ("wam",)), intervals=4, step_limit_s=5.0
        )
        for task in (serving, listening):
            task.cancel()
    assert told == [(2, step, [event]) for step in STEPS]
    assert operator.refused == ["an event was asked for and not said"]
    assert flags[0] == f"line-outage l7 asked for by {SENDER}"
