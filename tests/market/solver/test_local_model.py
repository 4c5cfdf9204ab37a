import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.solver.local_model import STEPS, local_minimum
from market.solver.staircase import Staircases
from tests.market.solver.limits import CAP, network_stairs


@given(st.integers(0, 2**32 - 1))
def test_a_local_model_is_solved_to_its_conditions(seed):
    rng = np.random.default_rng(seed)
    n, m = int(rng.integers(1, 8)), int(rng.integers(1, 6))
    A = rng.uniform(-1.0, 1.0, (n, m))
    slope = rng.uniform(0.0, 5.0, m)
    lower = rng.uniform(-2.0, 0.0, n)
    stairs = network_stairs(lower, lower + rng.uniform(0.0, 2.0, n))
    y, value, ridge = np.zeros(n), rng.uniform(-5.0, 5.0, n), 1e-3
    z = local_minimum(stairs, A, slope, ridge, y, value, 1e-12)
    reached = value - A @ (slope * (z @ A)) - ridge * z
    low, high = stairs.admissible(z)
    assert (reached >= low - 1e-8).all()
    assert (reached <= high + 1e-8).all()


def test_dependent_rows_are_no_obstacle():
    A = np.array([[1.0, 0.5], [2.0, 1.0], [1.0, 0.5]])
    stairs = network_stairs(np.full(3, -1.0), np.array([1.0, 2.0, 1.0]))
    value = np.array([3.0, 6.0, 3.0])
    z = local_minimum(stairs, A, np.ones(2), 1e-9, np.zeros(3), value, 1e-9)
    assert value - A @ (z @ A) == pytest.approx([1.0, 2.0, 1.0], abs=1e-6)


def test_a_limit_out_of_reach_gives_way_at_the_cap():
    stairs = network_stairs(np.array([-1.0]), np.array([1.0]))
    z = local_minimum(stairs, np.zeros((1, 1)), np.ones(1), 1e-9, np.zeros(1), np.array([3.0]), 1e-9)
    assert z[0] == CAP


def test_a_row_leaves_a_riser_of_two_kinks_at_its_far_end():
    stairs = Staircases(np.array([[-CAP, 0.1, 0.1, CAP]]), np.array([[-np.inf, -2.0, 0.0, 2.0, np.inf]]))
    z = local_minimum(stairs, np.ones((1, 1)), np.ones(1), 1e-9, np.array([0.1]), np.array([5.0]), 1e-9)
    assert z[0] == pytest.approx(3.1)


def test_work_is_bounded_and_a_model_left_early_still_improves():
    rng = np.random.default_rng(3)
    n = 3 * STEPS
    A, slope = rng.uniform(-1.0, 1.0, (n, n)), np.ones(n)
    stairs = network_stairs(np.full(n, -0.1), np.full(n, 0.1))
    value = rng.uniform(-5.0, 5.0, n)
    z = local_minimum(stairs, A, slope, 1e-6, np.zeros(n), value, 1e-9)
    support = np.where(z > 0, 0.1 * z, -0.1 * z).sum()
    model = support - value @ z + 0.5 * np.sum((z @ A) ** 2)
    assert model < 0.0


def test_a_row_stops_at_the_kink_that_it_comes_to_first():
    # Free at 0.5 it is wanted at zero, but between its limits it is not free to move on.
    stairs = network_stairs(np.array([-1.0]), np.array([1.0]))
    z = local_minimum(stairs, np.ones((1, 1)), np.ones(1), 1e-9, np.array([0.5]), np.array([0.2]), 1e-9)
    assert z[0] == 0.0


def test_rows_that_stand_on_their_risers_stay():
    stairs = network_stairs(np.full(2, -1.0), np.ones(2))
    y = np.zeros(2)
    z = local_minimum(stairs, np.eye(2), np.ones(2), 1e-9, y, np.array([0.9, -1.0]), 1e-9)
    assert z.tolist() == [0.0, 0.0]
    assert z is not y
