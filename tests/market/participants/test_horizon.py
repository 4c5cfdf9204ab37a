"""The market over a horizon, interval by interval: services on a bus, and a feeder that is linear."""

import asyncio
from dataclasses import replace
from itertools import pairwise

import msgspec
import numpy as np
import pytest

from broker.messages import HorizonBid, columns, decode, encode
from market.horizon.clearing import clear_horizon
from market.horizon.proof import beyond_tolerance, certify_horizon
from market.horizon.start import Near
from market.horizon.stores import at_rest, joined_stores, within_reach
from market.participants.horizon_bids import bid_fields, read_bid
from market.participants.wam.horizon_case import horizon_case, join_bids
from market.participants.wam.models_ahead import BLOCKS, blocks_of
from tests.market.participants import storing, world
from tests.market.participants.stand_ins import model
from tests.market.participants.town import WINDOW_S, at_once

T = storing.INTERVALS
LEAST_PU = 0.875
"""The voltage that batteries have to hold in the last intervals."""


def feeder(lowest_pu=LEAST_PU):
    """The feeder's model with another limit of its voltage."""
    return msgspec.structs.replace(model(), lower=columns.pack_open([lowest_pu, -100.0]))


def started(town):
    """Services that have known the feeder for a while."""
    town.feeder.temper = lambda reply: (
        reply
        | {
            "severity": 0.0,
            "model": feeder() if reply["model"] is not None else None,
        }
    )
    town.feeder.model_ahead = feeder
    town.services["wam"].horizon.take_model(feeder())


def all_at_once(rules, roster, home=storing.Storing):
    """The case of all intervals, with all that is known from the beginning."""
    hosts = {world.HOST: roster.hosts[world.HOST], "live": roster.live_members}
    bids = {host: (members, home(members).prospect(0, T)) for host, members in hosts.items()}
    expected = [rules.horizon.expected(0, t) for t in range(T)]
    return join_bids(roster, bids).prospect, expected


def one_shot(rules, roster, home=storing.Storing):
    """All intervals cleared at once."""
    everybody, expected = all_at_once(rules, roster, home)
    return clear_horizon(horizon_case(rules, everybody, [feeder()] * T, expected, world.DT_H))


async def test_who_has_more_stores_moves_nobody_elses_slope(town_of):
    async with town_of(horizon=T) as town:
        rules, (everybody, expected) = town.rules, all_at_once(town.rules, town.roster)
    stores = everybody.stores
    idle = at_rest(stores, np.arange(len(stores)))
    more = replace(everybody, stores=joined_stores([stores, idle]))
    outcomes = []
    for prospect in (everybody, more):
        case = horizon_case(rules, prospect, [feeder()] * T, expected, world.DT_H)
        assert case.first.slope == pytest.approx(rules.case.slope)
        outcomes.append(clear_horizon(case))
    without, with_idle = outcomes
    assert with_idle.power_kw[len(stores) :] == pytest.approx(0.0, abs=1e-9)
    assert with_idle.trade_kw == pytest.approx(without.trade_kw, abs=1e-7)
    assert with_idle.price == pytest.approx(without.price, abs=1e-9)


async def test_interval_by_interval_it_comes_to_what_one_clearing_of_all_does(town_of):
    async with town_of(horizon=T) as town:
        started(town)
        best = one_shot(town.rules, town.roster)
        people = town.services[world.HOST].portfolio
        traded, stored = [], [people.kwh]
        for tick in range(T):
            await town.interval(tick)
            assert town.outcome(tick).status == "confirmed"
            traded.append(town.trades(tick))
            stored.append(people.kwh)
            told = town.last(town.topics.outlook, tick)
            assert told.ahead == T - tick
            assert told.beyond == []
            price = columns.unpack(told.price).reshape(3, T - tick)
            assert price == pytest.approx(best.price[:, tick:], abs=1e-6)
            mine = np.isin(columns.unpack_index(told.store), people.members)
            assert columns.unpack(told.state_kwh)[mine] == pytest.approx(people.kwh, abs=1e-5)
            gain = columns.unpack(told.store_gain)
            assert (gain.size, gain.max()) == (mine.size, told.proof.store_gain)
    assert pytest.approx(best.trade_kw, abs=1e-5) == np.array(traded).T
    assert pytest.approx(best.state_kwh, abs=1e-5) == np.array(stored).T
    assert np.ptp(stored, axis=0).max() > 1.0, "batteries moved"
    assert np.min(stored) >= -1e-9
    assert (np.array(stored) <= people.room_kwh + 1e-9).all()


async def test_stores_of_one_member_that_are_worth_the_same_to_it_share_as_planned(town_of):
    """Prices leave open how a battery and work that can wait share; the trades of later intervals do not."""
    home = storing.Crowded
    async with town_of(horizon=T, home=home) as town:
        started(town)
        best = one_shot(town.rules, town.roster, home)
        people = town.services[world.HOST].portfolio
        traded = []
        for tick in range(T):
            await town.interval(tick)
            traded.append(town.trades(tick))
            told = town.last(town.topics.outlook, tick)
            assert (told.ahead, told.beyond) == (T - tick, [])
            mine = np.isin(columns.unpack_index(told.store), people.members)
            assert columns.unpack(told.state_kwh)[mine] == pytest.approx(people.kwh, abs=1e-5)
    assert pytest.approx(best.trade_kw, abs=1e-5) == np.array(traded).T
    assert people.kwh[people.is_work] == pytest.approx(people.room_kwh[people.is_work])


@pytest.mark.parametrize("answers", [True, False])
async def test_a_first_horizon_knows_what_flows_beside_the_market_and_no_limits(town_of, answers):
    async with town_of(horizon=T) as town:
        if not answers:
            town.feeder.model_ahead = lambda: None
        await town.interval(0)
        (asked,) = town.feeder.asked_ahead
        told = town.last(town.topics.outlook, 0)
        assert (told.ahead, told.beyond) == (T, [])
        net_kw = columns.unpack(told.net_kw).reshape(3, T)
        beside_kw = world.OFFSET_KW if answers else 0.0
        assert told.grid_kw == pytest.approx(beside_kw + world.BALANCE @ net_kw, abs=1e-9)
        assert (columns.unpack(told.voltage) == 0.0).all()
        everybody, _ = all_at_once(town.rules, town.roster)
        free = everybody.cost_linear <= 0.0
        expected_kw = everybody.demand_kw.mean(axis=1).sum() - everybody.max_kw[free].mean(axis=1).sum()
        assert sum(asked.net_kw) == pytest.approx(expected_kw)
        await town.interval(1)
        assert len(town.feeder.asked_ahead) > 1


async def test_rounds_of_bids_take_the_same_worth_of_energy(town_of):
    async with town_of(horizon=T, bidding="slope", rounds=9) as town:
        started(town)
        await town.interval(0)
        best = one_shot(town.rules, town.roster)
        assert town.trades(0) == pytest.approx(best.trade_kw[:, 0], abs=1e-4)


async def test_a_host_without_a_bid_goes_by_its_own_outlook_and_the_others_keep_their_horizon(town_of):
    async with town_of(horizon=T) as town:
        await town.stop("live")
        await town.interval(0)
        told = town.last(town.topics.outlook, 0)
        assert (told.ahead, told.beyond) == (T, [])
        assert told.proof is not None
        assert any("the horizon goes without live" in flag for flag in town.flags(0)["wam"])
        worth = columns.unpack_open(town.last(town.topics.energy_value(world.HOST), 0).value, 3)
        assert np.isfinite(worth).all()
        assert np.isfinite(town.trades(0)).all()


async def test_where_most_are_not_known_there_is_no_horizon(town_of):
    async with town_of(horizon=T) as town:
        await town.stop(world.HOST)
        await town.interval(0)
        told = town.last(town.topics.outlook, 0)
        assert (told.ahead, told.proof) == (0, None)
        assert f"no bid over it came from {world.HOST}" in told.notes[0]
        assert any("no horizon" in flag for flag in town.flags(0)["wam"])


async def test_a_host_whose_bid_is_refused_has_what_the_last_horizon_expects_of_it(town_of, monkeypatch):
    """Too many values in a column of the many: the few go by prices that know of them nevertheless."""
    async with town_of(horizon=T) as town:
        await town.interval(0)
        before = columns.unpack(town.last(town.topics.outlook, 0).price).reshape(3, T)
        made = bid_fields

        def too_long(prospect, members):
            fields = made(prospect, members)
            return fields | ({"demand_kw": bytes(24)} if members.size > 3 else {})

        monkeypatch.setattr("market.participants.prosumers.horizon_bidding.bid_fields", too_long)
        await town.interval(1)
        told = town.last(town.topics.outlook, 1)
        assert (told.ahead, told.beyond) == (T - 1, []), (told.notes, town.flags(1))
        price = columns.unpack(told.price).reshape(3, T - 1)
        assert price == pytest.approx(before[:, 1:], abs=1e-6)
        assert town.last(town.topics.energy_value(world.HOST), 1).value == b""
        flags = town.flags(1)["wam"]
        assert any("refused a message" in flag and "values where" in flag for flag in flags)
        assert any(f"goes without {world.HOST}" in flag for flag in flags)
        assert np.isfinite(town.trades(1)).all()


async def test_a_bid_over_too_many_intervals_is_cut(town_of, monkeypatch):
    async with town_of(horizon=3) as town:
        sound = storing.Storing.prospect
        monkeypatch.setattr(
            storing.Storing, "prospect", lambda self, tick, *_: sound(self, tick, T if tick == 0 else 3)
        )
        await town.interval(0)
        cut = town.last(town.topics.outlook, 0)
    async with town_of(horizon=3) as town:
        monkeypatch.setattr(storing.Storing, "prospect", sound)
        await town.interval(0)
        asked = town.last(town.topics.outlook, 0)
    assert (cut.ahead, cut.price, cut.notes) == (asked.ahead, asked.price, [])


FAULTS = {
    "a forecast with a hole": ({"demand_kw": np.nan}, "demand at 2 is not finite; give a forecast"),
    "a demand beyond its connection": ({"demand_kw": 1e5}, "demand at 2 is 100000 kW, beyond its conn"),
    "sun that is no number": ({"max_kw": np.inf}, "a resource's power or cost is not finite"),
    "a cost out of range": ({"cost_linear": 1e9}, "a resource's power or cost is not finite"),
    "a store that gains energy": (
        {"charge_efficiency": 1.2},
        "of its store: gains energy by charging and disch",
    ),
    "energy that is no number": ({"initial_kwh": np.nan}, "of its store: initial_kwh is not finite"),
    "energy out of range": ({"upper_kwh": 1e9}, "of its store: a value is beyond"),
    "a state outside its bounds": (
        {"initial_kwh": 9.0},
        "of its store: initial_kwh is above all of its bounds",
    ),
    "a worth that is no number": ({"end_value": np.nan}, "of its store: end_value is not finite"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_cannot_be_meant_costs_its_own_member_the_horizon_alone(town_of, monkeypatch, fault):
    """One member says nonsense of a later interval, its sun or its store: it bids by its own outlook."""
    columns_of, says = FAULTS[fault]
    sound = storing.Storing.prospect

    def prospect(self, *asked):
        made = sound(self, *asked)
        if self.members.size < 4:
            return made
        for name, value in columns_of.items():
            of = made.stores if hasattr(made.stores, name) else made
            column = getattr(of, name).copy()
            row = 0
            column[(row, 2) if column.ndim == 2 else row] = value
            if name == "charge_efficiency":
                column[row] = value
            if of is made:
                made = replace(made, **{name: column})
            else:
                made = replace(made, stores=replace(of, **{name: column}))
        return made

    monkeypatch.setattr(storing.Storing, "prospect", prospect)
    async with town_of(horizon=T) as town:
        started(town)
        await town.interval(0)
        told = town.last(town.topics.outlook, 0)
        assert (told.ahead, told.beyond) == (T, [])
        assert "has no horizon" in told.notes[0]
        assert says in told.notes[0]
        assert told.notes[0] in town.flags(0)["wam"]
        stores = town.services[world.HOST].portfolio.owner
        worth = columns.unpack_open(town.last(town.topics.energy_value(world.HOST), 0).value, stores.size)
        name = told.notes[0].split(" ", 1)[0]
        its = world.NAMES.index(name) == town.roster.hosts[world.HOST][stores]
        assert (np.isinf(worth) == its).all()
        assert np.isfinite(town.trades(0)).all()


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        (("battery", "vehicle"), "of its vehicle: end_value is not finite"),
        (("vehicle", "vehicle"), "of its vehicle 2: end_value is not finite"),
    ],
)
async def test_a_fault_names_which_of_a_members_stores_has_it(town_of, monkeypatch, kinds, said):
    sound = storing.Crowded.prospect

    def prospect(self, *asked):
        made = sound(self, *asked)
        end_value = made.stores.end_value.copy()
        end_value[1:2] = np.nan
        return replace(
            made, stores=replace(made.stores, end_value=end_value), kind=kinds * (len(made.stores) // 2)
        )

    monkeypatch.setattr(storing.Crowded, "prospect", prospect)
    async with town_of(horizon=T, home=storing.Crowded) as town:
        started(town)
        await town.interval(0)
        told = town.last(town.topics.outlook, 0)
        assert told.ahead == T
        assert said in told.notes[0]


async def test_a_horizon_that_lacks_the_feeders_limits_is_said_to(town_of):
    async with town_of(horizon=T) as town:
        started(town)
        town.services["wam"].horizon.take_model(feeder(lowest_pu=1.5))
        await town.interval(0)
        told = town.last(town.topics.outlook, 0)
        assert told.ahead == T
        assert "without the feeder's limits" in told.notes[0]
        assert told.beyond == []


async def test_what_it_remembers_survives_its_process(town_of):
    async with town_of(horizon=T) as town:
        started(town)
        for tick in range(2):
            await town.interval(tick)
        kept = await town.services["wam"].snapshot()
        people = await town.services[world.HOST].snapshot()
        await town.interval(2)
        once = town.trades(2)
        price = town.last(town.topics.outlook, 2).price
    async with town_of(horizon=T) as again:
        started(again)
        await again.services["wam"].restore(kept)
        again.services[world.HOST].portfolio.restore(people)
        await again.interval(2)
        assert again.last(again.topics.outlook, 2).price == price
        assert (again.trades(2) == once).all()


async def test_a_clearing_that_comes_too_late_is_waited_for_and_never_doubled(town_of):
    async with town_of(horizon=T) as town:
        started(town)
        horizon = town.services["wam"].horizon
        under_way = 0

        async def slow(work, *arguments):
            nonlocal under_way
            under_way += 1
            assert under_way == 1, "one at a time"
            await asyncio.sleep(70.0)
            under_way -= 1
            return work(*arguments)

        horizon.work = slow
        await town.interval(0)
        assert "took too long" in town.last(town.topics.outlook, 0).notes[0]
        await town.interval(1)
        told = town.last(town.topics.outlook, 1)
        assert told.ahead == 0, "the first one took half of the time, and the second as long"
        horizon.work = at_once
        await asyncio.sleep(100.0)
        await town.interval(2)
        told = town.last(town.topics.outlook, 2)
        assert told.ahead == T - 2


@pytest.mark.parametrize(("part", "ahead"), [(0.65, T), (0.72, 0)])
async def test_a_clearing_is_waited_for_as_long_as_hosts_wait_for_it(town_of, part, ahead):
    async with town_of(horizon=T) as town:
        started(town)

        async def slow(work, *arguments):
            await asyncio.sleep(part * WINDOW_S)
            return work(*arguments)

        town.services["wam"].horizon.work = slow
        await town.interval(0)
        await asyncio.sleep(WINDOW_S)  # The certificate takes as long.
        assert town.last(town.topics.outlook, 0).ahead == ahead
        told = [flag for flags in town.flags(0).values() for flag in flags]
        # All know of it, or nobody does.
        assert any("heard of no horizon" in flag for flag in told) == (ahead == 0)
        assert any("took too long" in flag for flag in told) == (ahead == 0)


def test_a_members_stores_are_all_behind_its_own_meter():
    town_rules, roster = storing.rules(T), world.roster({"lams": [0, 1, 2]})
    people, live = (storing.Storing(each) for each in (roster.hosts[world.HOST], roster.live_members))
    one = people.prospect(0, T)
    doubled = replace(one, stores=joined_stores([one.stores, one.stores]))
    bids = {world.HOST: (people.members, doubled), "live": (live.members, live.prospect(0, T))}
    expected = [town_rules.horizon.expected(0, t) for t in range(T)]
    joined = join_bids(roster, bids)
    case = horizon_case(town_rules, joined.prospect, [feeder()] * T, expected, world.DT_H)
    owned = roster.hosts[world.HOST][people.owner]
    assert case.first.prosumer_id == world.NAMES
    assert (np.bincount(case.stores.owner)[owned] == 2).all()
    assert joined.stores_of[world.HOST].size == 2 * people.owner.size
    outcome = clear_horizon(case)
    kept = replace(case, stores=within_reach(case.stores, case.hours)[0])
    assert beyond_tolerance(certify_horizon(kept, outcome.claim(kept)), kept) == []


def test_a_bid_keeps_its_numbers_and_says_them_once_where_they_stay():
    people = storing.Storing(np.flatnonzero(~world.LIVE))
    prospect = people.prospect(0, T)
    fields = bid_fields(prospect, people.members)
    assert len(fields["charge_kw"]) == 8 * people.owner.size
    assert len(fields["demand_kw"]) == 8 * T * people.members.size
    bid = HorizonBid(run="r", tick=0, sender=world.HOST, seq=0, **fields)
    again = read_bid(decode(encode(bid)), people.members, T)
    assert (again.demand_kw == prospect.demand_kw).all()
    assert (again.max_kw == prospect.max_kw).all()
    for name, column in vars(prospect.stores).items():
        if name not in ("lower_kwh", "upper_kwh"):
            assert (getattr(again.stores, name) == column).all()
    assert (again.stores.upper_kwh[:, 1:] == prospect.stores.upper_kwh[:, 1:]).all()
    short = read_bid(bid, people.members, 2)
    assert (short.demand_kw == prospect.demand_kw[:, :2]).all()
    assert (short.stores.upper_kwh[:, 1:] == prospect.stores.upper_kwh[:, 1:3]).all()
    with pytest.raises(ValueError, match="its own prosumers"):
        read_bid(bid, people.members[:-1], T)
    cut = msgspec.structs.replace(bid, demand_kw=bid.demand_kw[:-8])
    with pytest.raises(ValueError, match="values where"):
        read_bid(cut, people.members, T)


async def test_intervals_to_come_are_cleared_over_models_of_their_own(town_of):
    async with town_of(horizon=T) as town:
        started(town)
        await town.interval(0)
        assert town.feeder.asked_ahead == [], "nothing is known of where they will be"
        expected = columns.unpack(town.last(town.topics.outlook, 0).net_kw).reshape(3, T)
        town.feeder.model_ahead = lambda: feeder(lowest_pu=LEAST_PU + 0.004)
        await town.interval(1)
        asked = town.feeder.asked_ahead
        assert [request.place for request in asked] == list(range(T - 2))
        assert [request.net_kw for request in asked] == [pytest.approx(expected[:, t]) for t in range(2, T)]
        told = town.last(town.topics.outlook, 1)
        assert told.beyond == []
        voltage = np.abs(columns.unpack(told.voltage).reshape(3, T - 1)).max(axis=0)
        assert voltage[1:].max() > 0.0


async def test_the_last_model_stands_for_intervals_that_the_feeder_says_nothing_of(town_of):
    async with town_of(horizon=T) as town:
        started(town)
        town.feeder.model_ahead = lambda: None
        for tick in range(2):
            await town.interval(tick)
        told = town.last(town.topics.outlook, 1)
        assert told.ahead == T - 1
        note = told.notes[-1]
        assert f"the feeder's last model stands for {T - 2} intervals" in note
        assert note in town.flags(1)["wam"]
        assert told.beyond == []


def test_reactive_power_of_intervals_to_come_follows_the_loads():
    people = storing.Storing(np.flatnonzero(~world.LIVE))
    prospect = people.prospect(0, T)
    lam_of = world.LAM_OF[people.members]
    near = [Near(np.zeros(3), np.full(3, float(t)), None) for t in range(T)]
    blocks = blocks_of(0, prospect, lam_of, near, np.array([1.0, 2.0, 0.0]))
    assert [(block.first, block.end) for block in blocks] == [(t, t + 1) for t in range(1, T)]
    demand = np.stack([np.bincount(lam_of, column, minlength=3) for column in prospect.demand_kw.T], axis=1)
    for block in blocks:
        ratio = demand[:, block.first] / demand[:, 0]
        assert block.reactive_kvar == pytest.approx(np.array([1.0, 2.0, 0.0]) * ratio)
        assert (block.net_kw == block.first).all()
        assert (block.low_kw <= demand[:, block.first]).all()
        assert (block.high_kw >= demand[:, block.first]).all()
    many = replace(prospect, demand_kw=np.tile(prospect.demand_kw, 10), max_kw=np.tile(prospect.max_kw, 10))
    wide = {name: np.tile(getattr(prospect.stores, name), 10) for name in ("charge_kw", "discharge_kw")}
    many = replace(many, stores=replace(prospect.stores, **wide))
    for tick in range(6):
        long = blocks_of(tick, many, lam_of, near * 10, np.ones(3))
        assert len(long) <= BLOCKS + 1
        assert (long[0].first, long[-1].end) == (1, 10 * T)
        assert all(one.end == after.first for one, after in pairwise(long))
        assert all((tick + one.end) % 5 == 0 for one in long[:-1]), "at the same times at every tick"
