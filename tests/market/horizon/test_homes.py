"""Best replies of members with several stores to a path of prices."""

from dataclasses import replace

import numpy as np
import pytest

from market.horizon.home_centres import centre_homes, off_centre, recentre
from market.horizon.homes import homes_reply
from market.horizon.linear import factor
from market.horizon.members import Members
from market.horizon.replies import PlanColumns
from market.horizon.stores import within_reach
from tests.market.horizon.own_program import best_cost
from tests.market.horizon.town import town, with_more_stores

T = 6


def homes(seed):
    """Members of a town of one LAM that have several stores, what they face, and the case."""
    case = with_more_stores(town(seed, T=T, lams=1, members=5), seed)
    case = replace(case, stores=within_reach(case.stores, case.hours)[0])
    members = Members(case)
    mine, terms = members.of_lam(0, np.zeros(T))
    assert mine.several.size > 1
    return case, members, mine, terms


def answer(case, mine, terms, price, which=None):
    """Plans and fall at a path of prices, of all of the homes or some, and how far they are off."""
    terms.price[:] = price
    plans = PlanColumns(*(np.zeros((len(case.stores), T)) for _ in range(5)))
    fall = np.zeros((T, T))
    some = mine.several if which is None else np.array(which)
    missed = homes_reply(some, mine.homes, terms, case.hours, mine.columns, plans, fall)
    return plans, fall, missed


def recentred(mine, plans):
    """The most that moving all centres to plans' powers changes a price."""
    moved = 0.0
    for home in mine.several:
        moved = max(moved, off_centre(home, mine.homes, plans))
        recentre(home, mine.homes, plans)
    return moved


@pytest.mark.parametrize("seed", range(8))
def test_the_reply_is_the_best_of_all_plans_of_a_home(seed):
    case, members, mine, terms = homes(seed)
    price = np.random.default_rng(seed).uniform(0.1, 0.35, T)
    for part in (0.1, 0.01, *(1e-3,) * 12):
        members.tie(part)
        plans, _, missed = answer(case, mine, terms, price)
        assert missed == 0.0
        moved = recentred(mine, plans)
    assert moved < 1e-9
    are_best(case, mine, terms, price, plans)


@pytest.mark.parametrize("seed", range(16))
def test_each_home_moves_its_own_centres_until_its_plans_are_the_best(seed):
    case, members, mine, terms = homes(seed)
    price = np.random.default_rng(seed).uniform(0.1, 0.35, T)
    members.tie(0.1)
    plans, _, _ = answer(case, mine, terms, price)
    centre_homes(mine.several, mine.homes, terms, case.hours, mine.columns, plans, 0.0, 1e-10, 30)
    plans, _, missed = answer(case, mine, terms, price)
    assert missed == 0.0
    assert recentred(mine, plans) <= 1e-10
    are_best(case, mine, terms, price, plans)


def test_centres_that_are_near_enough_stay_where_they_are():
    case, members, mine, terms = homes(0)
    members.tie(0.1)
    plans, _, _ = answer(case, mine, terms, np.full(T, 0.2))
    centre, slope = mine.homes.centre_kw.copy(), mine.homes.slope.copy()
    terms.price[:] = 0.2
    assert centre_homes(mine.several, mine.homes, terms, case.hours, mine.columns, plans, 0.0, 1.0, 30) == 0.0
    assert (mine.homes.centre_kw == centre).all()
    assert (mine.homes.slope == slope).all()


def are_best(case, mine, terms, price, plans):
    """Whether each home's plans cost no more than the best of all."""
    stores = case.stores
    for home in mine.several:
        of = mine.homes.store[mine.homes.first[home] : mine.homes.first[home + 1]]
        member = stores.owner[of[0]]
        trade = plans.trade_kw[of].sum(axis=0)
        rate = stores.wear(plans.power_kw)[of].sum()
        rate += (price * trade + terms.fee * np.abs(trade) + 0.5 * terms.slope * trade**2).sum()
        for t, one in enumerate(case.intervals):
            without = np.zeros(one.demand_kw.size)
            without[member] = trade[t] + plans.power_kw[of, t].sum()
            rate += own_cost(one, member, without[member])
        cost = case.hours * rate - stores.end_value[of] @ plans.state_kwh[of, -1]
        least = np.where(np.isfinite(stores.least_value[of]), stores.least_value[of], 0.0)
        cost -= (least * plans.spilled_kwh[of]).sum()
        best = best_cost(case, member, price, terms.fee, terms.slope)
        assert cost == pytest.approx(best, abs=1e-7)


def own_cost(one, member, drawn_kw):
    """Least cost of a member's resources that make up what it does not draw [$/h]."""
    mine = one.resources.owner == member
    need = one.demand_kw[member] - drawn_kw
    free, priced = one.resources.max_kw[mine]
    shed = need - free
    linear, quadratic = one.resources.cost_linear[mine][1], one.resources.cost_quadratic[mine][1]
    assert shed <= priced + 1e-8
    assert need >= -1e-8
    used = max(shed, 0.0)
    return linear * used + 0.5 * quadratic * used**2


@pytest.mark.parametrize("seed", range(8))
def test_trades_fall_with_prices_as_told(seed):
    case, members, mine, terms = homes(seed)
    rng = np.random.default_rng([seed, 1])
    price = rng.uniform(0.1, 0.35, T)
    members.tie(0.01)
    for _ in range(4):
        plans, _, _ = answer(case, mine, terms, price)
        recentred(mine, plans)
    _, fall, _ = answer(case, mine, terms, price)
    assert fall == pytest.approx(fall.T, abs=1e-9 * np.abs(fall).max())
    assert np.linalg.eigvalsh(fall).min() >= -1e-8 * np.abs(fall).max()
    step = 1e-7
    told = 0
    for t in range(T):
        sides = []
        for by in (step, -step):
            other = price.copy()
            other[t] += by
            plans, there, _ = answer(case, mine, terms, other)
            sides.append((plans.trade_kw.sum(axis=0), there))
        (above, at_above), (below, at_below) = sides
        if np.allclose(at_above, at_below, atol=1e-6 * np.abs(fall).max()):
            told += 1
            assert (below - above) / (2 * step) == pytest.approx(fall[t], abs=1e-5 * np.abs(fall).max())
    assert told >= T // 2


def test_a_home_that_can_do_nothing_holds_up_nobody():
    case, members, mine, terms = homes(0)
    home = int(mine.several[0])
    of = mine.homes.store[mine.homes.first[home] : mine.homes.first[home + 1]]
    still = {name: getattr(case.stores, name).copy() for name in ("charge_kw", "discharge_kw", "lower_kwh")}
    for column in still.values():
        column[of] = 0.0
    case = replace(case, stores=replace(case.stores, **still))
    members = Members(replace(case, stores=within_reach(case.stores, case.hours)[0]))
    mine, terms = members.of_lam(0, np.zeros(T))
    members.tie(1e-4)
    plans, _, missed = answer(case, mine, terms, np.full(T, 0.2))
    assert missed == 0.0
    assert not plans.power_kw[of].any()


def test_a_matrix_is_factored():
    rng = np.random.default_rng(4)
    half = rng.normal(size=(7, 5))
    whole = half.T @ half + 0.1 * np.eye(5)
    made = whole.copy()
    factor(made)
    assert np.tril(made) @ np.tril(made).T == pytest.approx(whole, abs=1e-12)


@pytest.mark.parametrize("price", [np.nan, np.inf, -np.inf])
def test_prices_that_are_not_finite_write_nothing_beyond_the_room_for_them(price):
    case, members, mine, terms = homes(1)
    members.tie(0.01)
    some = np.full(T, 0.2)
    some[2] = price
    for path in (np.full(T, price), some):
        plans, _, _ = answer(case, mine, terms, path)
        centre_homes(mine.several, mine.homes, terms, case.hours, mine.columns, plans, 0.0, 1e-9, 30)
    assert plans.power_kw.shape == (len(case.stores), T)
