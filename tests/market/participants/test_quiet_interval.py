"""Nothing goes wrong: from bids over two layers to awards, set-points, meters and payments."""

import numpy as np
import pytest

from broker import messages
from broker.messages import Award, AwardBatch, BidBatch, CurveBid, LamBid, SetPoint, columns
from cosim.results.entries import KINDS
from market.solver.clearing import clear
from tests.market.participants import world


@pytest.fixture
async def quiet(town):
    for tick in range(2):
        await town.interval(tick)
    return town


async def test_nobody_flags_or_refuses_anything(quiet):
    for tick in range(2):
        assert quiet.flags(tick) == {}
        assert quiet.refusals(tick) == []
        assert quiet.outcome(tick).status == "confirmed"
        assert quiet.outcome(tick).fallbacks == []


@pytest.mark.parametrize("tick", [0, 1])
async def test_prices_and_trades_are_those_of_the_two_layer_clearing(quiet, tick):
    wanted = clear(world.case(tick))
    outcome = quiet.outcome(tick)
    told = quiet.last(quiet.topics.lam_outcome("lams"), tick)
    assert outcome.price == wanted.wam.price.tolist()
    assert outcome.net_kw == wanted.wam.net_kw.tolist()
    assert outcome.grid_kw == wanted.wam.grid_kw
    assert outcome.row_name == ["C.1"]
    assert columns.unpack(told.price).tolist() == wanted.price.tolist()
    assert quiet.trades(tick).tolist() == wanted.trade_kw.tolist()


async def test_trades_add_up_to_what_each_lam_draws_from_the_wide_area(quiet):
    net_kw = np.bincount(world.LAM_OF, quiet.trades(1), minlength=3)
    np.testing.assert_allclose(net_kw, quiet.outcome(1).net_kw, rtol=0, atol=1e-10)


async def test_everything_is_said_once_and_in_the_order_of_the_steps(quiet):
    kinds = (BidBatch, CurveBid, LamBid, messages.WamOutcome, Award, AwardBatch, SetPoint)
    said = [message for _, message in quiet.heard if message.tick == 1 and isinstance(message, kinds)]
    count = {kind: sum(isinstance(message, kind) for message in said) for kind in kinds}
    assert count == dict(zip(kinds, [1, 3, 3, 1, 3, 1, 3], strict=True))
    ranks = {
        BidBatch: 0,
        CurveBid: 0,
        LamBid: 1,
        messages.WamOutcome: 2,
        Award: 3,
        AwardBatch: 3,
        SetPoint: 4,
    }
    order = [ranks[type(message)] for message in said]
    assert order == sorted(order)


async def test_an_award_goes_to_its_prosumers_own_topic_alone(quiet):
    trades = quiet.trades(1)
    awards = {topic: m for topic, m in quiet.heard if isinstance(m, Award) and m.tick == 1}
    wanted = {
        quiet.topics.award(lam, name): trades[world.NAMES.index(name)]
        for lam, name in [("A", "p0"), ("B", "p3"), ("C", "p6")]
    }
    assert {topic: award.trade_kw for topic, award in awards.items()} == wanted
    (batch,) = [m for _, m in quiet.heard if isinstance(m, AwardBatch) and m.tick == 1]
    assert columns.unpack_index(batch.prosumer).tolist() == [1, 2, 4, 5, 7]


async def test_buyers_pay_and_sellers_get_the_local_price_with_its_fee(quiet):
    told = quiet.last(quiet.topics.lam_outcome("lams"), 1)
    fee = np.sign(quiet.trades(1)) * world.case(1).fee[world.LAM_OF]
    wanted = columns.unpack(told.price)[world.LAM_OF] + fee
    np.testing.assert_array_equal(columns.unpack(told.trade_price), wanted)


async def test_what_was_awarded_is_metered_and_paid_for(quiet):
    interval, booking = quiet.clerk.intervals[1], quiet.clerk.bookings[1]
    np.testing.assert_allclose(
        interval.metered_kwh, interval.allocation.trade_kw * world.DT_H, rtol=0, atol=1e-12
    )
    np.testing.assert_allclose(quiet.feeder.lam_kw, quiet.outcome(1).net_kw, rtol=0, atol=1e-9)
    assert abs(booking.imbalance_usd) < 1e-9
    for kind in range(len(KINDS)):
        assert booking.micro[booking.kind == kind].sum() == 0


async def test_the_feeder_is_asked_to_hold_first_and_then_about_the_clearing(quiet):
    rounds = [(request.tick, request.round) for request in quiet.feeder.requests]
    assert rounds == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert quiet.feeder.requests[-1].net_kw == quiet.outcome(1).net_kw


@pytest.mark.parametrize("lost", [[], ["p0", "p3"]])
async def test_two_operators_give_the_same_bits_as_one(town_of, lost):
    found = []
    for hosts in ({"lams": [0, 1, 2]}, {"north": [0, 2], "south": [1]}):
        async with town_of(lam_hosts=hosts) as town:
            await town.interval(0)
            topics = [town.topics.bid(town.roster.lams[town.roster.lam[j]], f"p{j}") for j in (0, 3)]
            if lost:
                town.lose(*topics, tick=1)
            await town.interval(1)
            prices = np.zeros(3)
            for host, lams in hosts.items():
                prices[lams] = columns.unpack(town.last(town.topics.lam_outcome(host), 1).price)
            outcome = town.outcome(1)
            assert outcome.fallbacks == lost
            found.append((outcome.price, outcome.net_kw, prices.tolist(), town.trades(1).tolist()))
    assert found[0] == found[1]
