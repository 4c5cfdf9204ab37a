"""The operator's own problem: the bound is below, the search above, what trying all prices finds."""

from dataclasses import replace

import numpy as np
import pytest

from market.bilevel.lam_cost import lam_costs
from market.bilevel.operator import operator_problem
from market.model.curves import respond
from market.model.inverse import price_range
from market.model.response import disaggregate, supply_curves
from market.solver.clearing import clear, pool_members
from tests.market.quantity import quantity_case

TRIED = 400


def two_lams(seed):
    """A case of two LAMs without losses and rows."""
    while len((case := quantity_case(seed, rows=0, losses=False, anchor="price")).lam_id) != 2:
        seed += 1000
    return case


def costs_of(case):
    supply = supply_curves(case.demand_kw, case.resources)
    members = pool_members(case, supply)
    return supply, members, lam_costs(case, supply, members)


def true_cost(case, supply, members, price):
    """Members' cost of each LAM at local prices, member by member ``(M,)`` [$/h]."""
    charged = members.charged(np.zeros(members.lams))
    trade = respond(charged.trades, price[members.lam_of])
    flow = charged.flows(trade)
    own = case.resources.cost(disaggregate(supply, flow))
    by_member = np.bincount(case.resources.owner, own, minlength=flow.size)
    return members.sums(by_member + case.tariff.bill(flow - trade)), members.sums(trade)


@pytest.mark.parametrize("seed", range(20))
def test_costs_on_pieces_are_those_of_the_members(seed):
    case = two_lams(seed)
    supply, members, costs = costs_of(case)
    for price in np.linspace(case.tariff.feed_in, case.tariff.retail, 23)[1:-1]:
        at = np.full(2, price)
        piece = costs.piece_at(at)
        cost, net_kw = true_cost(case, supply, members, at)
        assert costs.cost(piece, at) == pytest.approx(cost.sum(), abs=1e-9)
        np.testing.assert_allclose(costs.net_kw[piece] - costs.net_fall[piece] * at, net_kw, atol=1e-9)


def least_by_trying(case):
    """Least cost over prices of the first LAM, the second one's such that shared energy balances."""
    supply, members, _ = costs_of(case)
    total = members.charged(np.zeros(2)).total
    best = np.inf
    for price in np.linspace(case.tariff.feed_in, case.tariff.retail, TRIED):
        own = true_cost(case, supply, members, np.full(2, price))[1]
        low, high = price_range(total, np.array([own[0], -own[0]]))
        inside = (low[1] <= case.tariff.retail) & (high[1] >= case.tariff.feed_in)
        if not inside or not total.lowest_kw[1] <= -own[0] <= total.highest_kw[1]:
            continue
        other = min(max(low[1], case.tariff.feed_in), case.tariff.retail)
        at = np.array([price, other])
        cost, net_kw = true_cost(case, supply, members, at)
        if abs(net_kw.sum()) < 1e-9:
            best = min(best, float(cost.sum()))
    return best


@pytest.mark.parametrize("seed", range(12))
def test_the_bound_is_below_and_the_search_above_a_brute_search(seed):
    case = two_lams(seed)
    outcome = clear(case)
    found = operator_problem(case, outcome)
    tried = least_by_trying(case)
    assert found.best_known is not None
    assert found.bound <= found.best_known + 1e-9
    assert found.best_known <= found.cost + 1e-9
    assert found.bound <= tried + 1e-9


def test_what_the_operator_could_gain_falls_as_lams_grow():
    def gain(members):
        rng = np.random.default_rng(3)
        case = quantity_case(3, rows=0, losses=False, anchor="price")
        n = 2 * members
        resources = case.resources
        size = 2 * n
        grown = replace(
            case,
            prosumer_id=tuple(f"p{j}" for j in range(n)),
            lam_id=("a", "b"),
            lam_of=np.arange(n) % 2,
            demand_kw=rng.uniform(-3.0, 5.0, n),
            resources=replace(
                resources,
                owner=np.arange(size) % n,
                min_kw=np.zeros(size),
                max_kw=rng.uniform(0.5, 3.0, size),
                cost_linear=rng.uniform(0.0, 0.35, size),
                cost_quadratic=rng.uniform(0.02, 0.2, size),
            ),
            balance=np.ones(2),
            sensitivity=np.full(2, np.nan),
            fee=np.zeros(2),
            wam_fee=np.zeros(2),
            rule=replace(case.rule, price_slope=np.full(2, 0.08 / members)),
        )
        found = operator_problem(grown, clear(grown))
        return found.most_gain / abs(found.cost)

    assert gain(48) < 0.2 * gain(4)
