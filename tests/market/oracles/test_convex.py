import numpy as np
import pytest

from market.errors import CaseError
from market.model.case import Resources
from market.model.curves import respond, shift
from market.model.response import supply_curves

cp = pytest.importorskip("cvxpy")
from market.oracles.convex import ConvexResponse  # noqa: E402 - it needs cvxpy

SLOPE, FEE = np.array([0.02]), np.array([0.01])


def shedding(trade):
    """Demand of 2 kW of which up to 3 kW can be shed at 0.05 x^2 + 0.1 x."""
    shed = 2.0 - trade
    return 0.05 * cp.square(shed) + 0.1 * shed, [shed >= 0.0, shed <= 3.0]


def quadratic():
    owner = np.zeros(1, dtype=np.intp)
    resources = Resources(owner, np.zeros(1), np.array([3.0]), np.array([0.1]), np.array([0.1]))
    return shift(supply_curves(np.array([2.0]), resources).curves, SLOPE, FEE)


def test_a_quadratic_cost_answers_as_its_curve_does():
    response, curve = ConvexResponse([shedding], SLOPE, FEE), quadratic()
    assert response.highest_kw == pytest.approx([2.0], abs=1e-8)
    assert response.lowest_kw == pytest.approx([-1.0], abs=1e-8)
    for price in np.linspace(0.0, 0.5, 23):
        asked = np.array([price])
        assert response.at(asked)[0] == pytest.approx(respond(curve, asked), abs=1e-6)


def test_the_slope_is_that_of_the_response():
    kw, slope = ConvexResponse([shedding], SLOPE, FEE).at(np.array([0.2]))
    # Between the dead band and full purchase: shed and strategic slope together, 1 / (0.1 + 0.02).
    assert 0.0 < kw[0] < 2.0
    assert slope == pytest.approx([1.0 / 0.12], rel=1e-3)


def test_a_sampled_curve_stays_within_its_tolerance():
    def tiring(trade):
        return 0.03 * cp.exp(-trade), [trade >= -2.0, trade <= 2.0]

    response = ConvexResponse([tiring], SLOPE, FEE)
    curve = response.curves(1e-3)
    prices = np.random.default_rng(3).uniform(-0.2, 0.4, 40)
    sampled = np.array([respond(curve, np.array([price]))[0] for price in prices])
    asked = np.array([response.at(np.array([price]))[0][0] for price in prices])
    # The tolerance is checked at three prices of a piece; elsewhere a bend may add to it.
    assert np.abs(sampled - asked).max() < 2e-3
    assert curve.price.size < 100


def test_a_jump_is_sampled_as_one():
    def switch(trade):
        return 0.15 * (1.0 - trade), [trade >= 0.0, trade <= 1.0]

    curve = ConvexResponse([switch], np.zeros(1), np.zeros(1)).curves()
    around = [respond(curve, np.array([price]))[0] for price in (0.1499, 0.1501)]
    assert around == pytest.approx([1.0, 0.0], abs=1e-4)


@pytest.mark.parametrize(
    ("cost", "says"),
    [
        (lambda q: (cp.square(q), [q >= 1.0, q <= 0.0]), "limits contradict each other"),
        (lambda q: (cp.square(q), [q >= 1.0]), "limit the trade on both sides"),
        (lambda q: (-cp.square(q), [q >= 0.0, q <= 1.0]), "not convex"),
    ],
    ids=["contradiction", "unbounded", "concave"],
)
def test_a_cost_that_cannot_be_used_is_named(cost, says):
    def fine(q):
        return cp.square(q), [q >= 0.0, q <= 1.0]

    with pytest.raises(CaseError, match=f"cost 1: .*{says}"):
        ConvexResponse([fine, cost], np.zeros(2), np.zeros(2))
