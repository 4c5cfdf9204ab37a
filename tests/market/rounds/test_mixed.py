import numpy as np
import pytest

from market.model.curves import from_points, take
from market.rounds import CurveResponse
from market.rounds.mixed import Mixed


def curves(n):
    rng = np.random.default_rng(5)
    return from_points(
        [(np.sort(rng.uniform(0, 0.3, 4)), np.sort(rng.uniform(-3, 3, 4))[::-1]) for _ in range(n)]
    )


def test_members_of_several_kinds_answer_as_they_would_apart():
    whole = curves(6)
    even, odd = np.array([0, 2, 4]), np.array([5, 1, 3])
    mixed = Mixed([(even, CurveResponse(take(whole, even))), (odd, CurveResponse(take(whole, odd)))])
    price = np.linspace(0.05, 0.25, 6)
    expected_kw, expected_slope = CurveResponse(whole).at(price)
    kw, slope = mixed.at(price)
    assert np.array_equal(kw, expected_kw)
    assert np.array_equal(slope, expected_slope)
    assert np.array_equal(mixed.lowest_kw, whole.lowest_kw)
    assert np.array_equal(mixed.highest_kw, whole.highest_kw)


@pytest.mark.parametrize("places", [[0, 1, 1], [0, 1, 3], [1, 2, 3]])
def test_a_member_left_out_or_named_twice_is_refused(places):
    with pytest.raises(ValueError, match="every member's index once"):
        Mixed([(np.array(places), CurveResponse(curves(3)))])
