"""The pool by members' answers alone, and from a proximal step to the solution itself."""

from dataclasses import replace

import numpy as np
import pytest

import market.solver.pool_limits
import market.solver.watched
from benchmarks.cases import radial_case
from cosim.market_studies.cases import by_quantity
from market.analysis.certify_outcome import certify_outcome
from market.analysis.tolerance import exceeds
from market.model.curves import answer
from market.model.response import supply_curves
from market.solver.clearing import clear, pool_members
from market.solver.followed import Followed
from market.solver.free_pool import FreePool
from market.solver.pool_answers import PoolAnswers
from market.solver.wam import clear_wam
from tests.market.quantity import quantity_case

JUMPING = (27, 37, 50, 64, 121, 123, 159, 165, 181, 470, 557)
"""Cases whose flows jump at a price of the utility where rows bind; no row feels the jump of the last two."""


def members_of(case):
    return pool_members(case, supply_curves(case.demand_kw, case.resources))


def same(one, other):
    """Whether two clearings agree in all that is unique."""
    np.testing.assert_allclose(one.wam.price, other.wam.price, atol=1e-9)
    np.testing.assert_allclose(one.trade_kw, other.trade_kw, atol=1e-7)
    np.testing.assert_allclose(one.wam.net_kw, other.wam.net_kw, atol=1e-7)


def test_one_price_balances_a_pool_as_summed_curves_have_it():
    found = 0
    for seed in range(120):
        case = quantity_case(seed, rows=0)
        members = members_of(case)
        charge = np.random.default_rng(seed).uniform(-0.02, 0.02, members.lams)
        exact = PoolAnswers(members, members.supply, np.zeros(members.lams))
        point = FreePool(members, exact).at(charge, 1e-12)
        grid = replace(
            case.grid,
            import_price=case.tariff.retail,
            export_price=case.tariff.feed_in,
            import_limit_kw=0.0,
            export_limit_kw=0.0,
        )
        curves = members.charged(charge).over_pool_price()
        summed = clear_wam(curves, None, grid, np.ones(members.lams), 0.0)
        if point is None:
            continue
        found += 1
        assert point.price == pytest.approx(summed.energy_price, abs=1e-10)
        np.testing.assert_allclose(point.net_kw, summed.net_kw, atol=1e-9)
        expected = members.charged(charge).at(point.price + charge + members.lam_slope * point.net_kw)
        np.testing.assert_allclose(point.member_kw, expected.flow_kw, atol=1e-9)
        assert abs(point.net_kw.sum()) < 1e-11
    assert found > 80


def test_a_range_of_prices_is_left_to_summed_curves():
    """Members without any choice share nothing at any price: there is none to be found."""
    case = quantity_case(3, rows=0)
    none = 0.0 * case.resources.min_kw
    fixed = replace(
        case, demand_kw=0.0 * case.demand_kw, resources=replace(case.resources, min_kw=none, max_kw=none)
    )
    members = members_of(fixed)
    exact = PoolAnswers(members, members.supply, np.zeros(members.lams))
    assert FreePool(members, exact).at(np.zeros(members.lams), 1e-12) is None
    outcome = clear(fixed)
    assert exceeds(certify_outcome(fixed, outcome), fixed) == []


@pytest.mark.parametrize("seed", JUMPING)
def test_the_solution_is_that_of_proximal_steps(seed, monkeypatch):
    case = quantity_case(seed)
    outcome = clear(case)
    assert exceeds(certify_outcome(case, outcome), case) == []
    monkeypatch.setattr(market.solver.pool_limits, "exact_point", lambda *_: None)
    same(outcome, clear(case))


def test_a_step_that_is_near_ends_on_the_solution(monkeypatch):
    """Most cases end after one proximal step, where there were four or five."""
    ended, asked = 0, 0
    exact_point = market.solver.pool_limits.exact_point

    def counted(*arguments):
        nonlocal ended, asked
        found = exact_point(*arguments)
        ended, asked = ended + (found is not None), asked + 1
        return found

    monkeypatch.setattr(market.solver.pool_limits, "exact_point", counted)
    for seed in range(100):
        clear(quantity_case(seed))
    assert ended > 20
    assert asked < 1.3 * ended


def test_rows_that_are_missed_are_taken_in(monkeypatch):
    case = radial_case(300, 12, 80, seed=2)
    case = by_quantity(case, case.grid.import_price - case.grid.export_price)
    all_at_once = clear(case)
    assert np.count_nonzero(all_at_once.wam.row_dual) > 3
    monkeypatch.setattr(market.solver.watched, "FIRST", 1)
    few = clear(case)
    same(few, all_at_once)
    assert exceeds(certify_outcome(case, few), case) == []


def test_curves_are_followed_from_where_others_were_asked():
    rng = np.random.default_rng(5)
    supply = members_of(radial_case(60, 4, 8, seed=3)).supply
    before = Followed(supply)
    before.at(rng.uniform(-0.1, 0.5, len(supply)))
    like = Followed(supply, before)
    for _ in range(20):
        price = rng.uniform(-0.1, 0.5, len(supply))
        kw, slope = like.at(price)
        expected_kw, expected_slope = answer(supply, price)
        np.testing.assert_allclose(kw, expected_kw, atol=1e-12)
        np.testing.assert_allclose(slope, expected_slope, rtol=1e-12)
