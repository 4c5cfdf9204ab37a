"""What is a curve, and what of it is wrong, for one and for many at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.model.curve_checks import check_curve, find_faults
from market.model.curves import starts

GOOD = ([0.1, 0.2, 0.2], [3.0, 1.0, -2.0])

WRONG = {
    "no vertex": ([], [], "0 prices for 0 powers"),
    "a price too many": ([0.1, 0.2], [1.0], "2 prices for 1 powers"),
    "NaN as a power": ([0.1, 0.2], [1.0, np.nan], "not finite"),
    "an infinite price": ([0.1, np.inf], [1.0, 0.0], "not finite"),
    "an infinite power": ([0.1], [np.inf], "not finite"),
    "prices that fall": ([0.2, 0.1], [1.0, 0.0], "not monotone"),
    "powers that rise": ([0.1, 0.2], [0.0, 1.0], "not monotone"),
    "a power beyond the rating": ([0.1, 0.2], [5.0, -9.0], "beyond the connection's rating of 8 kW"),
}


def test_a_curve_may_jump_and_reach_its_limit():
    check_curve(np.array(GOOD[0]), np.array(GOOD[1]), 3.0)


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_with_one_curve_is_said(wrong):
    price, kw, reason = WRONG[wrong]
    with pytest.raises(ValueError, match=reason):
        check_curve(np.array(price), np.array(kw), 8.0)


@given(st.lists(st.sampled_from(["good", *list(WRONG)[2:]]), min_size=1, max_size=6))
def test_curves_are_judged_together_as_each_is_alone(kinds):
    chosen = [GOOD if kind == "good" else WRONG[kind][:2] for kind in kinds]
    start = starts(np.array([len(price) for price, _ in chosen]))
    faults = find_faults(
        np.concatenate([price for price, _ in chosen]),
        np.concatenate([kw for _, kw in chosen]),
        start,
        np.full(len(chosen), 8.0),
    )
    assert faults.none.tolist() == [kind == "good" for kind in kinds]
