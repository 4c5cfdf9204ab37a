"""Inverters in the clearing: conditions of optimality by hand, and against an independent solver."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.errors import Infeasible
from market.model.case import Grid, Network
from market.model.curves import from_points, respond
from market.solver.reactive import MOVE, REST, Inverters, clear_with_inverters
from market.solver.wam import clear_wam

GRID = Grid(import_price=0.28, export_price=0.26, import_limit_kw=1e4, export_limit_kw=1e4)
LAMS = 4


def curves():
    """Each LAM would draw 20 kW at a low price and gives 60 kW at a high one."""
    return from_points([(np.array([0.02 + 0.01 * i, 0.3]), np.array([20.0, -60.0])) for i in range(LAMS)])


def network(upper=1.05):
    """Voltage of one far node: export lifts it, absorbed kvar lower it."""
    matrix = -np.array([[1e-4, 2e-4, 3e-4, 4e-4]])
    return Network(
        matrix=matrix,
        base=np.array([1.0]),
        lower=np.array([0.9]),
        upper=np.array([upper]),
        voltage=np.array([True]),
        name=("far.1",),
    )


def inverters(limit=30.0, present=0.0, balance=0.01, lams=LAMS):
    return Inverters(
        np.full(lams, limit),
        np.full(lams, present),
        np.linspace(-balance, balance, lams),
        np.linspace(-1e-4, -5e-4, lams)[None, :],
    )


def cleared(upper=1.05, **changes):
    balance = np.linspace(1.0, 1.06, LAMS)
    return clear_with_inverters(curves(), network(upper), GRID, balance, 2.0, inverters(**changes))


def test_set_points_answer_their_price_and_the_row_holds_with_them():
    outcome = cleared(upper=1.03)
    mine = inverters()
    value = 1.0 + network().matrix @ outcome.net_kw + mine.matrix @ outcome.inverter_kvar
    assert value[0] == pytest.approx(1.03, abs=1e-9)
    assert outcome.row_dual[0] > 0
    price = mine.price(outcome.energy_price, outcome.row_dual)
    np.testing.assert_allclose(outcome.inverter_price, price, atol=1e-15)
    np.testing.assert_allclose(outcome.inverter_kvar, mine.answer_kvar(price), atol=1e-6)
    # The LAMs' own prices have the limit's value in their voltage part.
    np.testing.assert_allclose(outcome.parts.voltage, outcome.row_dual @ network().matrix, atol=1e-15)
    np.testing.assert_allclose(outcome.net_kw, respond(curves(), outcome.price), atol=1e-6)


def test_inverters_make_room_for_power_that_a_voltage_limit_held_back():
    balance = np.linspace(1.0, 1.06, LAMS)
    without = clear_wam(curves(), network(1.03), GRID, balance, 2.0)
    with_them = cleared(upper=1.03)
    assert with_them.net_kw.sum() < without.net_kw.sum() - 1.0
    assert with_them.row_dual[0] < without.row_dual[0]
    assert (with_them.inverter_kvar > 0).all()
    assert without.inverter_kvar.size == 0


def test_what_inverters_alone_can_keep_is_feasible_only_with_them():
    fixed = from_points([(np.zeros(1), np.full(1, -60.0))] * LAMS)
    balance = np.ones(LAMS)
    with pytest.raises(Infeasible):
        clear_wam(fixed, network(1.03), GRID, balance, 0.0)
    outcome = clear_with_inverters(fixed, network(1.03), GRID, balance, 0.0, inverters(limit=60.0))
    np.testing.assert_array_equal(outcome.net_kw, -60.0)
    assert np.abs(outcome.inverter_kvar).max() <= 60.0
    assert outcome.relaxed == {}
    few = clear_with_inverters(fixed, network(1.03), GRID, balance, 0.0, inverters(limit=1.0))
    assert few.relaxed
    assert np.abs(few.inverter_kvar).max() <= 1.0


def test_without_worth_set_points_stay_near_where_they_stand():
    outcome = cleared(balance=0.0, present=12.0)
    np.testing.assert_allclose(outcome.inverter_kvar, 12.0 * MOVE / (MOVE + REST), rtol=1e-9)


def test_a_lam_without_inverters_keeps_a_set_point_of_zero():
    mine = inverters(limit=0.0)
    np.testing.assert_array_equal(mine.answer_kvar(np.array([-1.0, 0.0, 0.5, 2.0])), 0.0)
    np.testing.assert_array_equal(cleared(limit=0.0).inverter_kvar, 0.0)


@given(
    st.floats(-0.5, 0.5),
    st.floats(-30.0, 30.0),
)
def test_an_answer_is_the_least_cost_at_its_price(price, present):
    mine = inverters(present=present, lams=1)
    kvar = float(mine.answer_kvar(np.array([price]))[0])
    tries = np.linspace(-30.0, 30.0, 2001)

    def cost(q):
        return price * q + REST * q**2 / 60.0 + MOVE * (q - present) ** 2 / 60.0

    assert cost(kvar) <= cost(tries).min() + 1e-12
    assert abs(kvar) <= 30.0


def test_against_a_solver_of_convex_programs():
    cp = pytest.importorskip("cvxpy")
    mine, rows = inverters(present=5.0), network(1.03)
    balance = np.linspace(1.0, 1.06, LAMS)
    Q, q = cp.Variable(LAMS), cp.Variable(LAMS)
    head = 2.0 + balance @ Q + mine.balance @ q
    # A LAM's curve from (p0, 20) to (0.3, -60) is the marginal value of a quadratic.
    first = 0.02 + 0.01 * np.arange(LAMS)
    slope = (0.3 - first) / 80.0
    value = cp.sum(cp.multiply(first, Q - 20.0) - cp.multiply(slope / 2, cp.square(Q - 20.0)))
    cost = (
        cp.maximum(GRID.import_price * head, GRID.export_price * head)
        - value
        + REST / 60.0 * cp.sum_squares(q)
        + MOVE / 60.0 * cp.sum_squares(q - 5.0)
    )
    limits = [Q <= 20, Q >= -60, cp.abs(q) <= 30, rows.base + rows.matrix @ Q + mine.matrix @ q <= 1.03]
    cp.Problem(cp.Minimize(cost), limits).solve(solver="CLARABEL")
    outcome = cleared(upper=1.03, present=5.0)
    np.testing.assert_allclose(outcome.net_kw, Q.value, atol=1e-3)
    np.testing.assert_allclose(outcome.inverter_kvar, q.value, atol=1e-2)
