"""Plain and slope bids over the bus: rounds end at the equilibrium, and whoever falls silent stands alone."""

import asyncio
import base64

import msgspec
import numpy as np
import pytest

from broker.client.memory import Delivery
from broker.messages import columns
from market.model.response import supply_curves
from market.participants.tariffs import trade_against_tariff
from market.solver.clearing import clear
from tests.market.participants import world

FORMS = ["plain", "slope"]
TWO_HOSTS = {"north": [0], "south": [1, 2]}

pytestmark = pytest.mark.parametrize("form", FORMS)


def metered_kw(town, tick):
    return town.clerk.intervals[tick].metered_kwh / world.DT_H


def local_prices(town, tick):
    prices = np.full(3, np.nan)
    for host, lams in town.lam_hosts.items():
        prices[lams] = columns.unpack(town.last(town.topics.lam_outcome(host), tick).price)
    return prices


def assert_equilibrium(town, tick, case=None):
    """What was said is the exact clearing, to the tolerances of rounds."""
    wanted = clear(case or world.case(tick))
    np.testing.assert_allclose(town.outcome(tick).net_kw, wanted.wam.net_kw, rtol=0, atol=1e-3)
    np.testing.assert_allclose(town.outcome(tick).price, wanted.wam.price, rtol=0, atol=1e-5)
    np.testing.assert_allclose(town.trades(tick), wanted.trade_kw, rtol=0, atol=1e-3)
    np.testing.assert_allclose(local_prices(town, tick), wanted.price, rtol=0, atol=1e-5)


def fixed(town, tick, members):
    """The market in which these draw what they last drew."""
    last_kw = metered_kw(town, tick - 1)
    return world.fixed(world.case(tick), {member: last_kw[member] for member in members})


async def test_rounds_end_at_the_equilibrium_and_nobody_complains(town_of, form):
    async with town_of(bidding=form) as town:
        for tick in range(3):
            await town.interval(tick)
            assert_equilibrium(town, tick)
            assert (town.flags(tick), town.refusals(tick)) == ({}, [])
            assert town.outcome(tick).status == "confirmed"
            assert (town.clerk.audits[tick].beyond, town.clerk.audits[tick].notes) == ([], [])


async def test_what_the_rounds_took_is_what_was_said(town_of, form):
    async with town_of(bidding=form, lam_hosts=TWO_HOSTS) as town:
        await town.interval(0)
        asked = town.said(town.topics.wam_price, 0)
        assert town.outcome(0).exchange.rounds == len(asked) > 1
        for host, lams in TWO_HOSTS.items():
            talks = town.last(town.topics.lam_outcome(host), 0).exchange
            local = town.said(town.topics.lam_price(host), 0)
            members = np.isin(world.LAM_OF, lams)
            batches = town.said(town.topics.round_bid_batch(host, world.HOST), 0)
            bids = sum(columns.unpack_index(batch.prosumer).size for batch in batches)
            for name, lam in (("p0", "A"), ("p3", "B"), ("p6", "C")):
                if world.LAMS.index(lam) in lams:
                    bids += len(town.said(town.topics.round_bid(lam, name), 0))
            announced = sum(columns.unpack_index(each.lam).size for each in local)
            answered = len(lams) * len(town.said(town.topics.lam_round_bid(host), 0))
            assert talks.rounds == len(local)
            assert talks.messages == bids + announced + answered + members.sum()


async def test_any_number_of_operators_gives_the_same_bits(town_of, form):
    found = []
    for hosts in ({"lams": [0, 1, 2]}, {"north": [0, 2], "south": [1]}):
        async with town_of(bidding=form, lam_hosts=hosts) as town:
            for tick in range(2):
                await town.interval(tick)
            outcome = town.outcome(1)
            found.append(
                (outcome.price, outcome.net_kw, local_prices(town, 1).tolist(), town.trades(1).tolist())
            )
    assert found[0] == found[1]


async def test_who_does_not_open_counts_as_the_last_metered_power(town_of, form):
    async with town_of(bidding=form) as town:
        await town.interval(0)
        town.lose(town.topics.opening("B", "p3"), tick=1)
        await town.interval(1)
        assert_equilibrium(town, 1, fixed(town, 1, [3]))
        assert town.outcome(1).fallbacks == ["p3"]
        assert town.last(town.topics.lam_outcome("lams"), 1).missing == ["p3"]


@pytest.mark.parametrize("first_round", [1, 3])
async def test_who_falls_silent_in_a_round_is_inflexible_from_then_on(town_of, form, first_round):
    """It costs one short wait, and nobody else anything."""
    async with town_of(bidding=form) as town:
        await town.interval(0)
        town.lose(town.topics.round_bid("B", "p3"), tick=1, first_round=first_round)
        await town.interval(1)
        assert_equilibrium(town, 1, fixed(town, 1, [3]))
        assert town.outcome(1).status == "confirmed"
        assert town.outcome(1).fallbacks == ["p3"]
        assert town.last(town.topics.lam_outcome("lams"), 1).missing == ["p3"]
        assert any("1 bids missing in round" in flag for flag in town.flags(1)["lams"])
        assert town.clerk.audits[1].beyond == []


async def test_a_silent_population_host_leaves_the_live_to_settle_alone(town_of, form):
    async with town_of(bidding=form) as town:
        await town.interval(0)
        town.lose(town.topics.round_bid_batch("lams", world.HOST), tick=1)
        await town.interval(1)
        assert_equilibrium(town, 1, fixed(town, 1, [1, 2, 4, 5, 7]))


def renumbered(values, change):
    """A column with its numbers changed."""
    array = np.frombuffer(base64.b64decode(values), dtype="<f8").copy()
    return base64.b64encode(change(array).tobytes()).decode()


BAD_BIDS = {
    "beyond its opening": (lambda bid: bid | {"intercept_kw": 1e4}, "openings"),
    "a falling slope": (lambda bid: bid | {"slope": -1.0}, "slope"),
    "a round ahead": (lambda bid: bid | {"round": 99}, "round 99"),
    "another sender": (lambda bid: bid | {"sender": "mallory"}, "mallory"),
    "not a number": (
        lambda bid: msgspec.json.encode(bid).replace(b'"intercept_kw":', b'"intercept_kw":NaN,"x":'),
        "malformed",
    ),
}


@pytest.mark.parametrize(("change", "reason"), BAD_BIDS.values(), ids=BAD_BIDS)
async def test_a_bad_bid_of_a_round_is_refused_and_harms_its_sender_alone(town_of, form, change, reason):
    if form == "plain" and reason == "slope":
        change = lambda bid: bid | {"slope": 1.0}  # noqa: E731 - plain bids have none
    async with town_of(bidding=form) as town:
        await town.interval(0)
        town.rewrite(town.topics.round_bid("B", "p3"), change, tick=1)
        await town.interval(1)
        assert_equilibrium(town, 1, fixed(town, 1, [3]))
        assert any(topic == "round-bid/B/p3" and reason in why for topic, why in town.refusals(1))


async def test_a_bad_answer_in_a_batch_harms_its_sender_alone(town_of, form):
    async with town_of(bidding=form) as town:
        await town.interval(0)

        def spoil(bid):
            def change(values):
                values[0] = np.nan
                return values

            return bid | {"intercept_kw": renumbered(bid["intercept_kw"], change)}

        town.rewrite(town.topics.round_bid_batch("lams", world.HOST), spoil, tick=1)
        await town.interval(1)
        first = min(world.NAMES.index(name) for name in town.outcome(1).fallbacks)
        assert town.outcome(1).fallbacks[0] == world.NAMES[first]
        members = [world.NAMES.index(name) for name in town.outcome(1).fallbacks]
        assert_equilibrium(town, 1, fixed(town, 1, members))


async def test_a_late_answer_is_counted_and_not_used(town_of, form):
    async with town_of(bidding=form) as town:
        await town.interval(0)
        town.rewrite(town.topics.round_bid("B", "p3"), lambda bid: bid | {"round": bid["round"] - 1}, tick=1)
        await town.interval(1)
        assert town.traffic("lams").late > 0
        assert_equilibrium(town, 1, fixed(town, 1, [3]))


async def test_doubled_messages_change_nothing(town_of, form):
    async with town_of(bidding=form) as town:
        await town.interval(0)
        town.broker.delivery = lambda received: Delivery.DUPLICATE
        await town.interval(1)
        town.broker.delivery = lambda received: Delivery.DELIVER
        await town.interval(2)
        assert_equilibrium(town, 2)
        assert town.traffic("wam").duplicates > 0


@pytest.mark.parametrize("kind", ["lam_opening", "lam_round_bid"])
async def test_a_silent_lam_operator_counts_as_its_last_metered_load(town_of, form, kind):
    async with town_of(bidding=form, lam_hosts=TWO_HOSTS) as town:
        await town.interval(0)
        town.lose(getattr(town.topics, kind)("south"), tick=1)
        await town.interval(1)
        wanted = clear(fixed(town, 1, range(3, 8)))
        assert town.outcome(1).fallbacks == ["B", "C"]
        np.testing.assert_allclose(town.outcome(1).net_kw, wanted.wam.net_kw, rtol=0, atol=1e-3)
        np.testing.assert_allclose(town.trades(1)[:3], wanted.trade_kw[:3], rtol=0, atol=1e-3)
        # The operator is there, but was not heard: it shares out what the WAM assumed.
        net_kw = np.bincount(world.LAM_OF, town.trades(1))
        np.testing.assert_allclose(net_kw, town.outcome(1).net_kw, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda bid: bid | {"sender": "mallory"}, "mallory"),
        (lambda bid: bid | {"intercept_kw": ""}, "intercept_kw: 0 values where 2 belong"),
        (lambda bid: bid | {"round": 77}, "round 77"),
        (lambda bid: bid | {"lam": ""}, "2 values where 0 belong"),
    ],
)
async def test_a_bad_bid_of_a_lam_is_refused(town_of, form, change, reason):
    async with town_of(bidding=form, lam_hosts=TWO_HOSTS) as town:
        await town.interval(0)
        town.rewrite(town.topics.lam_round_bid("south"), change, tick=1)
        await town.interval(1)
        assert town.outcome(1).fallbacks == ["B", "C"]
        assert any(topic == "lam-round-bid/south" and reason in why for topic, why in town.refusals(1))


async def test_without_the_wam_lams_settle_alone_against_the_tariffs(town_of, form):
    async with town_of(bidding=form) as town:
        await town.interval(0)
        await town.stop("wam")
        interval = await town.interval(1)
        assert interval.allocation.alone.all()
        async with town_of() as exact:
            await exact.interval(0)
            await exact.stop("wam")
            wanted = await exact.interval(1)
        np.testing.assert_allclose(interval.allocation.net_kw, wanted.allocation.net_kw, rtol=0, atol=1e-3)
        np.testing.assert_allclose(
            interval.allocation.trade_kw, wanted.allocation.trade_kw, rtol=0, atol=1e-3
        )
        np.testing.assert_allclose(interval.allocation.price, wanted.allocation.price, rtol=0, atol=1e-5)


async def test_a_prosumer_without_award_acts_alone(town_of, form):
    async with town_of(bidding=form) as town:
        await town.interval(0)
        town.lose(town.topics.award("B", "p3"), tick=1)
        await town.interval(1)
        case = world.case(1)
        supply = supply_curves(case.demand_kw, case.resources)
        wanted = trade_against_tariff(supply.curves, world.rules().terms(1).tariff)[3]
        assert metered_kw(town, 1)[3] == pytest.approx(wanted, abs=1e-9)


async def test_when_the_gate_closes_before_all_agree_what_was_cleared_last_stands(town_of, form, monkeypatch):
    """A LAM operator that takes five seconds for each of its bids can give one before the gate closes."""
    monkeypatch.setattr("market.participants.gates.BIDDING", 0.1)
    async with town_of(bidding=form) as town:
        await town.interval(0)
        delayed, due = [], []

        def publish(received):
            due.append(received.payload)
            town.broker.publish(received.topic, received.payload)

        def delay(received):
            if received.topic != town.topics.lam_round_bid("lams") or received.payload in due:
                return Delivery.DELIVER
            if received.payload not in delayed:
                delayed.append(received.payload)
                asyncio.get_running_loop().call_later(5.0, publish, received)
            return Delivery.DROP

        town.broker.delivery = delay
        await town.interval(1)
        outcome = town.outcome(1)
        assert any("the gate closed after 2 rounds of bids" in flag for flag in town.flags(1)["wam"])
        assert outcome.fallbacks == []
        # What was cleared is shared out within everyone's range, and the certificate says what it is not.
        net_kw = np.bincount(world.LAM_OF, town.trades(1))
        np.testing.assert_allclose(net_kw, outcome.net_kw, rtol=0, atol=1e-6)
        assert metered_kw(town, 1) == pytest.approx(town.trades(1), abs=1e-9)
        assert town.clerk.audits[1].certificate is not None
        assert town.clerk.bookings[1].micro.sum() == 0


async def test_a_service_killed_in_the_rounds_is_back_in_the_next_interval(town_of, form):
    async with town_of(bidding=form) as town:
        await town.interval(0)
        await town.step("measure", 1)
        await town.step("bid", 1)
        await town.stop("lams")
        await town.start("lams")
        for step in ("clear", "dispatch", "act", "meter", "settle"):
            await town.step(step, 1)
        assert any("sits out its clear" in flag for flag in town.flags(1)["lams"])
        await town.interval(2)
        assert_equilibrium(town, 2)
        assert sorted(town.clerk.bookings) == [0, 1, 2]


async def test_a_lam_without_source_trades_nothing_and_holds_nobody_up(town_of, form):
    async with town_of(bidding=form) as town:
        await town.interval(0)

        def cut(fields):
            if fields["model"] is not None:
                fields["model"] = msgspec.structs.replace(fields["model"], unserved=[1])
            return fields

        town.feeder.temper = cut
        await town.interval(1)
        outcome = town.outcome(1)
        assert outcome.net_kw[1] == 0.0
        assert outcome.status == "confirmed"
        assert not any("gate closed" in flag for flag in town.flags(1).get("wam", []))
        others = np.flatnonzero(world.LAM_OF != 1)
        everyone = world.case(1)
        wanted = clear(world.isolated(everyone, 1))
        np.testing.assert_allclose(town.trades(1)[others], wanted.trade_kw[others], rtol=0, atol=1e-3)
