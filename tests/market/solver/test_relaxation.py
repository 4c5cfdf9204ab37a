"""Limits that no trade can keep give way by as little as possible."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.errors import Infeasible
from market.model.case import Grid, Network
from market.model.curves import from_points
from market.solver.elastic import ELASTIC
from market.solver.relaxation import HEAD, SLACK_KW, clear_or_relax, give_way
from market.solver.wam import clear_wam

GRID = Grid(import_price=0.25, export_price=0.05, import_limit_kw=100.0, export_limit_kw=100.0)


def problem(upper, *, head=0.0, import_limit_kw=100.0):
    """Two LAMs that must draw 10 to 30 kW each, under one row that both raise."""
    curves = from_points([(np.array([0.1, 0.2]), np.array([30.0, 10.0]))] * 2)
    rows = Network(
        matrix=np.array([[2.0, 1.0]]),
        base=np.zeros(1),
        lower=np.array([-1000.0]),
        upper=np.array([upper]),
        name=("line.a +0",),
    )
    grid = Grid(0.25, 0.05, import_limit_kw, 100.0)
    return curves, rows, grid, np.ones(2), head


def test_the_row_gives_way_by_what_the_least_draw_is_beyond_it():
    upper = 12.0
    with pytest.raises(Infeasible):
        clear_wam(*problem(upper))
    outcome = clear_or_relax(*problem(upper))
    # At the least draw the row reads 30; it counts 2 units for each kW of its most sensitive LAM.
    assert outcome.relaxed == {"line.a +0": pytest.approx(18.0 + 2.0 * SLACK_KW, abs=1e-6)}
    np.testing.assert_allclose(outcome.net_kw, 10.0, atol=2.0 * SLACK_KW)
    assert outcome.price.max() == pytest.approx(0.2, abs=0.05)


def test_a_lower_limit_gives_way_downwards_and_the_head_by_power():
    curves, rows, grid, balance, offset = problem(1e3, import_limit_kw=15.0)
    outcome = clear_or_relax(curves, rows, grid, balance, offset)
    assert outcome.relaxed == {HEAD: pytest.approx(5.0 + SLACK_KW, abs=1e-6)}
    assert outcome.grid_kw == pytest.approx(20.0, abs=2.0 * SLACK_KW)
    low = Network(rows.matrix, rows.base, np.array([100.0]), np.array([1e3]), name=rows.name)
    by = clear_or_relax(curves, low, GRID, balance, offset).relaxed
    # At the greatest draw of 30 kW each it reads 90.
    assert by == {"line.a +0": pytest.approx(-10.0 - 2.0 * SLACK_KW, abs=1e-6)}


def test_what_can_be_kept_stays_as_it_is():
    outcome, kept = clear_or_relax(*problem(50.0)), clear_wam(*problem(50.0))
    assert outcome.relaxed == {}
    np.testing.assert_array_equal(outcome.price, kept.price)


@given(st.floats(-5.0, 29.0))
def test_the_outcome_keeps_the_limits_as_they_gave_way(upper):
    curves, rows, grid, balance, offset = problem(upper)
    outcome = clear_or_relax(curves, rows, grid, balance, offset)
    again, same_grid = give_way(rows, grid, outcome.relaxed)
    assert same_grid == grid
    assert (rows.matrix @ outcome.net_kw)[0] <= again.upper[0] + 1e-5
    assert again.upper[0] <= 30.0 + 2.1 * SLACK_KW


def test_limits_against_each_other_give_way_at_a_price_that_stays_in_bounds():
    """Facets of one current that exclude each other, and LAMs that move them by a millionth of another."""
    dear = 3.0
    curves = from_points([(np.array([0.1, dear]), ends) for ends in np.array([[130.0, 25.0], [80.0, -60.0]])])
    rows = Network(
        matrix=np.array([[6.6, 7e-6], [6.5, -9e-6], [-6.5, -2e-5]]),
        base=np.array([0.0, 0.0, 280.0]),
        lower=np.full(3, -1e4),
        upper=np.full(3, 100.0),
        name=("a +0", "a +30", "a +60"),
    )
    outcome = clear_or_relax(curves, rows, GRID, np.ones(2), 0.0)
    value = rows.base + rows.matrix @ outcome.net_kw
    beyond = np.maximum(value - 100.0, 0.0)
    np.testing.assert_allclose(list(outcome.relaxed.values()), beyond[beyond > 0], atol=1e-3)
    # Of the LAM that can help, all that is worth its while; of the other nothing.
    assert outcome.net_kw == pytest.approx([25.0, 72.8], abs=0.1)
    assert np.abs(outcome.price).max() <= ELASTIC * dear
