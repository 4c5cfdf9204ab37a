"""Limits that give way: what is relevant, what cannot be met, and what is too small to matter."""

import numpy as np
import pytest

from market.errors import Infeasible
from market.model.case import Grid, Network
from market.model.curves import from_points
from market.solver.elastic import Limits, gives_way, missed_kw
from market.solver.wam import clear_wam

GRID = Grid(0.25, 0.05, 4.0, 4.0)


def falling(*ends):
    """Curves between two powers, the first at 0 $/kWh."""
    return from_points([(np.array([0.0, 0.3]), np.array(pair)) for pair in ends])


def none(lams):
    return Network(np.zeros((0, lams)), np.zeros(0), np.zeros(0), np.zeros(0))


def test_rows_out_of_reach_are_left_out_and_others_count_in_kw():
    network = Network(
        np.array([[2.0, -4.0], [1.0, 1.0]]), np.zeros(2), np.array([-6.0, -9.0]), np.full(2, 9.0)
    )
    limits = Limits.of(falling((1.0, -1.0), (1.0, -1.0)), network, GRID, np.ones(2), 3.0)
    assert limits.relevant.tolist() == [False, False]
    limits = Limits.of(falling((2.0, -2.0), (1.0, -1.0)), network, GRID, np.ones(2), 3.0)
    assert limits.relevant.tolist() == [True, False]
    assert limits.A.tolist() == [[1.0, 1.0], [0.5, -1.0]]
    assert limits.base.tolist() == [3.0, 0.0]
    assert limits.stairs(10.0).level[1, 1:3].tolist() == [-1.5, 2.25]


def test_a_missed_limit_shows_by_its_price():
    stairs = Limits.of(falling((1.0, -1.0)), none(1), GRID, np.ones(1), 0.0).stairs(100.0)
    assert not gives_way(stairs, np.array([99.0]))
    assert gives_way(stairs, np.array([-100.0]))
    assert missed_kw(stairs, np.array([4.0])) == 0.0
    assert missed_kw(stairs, np.array([-5.5])) == 1.5


@pytest.mark.parametrize("unit", [1e-7, 1.0, 1e6])
def test_what_cannot_be_met_is_told_at_any_scale(unit):
    """The third part of all power is missing, be it of gigawatts or of milliwatts."""
    grid = Grid(0.25, 0.05, 4.0 * unit, 4.0 * unit)
    with pytest.raises(Infeasible, match="export limit") as told:
        clear_wam(falling((2.0 * unit, 1.0 * unit)), None, grid, np.ones(1), -9.0 * unit)
    assert told.value.amount == pytest.approx(3.0 * unit, rel=1e-9)


@pytest.mark.parametrize("weight", [1e-2, 1e-6])
def test_a_lam_that_moves_the_head_a_little_can_still_keep_its_limit(weight):
    curves = falling((2.0, -2.0), (2.0, -2.0))
    balance = np.array([0.0, weight])
    grid = Grid(0.25, 0.05, 0.0, 0.0)
    outcome = clear_wam(curves, None, grid, balance, -0.5 * weight)
    assert outcome.net_kw[1] == pytest.approx(0.5)
    with pytest.raises(Infeasible):
        clear_wam(curves, None, grid, balance, -2.5)


def test_limits_missed_by_next_to_nothing_give_way_by_that():
    curves = from_points([(np.array([0.2]), np.array([1.0]))])
    limits = Limits.of(curves, none(1), GRID, np.ones(1), 3.0 + 4e-7)
    kept = limits.kept(curves)
    assert 4e-7 <= kept.grid.import_limit_kw - 4.0 < 4.1e-7
    assert kept.grid.export_limit_kw == 4.0
    with pytest.raises(Infeasible, match="import limit"):
        Limits.of(curves, none(1), GRID, np.ones(1), 3.0 + 4e-6).kept(curves)
