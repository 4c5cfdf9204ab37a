"""How a view finds a run and hears it, over a real broker."""

import asyncio

import pytest

from broker import messages
from broker.client.mqtt import connect
from broker.messages import Facts, PacingState, Step
from broker.server.choose import open_broker
from broker.topics import Topics
from cosim.emergency import RunAddress
from cosim.view.command import ViewError, ViewOptions, _address_of
from cosim.view.live import LiveModel
from cosim.view.observer import lead_run, may_command, observe, runs_at
from tests.cosim.view.test_live_model import FACTS


def facts(run):
    return messages.encode(Facts(run=run, tick=-1, sender="recorder", seq=0, content=FACTS.packed()))


def step(run, seq, tick, epoch=0):
    times = {"opened": 0.0, "deadline": 1.0, "interval_s": 900.0}
    return messages.encode(
        Step(run=run, tick=tick, sender="clock", seq=seq, epoch=epoch, step="measure", **times)
    )


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_the_only_run_of_a_broker_is_found_and_several_are_named():
    async with open_broker() as broker, connect(broker.url, "recorder") as bus:
        with pytest.raises(ViewError, match="knows no run"):
            await _address_of(ViewOptions(broker=broker.url))
        await bus.publish(Topics("one").facts, facts("one"), retain=True)
        assert await _address_of(ViewOptions(broker=broker.url)) == RunAddress("one", broker.url)
        await bus.publish(Topics("two").facts, facts("two"), retain=True)
        assert await runs_at(broker.url) == ["one", "two"]
        with pytest.raises(ViewError, match="add --run-id: one, two"):
            await _address_of(ViewOptions(broker=broker.url))
        await bus.publish(Topics("two").facts, b"", retain=True)
        assert await runs_at(broker.url) == ["one"]


async def test_who_comes_late_to_a_run_that_went_back_hears_it_all_the_same():
    topics = Topics("r")
    async with open_broker() as broker, connect(broker.url, "clock") as bus:
        await bus.publish(topics.facts, facts("r"), retain=True)
        state = PacingState(run="r", tick=-1, sender="clock", seq=0, is_paused=True, pace=60.0)
        await bus.publish(topics.pacing, messages.encode(state), retain=True)
        model = LiveModel("r")
        watching = asyncio.create_task(observe(RunAddress("r", broker.url), model, lambda: None))
        await until(lambda: model.facts is not None and model.panel("run").is_paused)
        await bus.publish(topics.step, step("r", 40, tick=12, epoch=3))
        await until(lambda: model.panel("run").tick == 12)
        await bus.publish(topics.step, b"nonsense")
        await bus.publish(topics.step, step("r", 47, tick=13, epoch=3))
        await until(lambda: model.panel("run").tick == 13)
        # The same run from its beginning, as with --force.
        await bus.publish(topics.facts, facts("r"), retain=True)
        await bus.publish(topics.step, step("r", 0, tick=0))
        await until(lambda: model.panel("run").tick == 0)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def test_a_run_is_led_by_a_word_on_its_own_topic():
    async with open_broker() as broker, connect(broker.url, "clock") as bus:
        await bus.subscribe(Topics("r").lead("+"))
        await lead_run(RunAddress("r", broker.url), "pace", 60.0)
        async with asyncio.timeout(10):
            async for received in bus.messages():
                lead = messages.decode(received.payload)
                break
    assert (lead.action, lead.pace, received.retained) == ("pace", 60.0, False)
    assert received.topic == Topics("r").lead(lead.sender)


def test_who_has_only_an_observers_certificate_does_not_command(tmp_path):
    address = f"mqtts://lab?credentials={tmp_path}"
    assert may_command("mqtt://lab")
    assert not may_command(address)
    (tmp_path / "operator.crt").touch()
    assert may_command(address)
