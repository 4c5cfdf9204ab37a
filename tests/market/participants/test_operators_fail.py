"""LAM operators, the WAM operator or the feeder fall silent or find no solution."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from broker import messages
from broker.messages import columns
from cosim.results.entries import KINDS
from market.model.case import Network
from market.model.inverse import price_range
from market.model.response import supply_curves
from market.solver.aggregation import aggregate
from market.solver.clearing import clear, member_curves
from tests.market.participants import stand_ins, world


def metered_kw(town, tick):
    return town.clerk.intervals[tick].metered_kwh / world.DT_H


def local_prices(town, tick):
    prices = np.full(3, np.nan)
    for host, lams in town.lam_hosts.items():
        for told in town.said(town.topics.lam_outcome(host), tick):
            prices[lams] = columns.unpack(told.price)
    return prices


def assert_settled_to_zero(town, *ticks):
    assert sorted(town.clerk.bookings) == sorted(ticks)
    for tick in ticks:
        booking = town.clerk.bookings[tick]
        assert [int(booking.micro[booking.kind == kind].sum()) for kind in range(len(KINDS))] == [0] * len(
            KINDS
        )


def lam_curves(tick):
    everyone = world.case(tick)
    members = member_curves(everyone, supply_curves(everyone.demand_kw, everyone.resources))
    return aggregate(members, world.LAM_OF, 3)


async def test_a_silent_lam_operator_counts_as_its_last_metered_load(town_of):
    async with town_of(lam_hosts={"north": [0], "south": [1, 2]}) as town:
        await town.interval(0)
        last_kw = metered_kw(town, 0)
        await town.stop("south")
        interval = await town.interval(1)
        outcome = town.outcome(1)
        wanted = clear(world.fixed(world.case(1), {member: last_kw[member] for member in range(3, 8)}))
        assert outcome.status == "confirmed"
        assert outcome.fallbacks == ["B", "C"]
        np.testing.assert_allclose(outcome.net_kw, wanted.wam.net_kw, rtol=0, atol=1e-9)
        np.testing.assert_allclose(town.trades(1)[:3], wanted.trade_kw[:3], rtol=0, atol=1e-9)
        assert "LAM B was silent" in str(town.flags(1)["wam"])
        assert interval.flags == ["no outcome from south: its prosumers have no allocation"]
        assert not interval.allocation.trade_kw[3:].any()
        assert_settled_to_zero(town, 0, 1)


async def test_a_lam_whose_bid_was_lost_shares_what_the_wam_assumed(town):
    await town.interval(0)
    last_kw = np.bincount(world.LAM_OF, metered_kw(town, 0))
    town.lose(town.topics.lam_bid("B"), tick=1)
    await town.interval(1)
    assert town.outcome(1).fallbacks == ["B"]
    assert town.outcome(1).net_kw[1] == pytest.approx(last_kw[1], abs=1e-9)
    assert town.trades(1)[3:6].sum() == pytest.approx(last_kw[1], abs=1e-9)


async def test_a_lam_takes_what_it_can_where_the_wam_assumed_more_than_that(town):
    # Ten hours later everyone needs so much that LAM C cannot go back to what it last drew.
    await town.interval(0)
    town.lose(town.topics.lam_bid("C"), tick=40)
    interval = await town.interval(40)
    least_kw = lam_curves(40).lowest_kw[2]
    assert town.outcome(40).net_kw[2] < least_kw
    assert interval.allocation.net_kw[2] == least_kw
    assert interval.allocation.trade_kw[6:].sum() == pytest.approx(least_kw, abs=1e-9)
    assert any("LAM C can take 19.000 kW" in flag for flag in town.flags(40)["lams"])
    assert_settled_to_zero(town, 0, 40)


BAD_LAM_BIDS = {
    "another sender": (lambda bid: bid | {"sender": "mallory"}, "mallory"),
    "an empty curve": (lambda bid: bid | {"kw": "", "price": ""}, "at least one"),
    "not a number": (lambda bid: bid | {"kw": "AAAAAAAA+H8="}, ""),
    "turned round": (lambda bid: bid | {"kw": bid["price"], "price": bid["kw"]}, "monotone"),
}


@pytest.mark.parametrize(("change", "reason"), BAD_LAM_BIDS.values(), ids=BAD_LAM_BIDS)
@pytest.mark.parametrize("tick", [0, 1])
async def test_a_bad_lam_bid_is_refused_and_counts_as_silence(town, change, reason, tick):
    if tick:
        await town.interval(0)
    town.rewrite(town.topics.lam_bid("B"), change, tick=tick)
    await town.interval(tick)
    assert town.outcome(tick).fallbacks == ["B"]
    ((topic, why),) = town.refusals(tick)
    assert topic == "lam-bid/B"
    assert reason in why


async def test_without_the_wam_lams_clear_alone_against_the_tariffs(town):
    await town.interval(0)
    await town.stop("wam")
    interval = await town.interval(1)
    tariff = world.case(1).tariff
    assert interval.allocation.alone.all()
    assert town.said(town.topics.wam_outcome, 1) == []
    assert town.flags(1)["lams"] == ["the WAM was silent: lams clears its LAMs against the tariffs"]
    net_kw, price = interval.allocation.net_kw, local_prices(town, 1)
    np.testing.assert_allclose(np.bincount(world.LAM_OF, town.trades(1)), net_kw, rtol=0, atol=1e-9)
    low, high = price_range(lam_curves(1), net_kw)
    assert (low - 1e-12 <= price).all()
    assert (price <= high + 1e-12).all()
    # A LAM buys at retail, sells at feed-in, and between the two its members share among themselves alone.
    shares = np.abs(net_kw) < 1e-9
    assert shares.any()
    np.testing.assert_allclose(price[net_kw > 1e-9], tariff.retail)
    np.testing.assert_allclose(price[net_kw < -1e-9], tariff.feed_in)
    assert ((tariff.feed_in <= price) & (price <= tariff.retail)).all()
    np.testing.assert_allclose(metered_kw(town, 1), town.trades(1), rtol=0, atol=1e-9)
    assert_settled_to_zero(town, 0, 1)


async def test_a_wam_that_comes_back_is_heard_again(town):
    await town.interval(0)
    await town.stop("wam")
    await town.interval(1)
    await town.start("wam")
    await town.interval(2)
    wanted = clear(world.case(2))
    assert town.outcome(2).status == "confirmed"
    assert town.trades(2).tolist() == wanted.trade_kw.tolist()
    assert any("wam began anew" in flag for flag in town.flags(2)["lams"])
    assert_settled_to_zero(town, 0, 1, 2)


async def test_an_outcome_that_does_not_fit_is_refused_and_counts_as_silence(town):
    await town.interval(0)
    town.rewrite(town.topics.wam_outcome, lambda outcome: outcome | {"net_kw": [1.0]}, tick=1)
    interval = await town.interval(1)
    assert ("wam/outcome", "net_kw: 1 values where 3 belong") in town.refusals(1)
    assert town.last(town.topics.lam_outcome("lams"), 1).alone
    assert interval.allocation.alone.all()


def held(town, tick):
    """The outcome, once it is seen to be the last prices held and shared out as such."""
    outcome = town.outcome(tick)
    assert outcome.status == "held"
    assert outcome.row_name == []
    np.testing.assert_allclose(
        np.bincount(world.LAM_OF, town.trades(tick)), outcome.net_kw, rtol=0, atol=1e-9
    )
    return outcome


async def test_without_the_feeder_the_last_prices_are_held(town):
    await town.interval(0)
    await town.stop("feeder")
    interval = await town.interval(1)
    outcome = held(town, 1)
    flags = town.flags(1)
    assert flags["wam"] == [
        "the feeder did not answer round 0 in time",
        "no power flow at all: the last prices are held",
    ]
    assert outcome.flags == flags["wam"]
    # What LAMs draw when each sees the price of the interval before once more.
    shifted = lam_curves(1)
    low, high = price_range(shifted, np.array(outcome.net_kw))
    slope = world.rules().case.wam_slope * np.array(outcome.net_kw) + 0.002 * np.sign(outcome.net_kw)
    np.testing.assert_allclose(np.array(town.outcome(0).price) + slope, low, rtol=0, atol=1e-9)
    np.testing.assert_allclose(low, high, rtol=0, atol=1e-9)
    assert interval.flags == ["no power flow of the metered state: losses are left out of the grid's energy"]
    assert_settled_to_zero(town, 0, 1)


async def test_a_feeder_that_falls_silent_between_rounds_leaves_the_last_prices(town):
    await town.interval(0)
    town.feeder.temper = lambda reply: reply if reply["round"] == 0 else None
    await town.interval(1)
    held(town, 1)
    assert town.flags(1)["wam"][0] == "the feeder did not answer round 1 in time"


async def test_a_power_flow_without_solution_holds_the_last_prices(town):
    await town.interval(0)
    unsolved = {"solved": False, "confirmed": False, "severity": None, "source_kw": None, "model": None}
    town.feeder.temper = lambda reply: reply | unsolved
    await town.interval(1)
    held(town, 1)
    assert town.flags(1)["wam"][0] == "AC power flow of round 0 has no solution"
    assert len(town.feeder.requests) == 3


async def test_a_clearing_whose_power_flow_has_no_solution_is_not_sent_out(town):
    await town.interval(0)
    unsolved = {"solved": False, "confirmed": False, "severity": None, "source_kw": None, "model": None}
    town.feeder.temper = lambda reply: reply if reply["round"] == 0 else reply | unsolved
    await town.interval(1)
    outcome = held(town, 1)
    assert outcome.net_kw == town.feeder.requests[2].net_kw
    assert outcome.grid_kw == pytest.approx(world.case(1).grid_kw(np.array(outcome.net_kw)))
    assert town.flags(1)["wam"] == ["AC power flow of round 1 has no solution"]


async def test_where_a_limit_cannot_be_kept_the_least_violation_goes_out_and_names_the_row(town):
    await town.interval(0)
    impossible = Network(
        matrix=world.NETWORK.matrix,
        base=world.NETWORK.base,
        lower=np.array([2.0, -100.0]),
        upper=np.array([3.0, 100.0]),
        voltage=world.NETWORK.voltage,
        name=world.NETWORK.name,
    )
    severity = {0: 50.0, 1: 20.0}
    town.feeder.temper = lambda reply: (
        reply
        | {
            "model": stand_ins.model(impossible),
            "confirmed": False,
            "severity": severity.get(reply["round"], 30.0),
        }
    )
    await town.interval(1)
    outcome = town.outcome(1)
    assert (outcome.status, outcome.round) == ("unconfirmed", 1)
    flags = town.flags(1)["wam"]
    assert flags[0].startswith("clearing of round 1: no trade keeps the lower limit of ")
    assert flags[-1] == "unconfirmed: the least violating dispatch, of round 1"
    ((name, by),) = zip(outcome.relaxed_name, outcome.relaxed_by, strict=True)
    assert f"lower limit of {name} by {-by:.4g}" in flags[0]
    # As close to the limit as the LAMs' bids let it come: any trade that moves the row is at its end.
    row = impossible.matrix[impossible.name.index(name)]
    curves = lam_curves(1)
    best = np.where(row > 0, curves.highest_kw, curves.lowest_kw)
    moves = row != 0
    np.testing.assert_allclose(np.array(outcome.net_kw)[moves], best[moves], atol=1e-3)
    audit = town.last(town.topics.audit, 1)
    assert audit.certificate is not None
    assert audit.beyond == []
    town.feeder.temper = lambda reply: reply
    await town.interval(2)
    assert town.outcome(2).status == "confirmed"


@pytest.mark.parametrize("field", ["balance", "base", "matrix"])
async def test_a_model_that_does_not_fit_is_refused_and_counts_as_silence(town, field):
    await town.interval(0)
    model = stand_ins.model()
    short = {"balance": [1.0, 1.0], "base": model.base[:8], "matrix": b"\0" * 8}[field]
    town.feeder.temper = lambda reply: reply | {"model": msgspec.structs.replace(model, **{field: short})}
    await town.interval(1)
    held(town, 1)
    assert {topic for topic, _ in town.refusals(1)} == {"feeder/reply"}


def judged(severity, confirmed=None):
    """The feeder's temper: round ``r`` violates limits by ``severity[r]``, one round alone is confirmed."""

    def temper(reply):
        round_ = reply["round"]
        confirms = round_ == confirmed
        model = None if confirms else stand_ins.model()
        return reply | {"confirmed": confirms, "severity": severity[round_], "model": model}

    return temper


async def test_a_second_round_confirms_where_the_first_is_off(town):
    town.feeder.temper = judged([0.0, 4.0, 0.0], confirmed=2)
    await town.interval(0)
    outcome = town.outcome(0)
    assert (outcome.status, outcome.round, outcome.rounds) == ("confirmed", 2, 2)
    assert town.flags(0) == {}
    assert [request.round for request in town.feeder.requests] == [0, 1, 2]


async def test_rounds_in_which_the_feeder_only_adds_limits_do_not_count_against_the_bound(town):
    def adds_limits(reply):
        if reply["round"] == 0:
            return reply
        if reply["round"] == 6:
            return reply | {"model": None}
        nothing = {"solved": False, "confirmed": False, "source_kw": None, "severity": None}
        return reply | nothing | {"linear_error_pu": None, "unwatched": 2, "model": stand_ins.model()}

    town.feeder.temper = adds_limits
    await town.interval(0)
    outcome = town.outcome(0)
    assert (outcome.status, outcome.round, outcome.rounds) == ("confirmed", 6, 6)
    assert town.flags(0) == {}
    assert town.last(town.topics.audit, 0).certificate is not None


async def test_a_least_violation_is_not_final_while_limits_are_missing_from_the_model(town):
    impossible = replace(world.NETWORK, lower=np.array([2.0, -100.0]), upper=np.array([3.0, 100.0]))

    def temper(reply):
        unwatched = 1 if reply["round"] == 1 else 0
        model = stand_ins.model(impossible)
        return reply | {"model": model, "confirmed": False, "severity": 2.0, "unwatched": unwatched}

    town.feeder.temper = temper
    await town.interval(0)
    assert town.outcome(0).rounds == 2


@pytest.mark.parametrize(
    ("severity", "best"),
    [
        ([9.0, 3.0, 1.0, 2.0], 2),
        ([9.0, 3.0, 3.0, 2.0], 3),
        ([5.0, 1.0, 1.0, 1.0], 1),
        ([0.0, 0.0, 1.0, 1.0], 1),
    ],
)
async def test_what_no_round_confirms_goes_out_flagged_where_it_violates_least(town, severity, best):
    town.feeder.temper = judged(severity)
    await town.interval(0)
    outcome = town.outcome(0)
    assert (outcome.status, outcome.round, outcome.rounds) == ("unconfirmed", best, 3)
    assert outcome.net_kw == town.feeder.requests[best].net_kw
    assert town.flags(0)["wam"] == [f"unconfirmed: the least violating dispatch, of round {best}"]


async def test_holding_goes_out_where_every_clearing_violates_more(town):
    town.feeder.temper = judged([1.0, 3.0, 2.0, 4.0])
    await town.interval(0)
    assert held(town, 0).net_kw == town.feeder.requests[0].net_kw
    assert town.flags(0)["wam"] == [
        "the last prices are held: no clearing violates the network's limits less"
    ]


async def test_a_service_that_fails_on_a_message_sets_it_aside_and_goes_on(town):
    def fail(reply):
        raise RuntimeError("no such feeder")

    town.feeder.temper = fail
    await town.interval(0)
    assert town.outcome(0).status == "held"
    assert town.flags(0)["feeder"] == [
        "feeder failed on a message on sharegrid/v1/r1/feeder/request: RuntimeError: no such feeder"
    ]
    (kept,) = town.feeder.node.quarantine.kept
    assert kept.topic == town.topics.feeder_request
    assert messages.decode(kept.payload).tick == 0
    assert town.traffic("feeder").quarantined == 1
    town.feeder.temper = lambda reply: reply
    await town.interval(1)
    assert town.outcome(1).status == "confirmed"


async def test_a_late_answer_to_an_earlier_round_is_not_taken_for_the_present_one(town):
    await town.interval(0)
    town.feeder.temper = lambda reply: reply | ({"round": 0} if reply["round"] else {})
    await town.interval(1)
    held(town, 1)
    assert town.flags(1)["wam"][0] == "the feeder did not answer round 1 in time"
