"""The utility as outside option: the clip of a member's answers, held against two resources more."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from market.model.curves import from_points, respond, shift
from market.model.outside import Outside, UtilityPrices
from market.model.response import supply_curves
from tests.market.quantity import quantity_case
from tests.market.solver.test_pool import with_the_utility_as_resources

UTILITY = UtilityPrices(np.array([0.1]), np.array([0.3]))
BUYER = from_points([(np.array([0.0, 0.4]), np.array([4.0, 2.0]))])
SELLER = from_points([(np.array([0.0, 0.4]), np.array([-2.0, -4.0]))])


def test_a_buyer_takes_down_to_nothing_at_the_utility_s_higher_price():
    trades = Outside(BUYER, UTILITY).trades()
    assert trades.price.tolist() == [0.1, 0.3, 0.3]
    np.testing.assert_allclose(trades.kw, [3.5, 2.5, 0.0])


def test_a_seller_gives_down_to_nothing_at_the_lower_price():
    trades = Outside(SELLER, UTILITY).trades()
    assert trades.price.tolist() == [0.1, 0.1, 0.3]
    np.testing.assert_allclose(trades.kw, [0.0, -2.5, -3.5])


def test_a_flow_is_what_the_utility_makes_of_a_trade():
    outside = Outside(BUYER, UTILITY)
    np.testing.assert_allclose(outside.flows(np.array([1.0])), [2.5], atol=1e-7)
    assert outside.flows(np.array([3.0])).tolist() == [3.0]


def test_only_a_resource_that_jumps_at_a_price_of_the_utility_leaves_a_flow_open():
    steps = from_points([(np.array([0.3, 0.3]), np.array([4.0, 1.0]))])
    low, high = Outside(steps, UTILITY).flow_ends(np.array([0.5]))
    assert (low.tolist(), high.tolist()) == ([1.0], [4.0])
    low, high = Outside(BUYER, UTILITY).flow_ends(np.array([0.5]))
    np.testing.assert_allclose(high - low, 0.0, atol=1e-6)


@given(st.integers(0, 10_000))
def test_trades_are_those_of_a_member_who_owns_the_utility_as_resources(seed):
    case = quantity_case(seed, rows=0, losses=False)
    nothing = np.zeros(len(case.lam_id))
    n, tariff = case.demand_kw.size, case.tariff
    supply = supply_curves(case.demand_kw, case.resources).curves
    prices = UtilityPrices(np.full(n, tariff.feed_in), np.full(n, tariff.retail))
    slope = case.slope[case.lam_of]
    clipped = shift(Outside(supply, prices).trades(), slope)
    owned = shift(with_the_utility_as_resources(case, nothing), slope)
    for price in np.linspace(tariff.feed_in, tariff.retail, 7)[1:-1]:
        at = np.full(n, price)
        np.testing.assert_allclose(respond(clipped, at), respond(owned, at), atol=1e-6)


def test_a_jump_that_rounding_puts_beside_a_price_of_the_utility_is_still_at_it():
    sun = from_points([(np.array([0.0, 0.0]), np.array([2.0, -6.0]))])
    for missed in (-1e-17, 0.0, 1e-17):
        outside = Outside(sun, UtilityPrices(np.array([missed]), np.array([0.2])))
        assert outside.trades().lowest_kw.tolist() == [-6.0]
        assert outside.trades().highest_kw.tolist() == [2.0]
        low, high = outside.flow_ends(np.array([-1.0]))
        assert (low.tolist(), high.tolist()) == ([-6.0], [-1.0])
