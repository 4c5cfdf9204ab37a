"""A town whose members choose how much they share: the pool, the utility's leg, and who falls silent."""

from dataclasses import replace

import numpy as np
import pytest

from broker.messages import columns
from cosim.results.entries import KINDS, UTILITY, account_names
from market.model.response import supply_curves
from market.solver.clearing import clear, pool_members
from tests.market.participants import stand_ins, world
from tests.market.participants.pool import assert_exact_pool


@pytest.fixture
async def pool_town(town_of):
    async with town_of(quantity=True) as town:
        yield town


def told_of(town, tick, host="lams"):
    return town.last(town.topics.lam_outcome(host), tick)


def booked(town, tick, kind):
    """What each account got by one kind of entry [$]."""
    booking = town.clerk.bookings[tick]
    names = account_names(world.NAMES, world.LAMS)
    mine = booking.kind == kind
    sums = np.bincount(booking.account[mine], booking.micro[mine], minlength=len(names)) / 1e6
    return dict(zip(names, sums, strict=True))


@pytest.mark.parametrize("tick", [0, 1])
async def test_what_is_cleared_is_the_exact_pool(pool_town, tick):
    for each in range(tick + 1):
        await pool_town.interval(each)
    assert_exact_pool(pool_town, tick, atol=1e-7)


async def test_meters_show_what_is_shared_and_bought_together(pool_town):
    interval = await pool_town.interval(0)
    drawn = interval.allocation.trade_kw + interval.allocation.utility_kw
    np.testing.assert_allclose(interval.metered_kwh, drawn * world.DT_H, rtol=0, atol=1e-9)


async def test_the_ledger_has_the_utility_s_leg(pool_town):
    await pool_town.interval(0)
    wanted, case = clear(world.by_quantity(world.case(0))), world.by_quantity(world.case(0))
    paid = booked(pool_town, 0, UTILITY)
    due = -case.tariff.bill(wanted.utility_kw) * world.DT_H
    np.testing.assert_allclose([paid[f"prosumer/{name}"] for name in world.NAMES], due, atol=1e-6)
    assert paid["utility"] == pytest.approx(-due.sum(), abs=1e-5)
    # The utility pays the grid, and has the losses paid by what flows.
    grid = booked(pool_town, 0, KINDS.index("grid"))
    assert grid["grid"] == pytest.approx(case.grid.cost(wanted.wam.grid_kw) * world.DT_H, abs=1e-6)
    assert grid["utility"] == -grid["grid"]
    losses = (case.balance - 1.0) @ wanted.wam.flow_kw * wanted.wam.energy_price
    wholesale = booked(pool_town, 0, KINDS.index("wholesale"))
    assert wholesale["utility"] == pytest.approx(losses * world.DT_H, abs=1e-6)
    rent = wanted.wam.row_dual @ (world.NETWORK.lower - world.NETWORK.base)
    assert wholesale["wam"] == pytest.approx(rent * world.DT_H, abs=1e-6)
    booking = pool_town.clerk.bookings[0]
    assert [int(booking.micro[booking.kind == kind].sum()) for kind in range(len(KINDS))] == [0] * len(KINDS)


async def test_without_the_wam_lams_share_within_and_leave_the_rest_to_the_utility(pool_town):
    await pool_town.stop("wam")
    await pool_town.interval(0)
    told = told_of(pool_town, 0)
    assert told.alone
    assert columns.unpack(told.net_kw).tolist() == [0.0, 0.0, 0.0]
    net_kw = np.bincount(world.LAM_OF, pool_town.trades(0), minlength=3)
    np.testing.assert_allclose(net_kw, 0.0, atol=1e-9)
    assert np.abs(columns.unpack(told.utility_kw)).max() > 0.1


async def test_a_silent_operator_s_lams_flow_as_last_metered_and_share_nothing(town_of):
    async with town_of(lam_hosts={"north": [0], "south": [1, 2]}, quantity=True) as town:
        await town.interval(0)
        metered_kw = np.bincount(world.LAM_OF, town.clerk.intervals[0].metered_kwh / world.DT_H, minlength=3)
        await town.stop("south")
        await town.interval(1)
        outcome = town.outcome(1)
        assert outcome.status == "confirmed"
        assert outcome.fallbacks == ["B", "C"]
        np.testing.assert_allclose(outcome.net_kw, 0.0, atol=1e-9)
        np.testing.assert_allclose(outcome.flow_kw[1:], metered_kw[1:], atol=1e-9)


async def test_where_a_limit_cannot_be_kept_flows_come_as_near_as_they_can(pool_town):
    await pool_town.interval(0)
    impossible = replace(world.NETWORK, lower=np.array([2.0, -100.0]), upper=np.array([3.0, 100.0]))
    pool_town.feeder.temper = lambda reply: reply | {"model": stand_ins.model(impossible), "confirmed": False}
    await pool_town.interval(1)
    outcome = pool_town.outcome(1)
    assert pool_town.flags(1)["wam"][0].startswith("clearing of round 1: no trade keeps the lower limit of ")
    ((name, by),) = zip(outcome.relaxed_name, outcome.relaxed_by, strict=True)
    case = world.by_quantity(world.case(1))
    members = pool_members(case, supply_curves(case.demand_kw, case.resources))
    row = impossible.matrix[impossible.name.index(name)]
    ends = members.flow_range
    best = np.where(row > 0, ends.highest_kw, ends.lowest_kw)
    value = impossible.base[0] + row @ best
    # They give way by little more than what the best flows miss, and what flows keeps to that.
    assert -by == pytest.approx(2.0 - value, rel=2e-3)
    assert impossible.base[0] + row @ np.array(outcome.flow_kw) >= 2.0 + by - 1e-6
    (audit,) = pool_town.said(pool_town.topics.audit, 1)
    assert audit.certificate is not None
    assert audit.beyond == []


async def test_without_the_feeder_lams_share_within_at_held_prices(pool_town):
    await pool_town.interval(0)
    await pool_town.stop("feeder")
    await pool_town.interval(1)
    outcome = pool_town.outcome(1)
    assert outcome.status == "held"
    assert outcome.net_kw == [0.0, 0.0, 0.0]
    told = columns.unpack(told_of(pool_town, 1).utility_kw)
    flow = np.bincount(world.LAM_OF, pool_town.trades(1) + told, minlength=3)
    np.testing.assert_allclose(flow, outcome.flow_kw, atol=1e-6)
