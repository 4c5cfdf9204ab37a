import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.model.curves import from_points, respond
from market.rounds import CurveResponse


@settings(derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_members_answer_what_their_curves_say(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 6, 5)
    curves = from_points(
        [(np.sort(rng.uniform(0, 0.3, size)), np.sort(rng.uniform(-3, 3, size))[::-1]) for size in sizes]
    )
    price = rng.uniform(-0.1, 0.4, 5)
    kw, slope = CurveResponse(curves).at(price)
    assert kw == pytest.approx(respond(curves, price), abs=1e-9)
    assert (slope >= 0).all()
    step = 1e-9
    beyond, _ = CurveResponse(curves).at(price + step)
    # A vertex between the two prices would bend the line; it is too rare and too near to see.
    assert kw - beyond == pytest.approx(slope * step, abs=1e-6)


def test_the_slope_is_the_one_at_higher_prices_and_zero_beyond_the_ends():
    curve = from_points([(np.array([0.1, 0.2, 0.3]), np.array([3.0, 1.0, 0.0]))])
    at = [CurveResponse(curve).at(np.array([price]))[1][0] for price in (0.05, 0.1, 0.2, 0.25, 0.3)]
    assert at == pytest.approx([0.0, 20.0, 10.0, 10.0, 0.0])
