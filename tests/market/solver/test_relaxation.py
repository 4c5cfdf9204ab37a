"""Limits that no trade can keep give way by as little as possible."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.errors import Infeasible
from market.model.case import Grid, Network
from market.model.curves import from_points
from market.solver.relaxation import HEAD, SLACK_KW, give_way, relax
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
    relaxed = relax(*problem(upper))
    # At the least draw the row reads 30; it counts 2 units for each kW of its most sensitive LAM.
    assert relaxed.by == {"line.a +0": pytest.approx(18.0 + 2.0 * SLACK_KW, abs=1e-6)}
    curves, _, _, balance, offset = problem(upper)
    outcome = clear_wam(curves, relaxed.network, relaxed.grid, balance, offset)
    np.testing.assert_allclose(outcome.net_kw, 10.0, atol=1e-4)
    assert np.isfinite(outcome.price).all()


def test_a_lower_limit_gives_way_downwards_and_the_head_by_power():
    curves, rows, grid, balance, offset = problem(1e3, import_limit_kw=15.0)
    relaxed = relax(curves, rows, grid, balance, offset)
    assert relaxed.by == {HEAD: pytest.approx(5.0, abs=1e-4)}
    assert relaxed.grid.import_limit_kw == pytest.approx(20.0, abs=1e-4)
    clear_wam(curves, relaxed.network, relaxed.grid, balance, offset)
    low = Network(rows.matrix, rows.base, np.array([100.0]), np.array([1e3]), name=rows.name)
    by = relax(curves, low, GRID, balance, offset).by
    # At the greatest draw of 30 kW each it reads 90.
    assert by == {"line.a +0": pytest.approx(-10.0, abs=1e-4)}


def test_what_can_be_kept_stays_as_it_is():
    relaxed = relax(*problem(50.0))
    assert relaxed.by == {}
    np.testing.assert_array_equal(relaxed.network.upper, [50.0])
    assert relaxed.grid == GRID


@given(st.floats(-5.0, 29.0))
def test_the_same_limits_give_way_from_names_and_amounts_alone(upper):
    curves, rows, grid, balance, offset = problem(upper)
    relaxed = relax(curves, rows, grid, balance, offset)
    again, same_grid = give_way(rows, grid, relaxed.by)
    np.testing.assert_array_equal(again.upper, relaxed.network.upper)
    np.testing.assert_array_equal(again.lower, relaxed.network.lower)
    assert same_grid == relaxed.grid
    outcome = clear_wam(curves, again, same_grid, balance, offset)
    assert (rows.matrix @ outcome.net_kw)[0] <= 30.0 + 2.1 * SLACK_KW
