"""Waits by the time in which the process ran, in event loops that are really blocked."""

import asyncio
import time

import pytest

from broker.collector import Collector
from broker.patience import Patience, within
from broker.pulse import Pulse
from broker.wall_time import since_boot


async def seconds_of(work):
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with within(0.4):
            await work
    return time.monotonic() - began


async def test_a_wait_ends_when_its_time_is_over():
    assert 0.39 <= await seconds_of(asyncio.sleep(10.0)) < 0.8


async def test_what_is_done_in_time_is_done():
    async with within(0.4):
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)


async def test_time_in_which_the_loop_was_blocked_hardly_counts():
    async def blocked():
        await asyncio.sleep(0.25)
        time.sleep(1.0)  # noqa: ASYNC251
        # Two of four parts were over; one is counted for the pause.
        await asyncio.sleep(10.0)

    assert 1.25 <= await seconds_of(blocked()) < 1.9


async def test_who_is_blocked_when_its_time_ends_looks_once_more():
    answer = asyncio.get_running_loop().create_future()

    async def answered_at_last():
        await asyncio.sleep(0.35)
        asyncio.get_running_loop().call_later(0.05, answer.set_result, "there")
        time.sleep(1.0)  # noqa: ASYNC251
        return await answer

    async with within(0.4):
        assert await answered_at_last() == "there"


async def test_one_that_is_blocked_again_and_again_gives_up_all_the_same():
    async def blocked():
        while True:
            time.sleep(0.3)  # noqa: ASYNC251
            await asyncio.sleep(0.0)

    assert await seconds_of(blocked()) < 4.0


async def test_one_timer_serves_waits_one_after_another():
    over = []
    patience = Patience(lambda: over.append(time.monotonic()))
    for _ in range(5):
        patience.begin(0.2)
        await asyncio.sleep(0.1)
        patience.end()
    patience.begin(0.2)
    began = time.monotonic()
    await asyncio.sleep(0.4)
    patience.close()
    assert len(over) == 1
    assert over[0] - began >= 0.19


async def test_a_pulse_tells_of_a_standstill_how_long_it_was():
    told = []
    pulse = Pulse(told.append)
    await asyncio.sleep(0.3)
    asked = since_boot()
    assert pulse.said_s() >= asked
    time.sleep(1.5)  # noqa: ASYNC251
    await asyncio.sleep(0.01)
    # What is read now may have been said when it began.
    assert since_boot() - pulse.said_s() >= 1.5
    assert pulse.stood_still_s(asked - 1.0) == pytest.approx(1.5, abs=0.4)
    await asyncio.sleep(0.4)
    assert since_boot() - pulse.said_s() < 0.1
    assert pulse.stood_still_s(since_boot()) == 0.0
    pulse.close()
    assert told == [pytest.approx(1.5, abs=0.3)]


@pytest.mark.parametrize("blocked_s", [0.0, 0.6])
async def test_a_gate_that_closed_while_its_receiver_was_blocked_is_looked_through_once(blocked_s):
    collector = Collector(["a", "b"])
    collector.add("a", 0, 1)

    async def speak():
        await asyncio.sleep(0.1)
        time.sleep(blocked_s)  # noqa: ASYNC251
        asyncio.get_running_loop().call_later(0.05, collector.add, "b", 0, 2)

    async with asyncio.TaskGroup() as group:
        group.create_task(speak())
        have = await collector.wait(0, time.time() + (0.5 if blocked_s else 0.13))
        assert have == ({"a": 1, "b": 2} if blocked_s else {"a": 1})
        if not blocked_s:
            collector.begin_anew()
