import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.model.curves import from_points
from market.solver.dual_function import CurveAnswers, Dual, SlopeAlong
from market.solver.line_search import NEAR, step_length
from tests.market.solver.limits import CAP, network_stairs


def one_row(points, upper, *, y=0.0, speed=1.0):
    """Slope along the price of one row, held at ``upper``, over one variable."""
    answers = CurveAnswers(from_points([points]))
    dual = Dual(answers, np.ones((1, 1)), np.zeros(1), network_stairs([-9.0], [upper]))
    direction = np.array([speed])
    return SlopeAlong(dual, dual.at(np.array([y])), direction, direction @ dual.A)


LINE = (np.array([0.0, 4.0]), np.array([4.0, 0.0]))


def test_a_step_that_the_model_got_right_is_taken_whole():
    assert step_length(one_row(LINE, 3.0)) == 1.0


@pytest.mark.parametrize("speed", [0.01, 0.3, 7.0, 300.0])
def test_a_step_ends_where_the_slope_is_small(speed):
    slope = one_row(LINE, 3.0, speed=speed)
    assert abs(slope(step_length(slope))) <= -NEAR * slope(0.0)


def test_a_direction_that_leads_down_only_by_rounding_is_left_to_the_model():
    assert step_length(one_row(LINE, 4.0)) == 1.0


def test_a_step_ends_at_a_kink_where_the_slope_jumps_over_zero():
    # From y = -1 the row wants up; at zero it is free up to its limit.
    slope = one_row(LINE, 5.0, y=-1.0, speed=7.0)
    t = step_length(slope)
    assert -1.0 + 7.0 * t == pytest.approx(0.0, abs=1e-15)
    assert slope(t, before=True) < 0.0 < slope(t)


def test_a_slope_that_jumps_where_the_model_ends_is_asked_once(monkeypatch):
    # From y = -1 the model leads to zero, where the row is free up to its limit.
    slope = one_row(LINE, 5.0, y=-1.0)
    asked = []
    monkeypatch.setattr(
        CurveAnswers, "powers", lambda answers, price: asked.append(price) or answers.at(price)[0]
    )
    assert step_length(slope) == 1.0
    assert len(asked) == 1


def test_a_limit_out_of_reach_is_followed_to_where_it_gives_way():
    flat = (np.array([0.0, 4.0]), np.array([4.0, 4.0]))
    assert step_length(one_row(flat, 3.0)) == CAP


@given(st.integers(0, 2**32 - 1))
def test_a_slope_along_a_direction_never_falls(seed):
    rng = np.random.default_rng(seed)
    n, m = 3, 4
    curves = from_points(
        [(np.sort(rng.uniform(-1, 1, 4)), np.sort(rng.uniform(-5, 5, 4))[::-1]) for _ in range(m)]
    )
    dual = Dual(
        CurveAnswers(curves),
        rng.uniform(-1, 1, (n, m)),
        rng.uniform(-1, 1, n),
        network_stairs(-np.ones(n), np.ones(n)),
    )
    direction = rng.uniform(-1, 1, n)
    slope = SlopeAlong(dual, dual.at(rng.uniform(-1, 1, n)), direction, direction @ dual.A)
    steps = np.sort(np.concatenate([rng.uniform(0.0, 5.0, 20), slope.kinks_between(0.0, 5.0)]))
    rates = [value for t in steps for value in (slope(float(t), before=True), slope(float(t)))]
    assert (np.diff(rates) >= -1e-9).all()
