"""Limits: what is beyond them, on which side, by how much, and what is said of it."""

from dataclasses import replace

import numpy as np
import pytest

from market.model.case import Grid, Network
from market.model.limits import explain, grid_excess, row_excess, row_scale

GRID = Grid(0.25, 0.05, 10.0, 4.0)
NETWORK = Network(
    np.array([[2.0, -4.0], [0.0, 0.0]]),
    np.array([1.0, 0.5]),
    np.array([-1.0, 0.0]),
    np.array([3.0, 1.0]),
    name=("line", "fixed"),
)
NET_KW = np.array([1.0, -1.0])


def test_a_row_counts_by_its_most_sensitive_lam():
    assert row_scale(NETWORK).tolist() == [4.0, 0.5]
    # 1 + 2 + 4 is 4 above 3, which 1 kW of the second LAM would mend.
    assert row_excess(NETWORK, NET_KW).tolist() == [1.0, 0.0]
    assert row_excess(NETWORK, -NET_KW).tolist() == [-1.0, 0.0]


@pytest.mark.parametrize(("grid_kw", "excess"), [(12.0, 2.0), (10.0, 0.0), (-4.0, 0.0), (-5.5, -1.5)])
def test_the_grid_has_a_limit_each_way(grid_kw, excess):
    assert grid_excess(GRID, grid_kw) == excess


def test_what_keeps_every_limit_needs_no_words():
    assert explain(NETWORK, GRID, np.zeros(2), 0.0) is None


@pytest.mark.parametrize(
    ("net_kw", "grid_kw", "words"),
    [
        (NET_KW, 0.0, "network row line with its upper limit of 3 cannot be met: 4 row units beyond"),
        (-NET_KW, 0.0, "network row line with its lower limit of -1 cannot be met: 4 row units beyond"),
        (0 * NET_KW, 13.0, "power balance with the grid's import limit of 10 kW cannot be met: 3 kW beyond"),
        (NET_KW, -9.0, "power balance with the grid's export limit of 4 kW cannot be met: 5 kW beyond"),
    ],
)
def test_the_limit_that_is_missed_most_is_named_with_its_side(net_kw, grid_kw, words):
    told = explain(NETWORK, GRID, net_kw, grid_kw)
    assert str(told).startswith(words)
    assert str(told).endswith("beyond its limit, and 1 more" if grid_kw == -9.0 else "beyond its limit")


def test_a_row_that_no_lam_moves_is_named_too():
    stuck = replace(NETWORK, base=np.array([1.0, 1.5]))
    told = explain(stuck, GRID, np.zeros(2), 0.0)
    assert (told.index, told.amount, told.unit, told.others) == (1, 0.5, "row units", 0)


def test_a_row_that_no_lam_moves_is_measured_by_its_own_size():
    """So that it is met or missed alike in volts, in amperes and in per mille."""
    for unit in (1.0, 1e-9, 1e6):
        stuck = Network(
            np.array([[0.0, 1e-300]]),
            np.array([1.5 * unit]),
            np.array([-1e9]),
            np.array([unit]),
            name=("fixed",),
        )
        assert row_excess(stuck, NET_KW) == pytest.approx([1.0 / 3.0])
        assert explain(stuck, GRID, NET_KW, 0.0).amount == pytest.approx(0.5 * unit)


def test_what_counts_as_nothing_is_the_callers_to_say():
    assert explain(NETWORK, GRID, np.zeros(2), 10.0 + 1e-8) is None
    told = explain(NETWORK, GRID, np.zeros(2), 10.0 + 1e-8, negligible_kw=1e-9)
    assert told.amount == pytest.approx(1e-8, rel=1e-6)
