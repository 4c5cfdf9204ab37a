import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.solver.root import NARROWINGS, Bracket, narrow


def bracket(function, low, high):
    return Bracket(low, function(low), high, function(high))


@given(st.integers(0, 2**32 - 1))
def test_a_rising_piecewise_line_is_brought_to_zero(seed):
    rng = np.random.default_rng(seed)
    x, y = np.sort(rng.uniform(0.0, 1.0, 6)), np.sort(rng.uniform(-1.0, 1.0, 6)) ** 3
    y[0], y[-1] = -1.0, 1.0
    x[0], x[-1] = 0.0, 1.0

    def function(at):
        return float(np.interp(at, x, y))

    found = narrow(function, bracket(function, 0.0, 1.0), 1e-6)
    assert found.low == found.high
    assert abs(function(found.low)) <= 1e-6


def test_a_line_takes_one_evaluation():
    asked = []

    def function(x):
        asked.append(x)
        return 4.0 * x - 1.0

    found = narrow(function, Bracket(0.0, -1.0, 1.0, 3.0), 0.0)
    assert (found.low, found.high) == (0.25, 0.25)
    assert asked == [0.25]


def test_an_end_that_stays_does_not_hold_the_search_up():
    asked = []

    def function(x):
        asked.append(x)
        return x**9 - 1e-6

    narrow(function, bracket(function, 0.0, 1.0), 1e-9)
    # Plain false position creeps here for thousands of evaluations.
    assert len(asked) < 60


def test_a_jump_is_narrowed_to_its_last_bits():
    found = narrow(lambda x: 1.0 if x >= 0.3 else -1.0, Bracket(0.0, -1.0, 1.0, 1.0), 0.0)
    assert found.high == 0.3
    assert found.low == np.nextafter(0.3, 0.0)


@pytest.mark.parametrize(("low", "high"), [(-np.inf, 1.0), (-1.0, np.inf), (-1.0, -1.0)])
def test_values_that_tell_nothing_lead_to_the_middle(low, high):
    assert Bracket(0.0, low, 1.0, high).inside == 0.5


def test_nothing_lies_between_neighbouring_numbers():
    assert Bracket(1.0, -1.0, float(np.nextafter(1.0, 2.0)), 1.0).inside is None


def test_evaluations_are_bounded():
    asked = []

    def function(x):
        asked.append(x)
        return 1.0 if x > 1e-300 else -1e300

    narrow(function, bracket(function, 0.0, 1.0), 0.0)
    assert len(asked) <= NARROWINGS + 2
