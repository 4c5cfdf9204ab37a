"""A prosumer is silent, sends nonsense or hears nothing: it alone takes its fallback."""

import base64

import msgspec
import numpy as np
import pytest

from market.model.response import disaggregate, supply_curves
from market.participants.tariffs import trade_against_tariff
from market.solver.clearing import clear
from tests.market.participants import world


def bid_topic(town, member):
    return town.topics.bid(world.LAMS[world.LAM_OF[member]], world.NAMES[member])


def metered_kw(town, tick):
    return town.clerk.intervals[tick].metered_kwh / world.DT_H


def assert_only_these_fell_back(town, tick, members, last_kw):
    """The market is that in which these prosumers draw what they last drew and all others bid."""
    wanted = clear(world.fixed(world.case(tick), {member: last_kw[member] for member in members}))
    np.testing.assert_allclose(town.trades(tick), wanted.trade_kw, rtol=0, atol=1e-9)
    np.testing.assert_allclose(town.outcome(tick).price, wanted.wam.price, rtol=0, atol=1e-9)
    names = [world.NAMES[member] for member in members]
    assert town.outcome(tick).fallbacks == names
    assert town.last(town.topics.lam_outcome("lams"), tick).missing == names
    assert any(f"{len(members)} bids missing" in flag for flag in town.flags(tick)["lams"])


@pytest.mark.parametrize("member", [0, 3, 6])
async def test_a_missing_bid_counts_as_the_last_metered_power(town, member):
    await town.interval(0)
    town.lose(bid_topic(town, member), tick=1)
    await town.interval(1)
    assert_only_these_fell_back(town, 1, [member], metered_kw(town, 0))


async def test_before_the_first_meter_reading_a_missing_bid_counts_as_nothing(town):
    town.lose(bid_topic(town, 3), tick=0)
    await town.interval(0)
    assert_only_these_fell_back(town, 0, [3], np.zeros(8))


async def test_a_reading_that_is_not_good_does_not_replace_the_last_good_one(town):
    await town.interval(0)
    topic = town.topics.telemetry("meter", "p3")
    town.rewrite(topic, lambda reading: reading | {"quality": "held", "p_kw": 9.0}, tick=1)
    await town.interval(1)
    town.lose(bid_topic(town, 3), tick=2)
    await town.interval(2)
    assert_only_these_fell_back(town, 2, [3], metered_kw(town, 0))


async def test_a_silent_population_host_counts_as_its_last_metered_power(town):
    await town.interval(0)
    town.lose(town.topics.bid_batch(world.HOST), tick=1)
    await town.interval(1)
    assert_only_these_fell_back(town, 1, [1, 2, 4, 5, 7], metered_kw(town, 0))


def raw(old, new):
    """Change of a message's text, for what no encoder would write."""

    def change(fields):
        text = msgspec.json.encode(fields)
        assert old in text
        return text.replace(old, new, 1)

    return change


BAD_BIDS = {
    "not a number": (raw(b'"kw":[', b'"kw":[NaN,'), "malformed"),
    "null": (raw(b'"kw":[', b'"kw":[null,'), "float"),
    "too large a number": (raw(b'"kw":[', b'"kw":[1e999,'), "out of range"),
    "no vertex": (lambda bid: bid | {"kw": [], "price": []}, "at least one"),
    "a price too many": (lambda bid: bid | {"price": [*bid["price"], 9.0]}, "values where"),
    "beyond the rating": (lambda bid: bid | {"kw": [20.5, *bid["kw"][1:]]}, "rating of 20 kW"),
    "trades that increase": (lambda bid: bid | {"kw": bid["kw"][::-1]}, "monotone"),
    "prices that descend": (lambda bid: bid | {"price": bid["price"][::-1]}, "monotone"),
    "reactive power beyond the rating": (lambda bid: bid | {"reactive_kvar": -1e3}, "rating of 20 kW"),
    "another interval": (lambda bid: bid | {"tick": 7}, "tick 7"),
    "another run": (lambda bid: bid | {"run": "r2"}, "run r2"),
    "another sender": (lambda bid: bid | {"sender": "mallory"}, "mallory"),
    "another kind of message": (lambda bid: bid | {"kind": "award"}, "award"),
}


@pytest.mark.parametrize(("change", "reason"), BAD_BIDS.values(), ids=BAD_BIDS)
async def test_a_bad_bid_is_refused_with_a_reason_and_harms_its_sender_alone(town, change, reason):
    await town.interval(0)
    town.rewrite(bid_topic(town, 3), change, tick=1)
    await town.interval(1)
    assert_only_these_fell_back(town, 1, [3], metered_kw(town, 0))
    ((topic, why),) = town.refusals(1)
    assert topic == "bid/B/p3"
    assert reason in why
    assert town.traffic("lams").rejected == 1


async def test_a_bid_of_a_past_interval_is_late_and_not_used(town):
    await town.interval(0)
    town.rewrite(bid_topic(town, 3), lambda bid: bid | {"tick": 0}, tick=1)
    await town.interval(1)
    assert_only_these_fell_back(town, 1, [3], metered_kw(town, 0))
    assert town.traffic("lams").late == 1
    assert any("tick 0 came late" in flag for flag in town.flags(1)["lams"])


async def test_a_bid_on_another_prosumers_topic_does_not_count_for_it(town):
    await town.interval(0)
    right = bid_topic(town, 3)
    town.lose(right, tick=1)
    lost, wrong = town.broker.delivery, town.topics.bid("C", "p3")

    def misdirect(received):
        delivery = lost(received)
        if delivery is not delivery.DELIVER:
            town.broker.publish(wrong, received.payload)
        return delivery

    town.broker.delivery = misdirect
    await town.interval(1)
    assert_only_these_fell_back(town, 1, [3], metered_kw(town, 0))


def column(place, value):
    """Change of one value in a batch's column, given as ``place`` among all vertices of one prosumer."""
    name, member, vertex = place

    def change(fields):
        counts = np.frombuffer(base64.b64decode(fields["count"]), dtype="<i4")
        members = np.frombuffer(base64.b64decode(fields["prosumer"]), dtype="<i4").tolist()
        values = np.frombuffer(base64.b64decode(fields[name])).copy()
        first = 0 if name == "reactive_kvar" else int(counts[: members.index(member)].sum())
        values[first + vertex] = value
        return fields | {name: base64.b64encode(values.tobytes()).decode()}

    return change


BAD_CURVES = {
    "a power that is not a number": column(("kw", 2, 0), np.nan),
    "a power without bounds": column(("kw", 2, 0), np.inf),
    "a price that is not a number": column(("price", 2, 1), np.nan),
    "a price that descends": column(("price", 2, 0), 5.0),
    "a power beyond the rating": column(("kw", 2, 0), 20.5),
    "powers that increase": column(("kw", 2, 0), -15.0),
    "reactive power that is not a number": column(("reactive_kvar", 2, 1), np.nan),
    "reactive power beyond the rating": column(("reactive_kvar", 2, 1), 1e6),
}


@pytest.mark.parametrize("change", BAD_CURVES.values(), ids=BAD_CURVES)
async def test_one_bad_curve_in_a_batch_harms_one_prosumer_alone(town, change):
    await town.interval(0)
    town.rewrite(town.topics.bid_batch(world.HOST), change, tick=1)
    await town.interval(1)
    assert_only_these_fell_back(town, 1, [2], metered_kw(town, 0))
    ((topic, why),) = town.refusals(1)
    assert topic == "bid-batch/people"
    assert "p2" in why
    assert town.last(town.topics.lam_outcome("lams"), 1).refused == ["p2"]


BAD_BATCHES = {
    "another host": (lambda batch: batch | {"sender": "mallory"}, "mallory"),
    "too few prosumers": (lambda batch: batch | {"prosumer": ""}, "values where 0 belong"),
    "a column cut short": (lambda batch: batch | {"kw": batch["kw"][:32]}, "values"),
    "a column of no numbers": (lambda batch: batch | {"price": "AAAA"}, ""),
    "counts that are none": (
        lambda batch: batch | {"count": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="},
        "where 0 belong",
    ),
}


@pytest.mark.parametrize(("change", "reason"), BAD_BATCHES.values(), ids=BAD_BATCHES)
async def test_a_batch_that_cannot_be_told_apart_is_refused_whole(town, change, reason):
    await town.interval(0)
    town.rewrite(town.topics.bid_batch(world.HOST), change, tick=1)
    await town.interval(1)
    assert_only_these_fell_back(town, 1, [1, 2, 4, 5, 7], metered_kw(town, 0))
    ((topic, why),) = town.refusals(1)
    assert topic == "bid-batch/people"
    assert reason in why


def acting_alone(tick, members):
    """Power that prosumers draw when they know nothing but the tariffs, ``(n,)`` [kW]."""
    everyone = world.case(tick)
    supply = supply_curves(everyone.demand_kw, everyone.resources)
    trade_kw = trade_against_tariff(supply.curves, world.rules().terms(tick).tariff)
    return (everyone.demand_kw - disaggregate(supply, trade_kw))[members]


async def test_a_prosumer_without_an_award_acts_alone(town):
    await town.interval(0)
    town.lose(town.topics.award("B", "p3"), tick=1)
    await town.interval(1)
    drawn_kw = metered_kw(town, 1)
    np.testing.assert_allclose(drawn_kw[3], acting_alone(1, 3), rtol=0, atol=1e-9)
    others = [0, 1, 2, 4, 5, 6, 7]
    np.testing.assert_allclose(drawn_kw[others], town.trades(1)[others], rtol=0, atol=1e-9)
    assert town.flags(1) == {"live": ["1 prosumers of live got no award and act alone"]}


async def test_a_population_without_awards_acts_alone(town):
    await town.interval(0)
    town.lose(town.topics.award_batch("lams", world.HOST), tick=1)
    await town.interval(1)
    members = [1, 2, 4, 5, 7]
    drawn_kw = metered_kw(town, 1)
    np.testing.assert_allclose(drawn_kw[members], acting_alone(1, members), rtol=0, atol=1e-9)
    assert any("5 prosumers of people got no award" in flag for flag in town.flags(1)[world.HOST])
