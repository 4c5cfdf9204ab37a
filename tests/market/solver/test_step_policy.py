import numpy as np

from market.model.curves import from_points
from market.solver.dual_function import CurveAnswers, Dual
from market.solver.step_policy import IDLE_STEPS, ROUNDING_KW, Idleness, ModelSlopes, Ridge, snap
from tests.market.solver.limits import CAP, network_stairs

STEP = CurveAnswers(from_points([(np.array([0.0, 1.0, 1.0 + 1e-3, 2.0]), np.array([4.0, 4.0, 0.0, 0.0]))]))
"""Flat, then steep: its tangent at zero tells nothing."""


def at_zero():
    return Dual(STEP, np.ones((1, 1)), np.zeros(1), network_stairs([-9.0], [3.0])).at(np.zeros(1))


def test_the_first_model_knows_how_far_answers_go_in_all():
    assert ModelSlopes(STEP).over(np.zeros(1)).tolist() == [2.0]
    assert ModelSlopes(STEP).over(np.array([7.0])).tolist() == [7.0]


def test_a_model_after_a_good_step_is_the_tangents_alone():
    slopes = ModelSlopes(STEP)
    slopes.learn(at_zero(), np.array([1.5]), 1.0)
    assert slopes.over(np.array([0.25])).tolist() == [0.25]


def test_a_model_after_a_step_cut_short_knows_how_far_answers_went():
    slopes = ModelSlopes(STEP)
    slopes.learn(at_zero(), np.array([1.6]), 0.1)
    assert slopes.over(np.zeros(1)).tolist() == [4.0 / 1.6]
    slopes.learn(at_zero(), np.zeros(1), 0.1)
    assert slopes.over(np.zeros(1)).tolist() == [0.0]


def test_a_ridge_shrinks_only_where_it_showed():
    ridge = Ridge(STEP)
    first = ridge.weight
    ridge.learn(1.0)
    ridge.learn(0.3)
    assert ridge.weight == first
    ridge.learn(4.0)
    assert ridge.weight == 0.1 * first
    ridge.held_all()
    assert ridge.weight == 0.1 * first * 1e-2


def test_steps_end_once_small_residuals_stop_falling():
    idleness = Idleness()
    idleness.learn(ROUNDING_KW / 10)
    for _ in range(IDLE_STEPS):
        assert not idleness.lasts
        idleness.learn(ROUNDING_KW / 10)
    assert idleness.lasts


def test_a_large_residual_that_rises_is_on_its_way():
    idleness = Idleness()
    for residual_kw in [1.0, 2.0] * IDLE_STEPS:
        idleness.learn(residual_kw)
        assert not idleness.lasts


def test_progress_begins_the_count_anew():
    idleness = Idleness()
    for _ in range(IDLE_STEPS - 1):
        idleness.no_step()
    idleness.learn(0.5 * ROUNDING_KW)
    idleness.no_step()
    assert not idleness.lasts


def test_prices_beside_a_kink_are_put_onto_it():
    stairs = network_stairs(np.full(3, -1.0), np.ones(3))
    y = np.array([1e-15, CAP * (1 + 2e-16), 1e-3])
    assert snap(stairs, y).tolist() == [0.0, CAP, 1e-3]
