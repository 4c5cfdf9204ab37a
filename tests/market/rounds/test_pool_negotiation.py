"""Rounds of plain and slope bids with the utility behind each member: the exact pool, limits and losses."""

import numpy as np
import pytest

from market.analysis.certify_outcome import certify_outcome
from market.analysis.tolerance import exceeds
from market.errors import NotConverged
from market.methods import solve
from market.model.case import Tariff
from market.model.curve_checks import find_faults
from market.model.curves import from_points
from market.model.response import supply_curves
from market.rounds import FlowBeliefs, FlowResponse, negotiate_pool
from market.rounds.flows import SAME_PRICE, price_without_utility
from market.solver.clearing import clear, pool_members
from tests.market.quantity import quantity_case

FORMS = ("plain", "slope")
SEEDS = [*range(10), 27, 37, 50, 64, 121, 123, 159, 165, 181]
"""The last nine have flows that jump at a price of the utility, and rows that bind there."""


@pytest.mark.parametrize("form", FORMS)
def test_rounds_come_to_the_exact_pool(form):
    binding = 0
    for seed in SEEDS:
        case = quantity_case(seed)
        exact, found = clear(case), solve(case, form)
        assert exceeds(certify_outcome(case, found.outcome), case) == [], f"seed {seed}"
        np.testing.assert_allclose(found.outcome.trade_kw, exact.trade_kw, atol=5e-5)
        assert found.tally.wam <= 40
        binding += np.count_nonzero(exact.wam.row_dual)
    assert binding > 8


def test_slope_bids_take_fewer_rounds_than_plain_ones():
    rounds = {form: sum(solve(quantity_case(seed), form).tally.wam for seed in range(10)) for form in FORMS}
    assert rounds["slope"] < rounds["plain"]


def test_a_bound_on_rounds_is_told():
    case = quantity_case(3)
    members = pool_members(case, supply_curves(case.demand_kw, case.resources))
    with pytest.raises(NotConverged, match="not converged after 1 "):
        negotiate_pool(case, "plain", FlowResponse(members.inner, case.slope[case.lam_of]), rounds=1)


def test_members_answer_what_clears_them():
    """Flows by (7.4), at the prices that a clearing came to; and each tells a point of the bid itself."""
    for seed in range(40):
        case = quantity_case(seed)
        outcome = clear(case)
        members = pool_members(case, supply_curves(case.demand_kw, case.resources))
        slope = case.slope[case.lam_of]
        response = FlowResponse(members.inner, slope)
        price, charge = outcome.price[case.lam_of], outcome.wam.charge[case.lam_of] + 1e-5
        flow_kw, _ = response.at(price, charge, case.tariff)
        expected = members.charged(outcome.wam.charge + 1e-5).at(outcome.price)
        np.testing.assert_allclose(flow_kw, expected.flow_kw, atol=1e-9)
        at = price_without_utility(flow_kw, price, charge, slope, case.tariff)
        inner = FlowResponse(members.inner, slope).at(at, charge * 0.0, Tariff(1e3, -1e3))[0]
        np.testing.assert_allclose(inner, flow_kw, atol=1e-6)


def test_two_answers_beside_a_jump_tell_of_all_flows_within():
    slope, tariff = np.array([0.01]), Tariff(0.30, 0.06)
    # Its flow jumps from 4 to -2 kW at a marginal value of 0.06, which is what the utility pays.
    bid = from_points([(np.array([0.02, 0.08]), np.array([4.0, -2.0]))])
    response = FlowResponse(bid, slope)
    beliefs = FlowBeliefs("plain", slope, np.array([-2.0]), np.array([4.0]), np.array([0.18]))
    price, who, within, told = np.array([0.01]), np.array([0]), np.array([1.0]), []
    for aside in (0.2 * SAME_PRICE, -0.2 * SAME_PRICE):
        assert not beliefs.agree(within, price, np.zeros(1), tariff, 1e-6)[0]
        flow_kw, fall = response.at(price, np.array([aside]), tariff)
        beliefs.learn(who, price, np.array([aside]), flow_kw, fall, tariff)
        told.append(float(flow_kw[0]))
    assert told == pytest.approx([-2.0, 4.0])
    assert beliefs.agree(within, price, np.zeros(1), tariff, 1e-6)[0]


def test_what_is_believed_is_always_a_response():
    """Whatever was answered: prices ascend, flows fall, and no more steeply than by 1 / k."""
    rng = np.random.default_rng(7)
    for seed in range(30):
        case = quantity_case(seed)
        members = pool_members(case, supply_curves(case.demand_kw, case.resources))
        slope, n = case.slope[case.lam_of], case.demand_kw.size
        response = FlowResponse(members.inner, slope)
        beliefs = FlowBeliefs("slope", slope, response.lowest_kw, response.highest_kw, np.full(n, 0.18))
        for _ in range(12):
            price, charge = rng.choice([0.05, 0.1, 0.2, 0.3]) + rng.normal(0.0, 1e-7, (2, n))
            flow_kw, fall = response.at(price, charge - 0.18, case.tariff)
            beliefs.learn(np.arange(n), price, charge - 0.18, flow_kw, fall, case.tariff)
            curves = beliefs.curves
            assert find_faults(curves.price, curves.kw, curves.start, np.full(n, np.inf)).none.all()
            value = curves.price + np.repeat(slope, np.diff(curves.start)) * curves.kw
            falls = np.diff(value)
            falls[curves.start[1:-1] - 1] = 0.0
            assert falls.min() > -1e-9
