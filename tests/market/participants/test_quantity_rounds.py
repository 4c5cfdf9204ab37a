"""A town that chooses quantities round by round: the exact pool in the end, and who falls silent."""

import numpy as np
import pytest

from broker.client.memory import Delivery
from market.solver.clearing import clear
from tests.market.participants import world
from tests.market.participants.pool import assert_exact_pool


@pytest.fixture(params=["plain", "slope"])
async def town(town_of, request):
    async with town_of(quantity=True, bidding=request.param) as town:
        yield town


@pytest.mark.parametrize("tick", [0, 1])
async def test_rounds_come_to_the_exact_pool(town, tick):
    for each in range(tick + 1):
        await town.interval(each)
    assert_exact_pool(town, tick, atol=1e-5)
    assert town.outcome(tick).exchange.rounds >= 2


async def test_several_hosts_tell_of_their_members_apart(town_of):
    async with town_of(lam_hosts={"north": [0], "south": [1, 2]}, quantity=True, bidding="slope") as town:
        await town.interval(0)
        outcome = town.outcome(0)
        assert outcome.status == "confirmed"
        wanted = clear(world.by_quantity(world.case(0)))
        np.testing.assert_allclose(outcome.price, wanted.wam.price, atol=1e-5)


async def test_a_silent_operator_s_lams_flow_as_last_metered_and_share_nothing(town_of):
    async with town_of(lam_hosts={"north": [0], "south": [1, 2]}, quantity=True, bidding="slope") as town:
        await town.interval(0)
        metered_kw = np.bincount(world.LAM_OF, town.clerk.intervals[0].metered_kwh / world.DT_H, minlength=3)
        await town.stop("south")
        await town.interval(1)
        outcome = town.outcome(1)
        assert outcome.fallbacks == ["B", "C"]
        np.testing.assert_allclose(outcome.flow_kw[1:], metered_kw[1:], atol=1e-9)


async def test_a_silent_member_counts_as_inflexible_and_the_others_go_on(town_of):
    async with town_of(quantity=True, bidding="slope") as town:
        await town.interval(0)
        await town.stop("live")
        await town.interval(1)
        outcome = town.outcome(1)
        live = [name for name, is_live in zip(world.NAMES, world.LIVE, strict=True) if is_live]
        assert set(outcome.fallbacks) == set(live)
        assert np.abs(outcome.flow_kw).max() > 0.0


@pytest.mark.parametrize("first_round", [1, 2])
async def test_who_falls_silent_in_a_round_is_inflexible_from_then_on(town_of, first_round):
    async with town_of(quantity=True, bidding="slope") as town:
        await town.interval(0)
        town.lose(town.topics.round_bid("B", "p3"), tick=1, first_round=first_round)
        await town.interval(1)
        outcome = town.outcome(1)
        assert outcome.status == "confirmed"
        assert outcome.fallbacks == ["p3"]
        assert any("1 bids missing in round" in flag for flag in town.flags(1)["lams"])
        assert town.clerk.audits[1].beyond == []


async def test_messages_that_come_twice_change_nothing(town_of):
    async with town_of(quantity=True, bidding="slope") as town:
        town.broker.delivery = lambda received: Delivery.DUPLICATE
        await town.interval(0)
        twice = town.said(town.topics.wam_outcome, 0)[0]
    async with town_of(quantity=True, bidding="slope") as town:
        await town.interval(0)
        assert (town.outcome(0).price, town.outcome(0).flow_kw) == (twice.price, twice.flow_kw)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda told: told | {"sender": "mallory"}, "mallory"),
        (lambda told: told | {"round": 77}, "round 77"),
        (lambda told: told | {"price": told["kw"], "kw": told["price"]}, "ascending prices"),
        (lambda told: told | {"prosumer": ""}, "values where 0 belong"),
    ],
)
async def test_bad_beliefs_are_refused(town_of, change, reason):
    async with town_of(lam_hosts={"north": [0], "south": [1, 2]}, quantity=True, bidding="slope") as town:
        await town.interval(0)
        town.rewrite(town.topics.lam_beliefs("south"), change, tick=1)
        await town.interval(1)
        assert town.outcome(1).fallbacks == ["B", "C"]
        assert any(topic == "lam-beliefs/south" and reason in why for topic, why in town.refusals(1))


async def test_an_operator_that_starts_anew_comes_to_the_same(town_of):
    async with town_of(quantity=True, bidding="slope") as town:
        await town.interval(0)
        await town.stop("lams")
        await town.start("lams")
        await town.interval(1)
        wanted = clear(world.by_quantity(world.case(1)))
        np.testing.assert_allclose(town.outcome(1).price, wanted.wam.price, atol=1e-5)


async def test_without_the_wam_lams_share_within_by_what_is_believed(town_of):
    async with town_of(quantity=True, bidding="slope") as town:
        await town.interval(0)
        await town.stop("wam")
        await town.interval(1)
        told = town.last(town.topics.lam_outcome("lams"), 1)
        assert told.alone
        np.testing.assert_allclose(np.bincount(world.LAM_OF, town.trades(1), minlength=3), 0.0, atol=1e-9)
