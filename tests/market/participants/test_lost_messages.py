"""Messages get lost, doubled or delayed, brokers and services start anew: nothing counts twice."""

import numpy as np
import pytest

from broker import messages
from broker.client.memory import Delivery
from broker.messages import Availability, Done
from cosim.results.entries import KINDS
from market.solver.clearing import clear
from tests.market.participants import world
from tests.market.participants.town import STEPS


async def test_a_lost_message_is_a_gap_that_flags_the_next_interval(town):
    await town.interval(0)
    town.lose(town.topics.bid("B", "p3"), tick=1)
    await town.interval(1)
    assert town.traffic("lams").gaps == 0
    await town.interval(2)
    assert town.traffic("lams").gaps == 1
    assert town.flags(2) == {"lams": ["1 message(s) missing on sharegrid/v1/r1/bid/B/p3"]}
    assert town.outcome(2).fallbacks == []
    assert town.trades(2).tolist() == clear(world.case(2)).trade_kw.tolist()


async def test_doubled_messages_are_counted_and_change_nothing(town):
    await town.interval(0)
    town.broker.delivery = lambda received: Delivery.DUPLICATE
    await town.interval(1)
    town.broker.delivery = lambda received: Delivery.DELIVER
    await town.interval(2)
    assert town.traffic("lams").duplicates > 0
    assert town.traffic("wam").duplicates > 0
    for tick in range(3):
        assert town.trades(tick).tolist() == clear(world.case(tick)).trade_kw.tolist()
        assert town.flags(tick) == {}
    assert sorted(town.clerk.bookings) == [0, 1, 2]
    for name, service in town.services.items():
        assert service.node.traffic().gaps == 0, name
        assert service.node.traffic().late == 0, name


async def test_a_delayed_bid_is_late_and_its_sender_falls_back(town):
    await town.interval(0)
    last_kw = town.clerk.intervals[0].metered_kwh[3] / world.DT_H
    town.let(Delivery.HOLD, town.topics.bid("B", "p3"), tick=1)
    await town.interval(1, ["measure", "bid"])
    # What is missing was asked for again, and sent again, to no avail.
    assert town.broker.release() > 1
    await town.interval(1, ["clear", "dispatch", "act", "meter", "settle"])
    assert town.outcome(1).fallbacks == ["p3"]
    wanted = clear(world.fixed(world.case(1), {3: last_kw}))
    np.testing.assert_allclose(town.trades(1), wanted.trade_kw, rtol=0, atol=1e-9)
    assert town.traffic("lams").late == 1
    assert any("came after the gate on sharegrid/v1/r1/bid/B/p3" in flag for flag in town.flags(1)["lams"])


async def test_a_bid_delayed_into_the_next_interval_is_not_taken_for_that_one(town):
    await town.interval(0)
    town.let(Delivery.HOLD, town.topics.bid("B", "p3"), tick=1)
    await town.interval(1)
    await town.step("measure", 2)
    town.broker.release()
    await town.interval(2, STEPS[1:])
    assert town.traffic("lams").late == 1
    assert town.outcome(2).fallbacks == []
    assert town.trades(2).tolist() == clear(world.case(2)).trade_kw.tolist()


async def test_messages_that_overtake_each_other_are_used_all_the_same(town):
    topics = [town.topics.bid("A", "p0"), town.topics.bid_batch(world.HOST)]
    town.let(Delivery.HOLD, *topics, tick=0)

    def free_after_another(received):
        if received.topic == town.topics.bid("C", "p6"):
            town.broker.delivery = lambda late: Delivery.DELIVER
            town.broker.publish(received.topic, received.payload)
            town.broker.release()
            return Delivery.DROP
        return Delivery.HOLD if received.topic in topics else Delivery.DELIVER

    town.broker.delivery = free_after_another
    await town.interval(0)
    assert town.trades(0).tolist() == clear(world.case(0)).trade_kw.tolist()
    assert town.flags(0) == {}


async def test_a_lost_step_is_sat_out_and_the_next_interval_is_whole(town):
    await town.interval(0)

    def no_gate(received):
        if received.topic != town.topics.step:
            return Delivery.DELIVER
        return Delivery.DROP if messages.decode(received.payload).step == "bid" else Delivery.DELIVER

    town.broker.delivery = no_gate
    await town.interval(1)
    town.broker.delivery = lambda received: Delivery.DELIVER
    await town.interval(2)
    assert town.said(town.topics.wam_outcome, 1) == []
    for name in ("wam", "lams", world.HOST, "live"):
        assert f"{name} missed a part of tick 1" in str(town.flags(1)[name])
        assert "1 message(s) missing on sharegrid/v1/r1/clock/step" in town.flags(1)[name]
    assert town.trades(2).tolist() == clear(world.case(2)).trade_kw.tolist()
    assert sorted(town.clerk.bookings) == [0, 1, 2]


def assert_each_settled_once_and_to_zero(town, ticks):
    """The clerk stops the story where it is to settle an interval twice."""
    assert sorted(town.clerk.bookings) == list(range(ticks))
    for booking in town.clerk.bookings.values():
        assert [int(booking.micro[booking.kind == kind].sum()) for kind in range(len(KINDS))] == [0] * len(
            KINDS
        )


@pytest.mark.parametrize("step", STEPS)
async def test_a_broker_that_starts_anew_is_survived_in_every_step(town, step):
    await town.interval(0)
    known = set(town.broker.retained)
    split = STEPS.index(step)
    await town.interval(1, STEPS[:split])
    town.broker.restart()
    assert not town.broker.retained
    await town.interval(1, STEPS[split:])
    await town.interval(2)
    assert set(town.broker.retained) == known
    assert all(messages.decode(body).online for body in town.broker.retained.values())
    for tick in range(3):
        assert town.trades(tick).tolist() == clear(world.case(tick)).trade_kw.tolist()
    flags = str([town.flags(tick) for tick in (1, 2)])
    for name in ("lams", "wam", "feeder", world.HOST, "live"):
        assert f"{name} lost the broker and came back" in flags
    assert_each_settled_once_and_to_zero(town, 3)


async def test_what_the_broker_held_when_it_died_is_a_gap_and_a_fallback(town):
    await town.interval(0)
    town.let(Delivery.HOLD, town.topics.bid("B", "p3"), tick=1)
    await town.interval(1, ["measure", "bid"])
    town.broker.restart()
    assert town.broker.release() == 0
    await town.interval(1, STEPS[2:])
    await town.interval(2)
    assert town.outcome(1).fallbacks == ["p3"]
    assert town.outcome(2).fallbacks == []
    assert town.traffic("lams").gaps == 1
    assert_each_settled_once_and_to_zero(town, 3)


@pytest.mark.parametrize("name", [world.HOST, "live", "lams", "wam", "feeder", "clerk"])
@pytest.mark.parametrize("step", STEPS)
async def test_a_service_killed_at_any_time_takes_part_again_from_the_next_interval(town, name, step):
    await town.interval(0)
    split = STEPS.index(step)
    await town.interval(1, STEPS[:split])
    await town.stop(name)
    await town.start(name)
    await town.interval(1, STEPS[split:])
    await town.interval(2)
    wanted = clear(world.case(2))
    assert town.outcome(2).status == "confirmed"
    assert town.outcome(2).fallbacks == []
    np.testing.assert_allclose(town.outcome(2).price, wanted.wam.price, rtol=0, atol=1e-12)
    np.testing.assert_allclose(town.trades(2), wanted.trade_kw, rtol=0, atol=1e-12)
    drawn_kw = town.clerk.intervals[2].metered_kwh[~world.LIVE] / world.DT_H
    np.testing.assert_allclose(drawn_kw, wanted.trade_kw[~world.LIVE], rtol=0, atol=1e-9)
    assert_each_settled_once_and_to_zero(town, 3)


async def test_who_is_killed_is_said_to_be_offline_and_then_online(town):
    await town.stop("wam")
    await town.start("wam")
    topic = town.topics.availability("wam")
    said = [message.online for where, message in town.heard if where == topic]
    assert said == [True, False, True]
    assert all(isinstance(message, Availability) for where, message in town.heard if where == topic)


async def test_every_flag_reaches_the_bus_within_its_interval(town):
    """Services that nobody waits for report, too, or their flags would never be seen."""
    await town.interval(0)
    reporters = {message.sender for _, message in town.heard if isinstance(message, Done)}
    assert reporters == {world.HOST, "live", "lams", "wam", "auditor", "feeder", "devices", "clerk"}
