import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.physics.charging import charge, charging_range

some = st.floats(0.0, 100.0)


@pytest.mark.parametrize(
    ("needs", "left", "least", "most", "urgency"),
    [
        (10.0, 10.0, 0.0, 10.0, 0.1),
        (10.0, 1.0, 10.0, 10.0, 1.0),
        (10.0, 1.5, 5.0, 10.0, 10 / 15),
        (20.0, 1.0, 10.0, 10.0, 1.0),
        (2.0, 8.0, 0.0, 2.0, 2 / 80),
        (0.0, 8.0, 0.0, 0.0, 0.0),
        (5.0, 0.0, 5.0, 5.0, 1.0),
        (5.0, math.inf, 0.0, 5.0, 0.0),
    ],
)
def test_what_cannot_be_made_up_for_later_has_to_be_drawn_now(needs, left, least, most, urgency):
    found = charging_range(needs, left, 10.0, 1.0)
    assert found.least_kw == pytest.approx(least)
    assert found.most_kw == pytest.approx(most)
    assert found.urgency == pytest.approx(urgency)


@given(needs=some, left=st.floats(0.0, 24.0), rating=st.floats(0.5, 22.0), share=st.floats(0.0, 1.0))
def test_who_draws_at_least_what_has_to_be_drawn_leaves_with_as_much_as_ever_possible(
    needs, left, rating, share
):
    interval_h, still, hours = 0.25, needs, left
    while hours > 1e-9:
        found = charging_range(still, hours, rating, interval_h)
        power_kw = float(found.least_kw + share * (found.most_kw - found.least_kw))
        assert 0.0 <= power_kw <= rating * (1 + 1e-9)
        still -= power_kw * min(interval_h, hours)
        hours -= interval_h
    assert still <= max(needs - rating * left, 0.0) + 1e-6 + rating * interval_h * (left % interval_h > 1e-9)


def test_a_vehicle_draws_no_more_than_it_may_can_and_wants():
    p_kw, charged = charge([0.0, 0.0, 9.5, 0.0], 10.0, [11.0, 7.0, 11.0, 3.0], 11.0, 4.14, 1.0)
    np.testing.assert_allclose(p_kw, [10.0, 7.0, 0.5, 0.0])
    np.testing.assert_allclose(charged, [10.0, 7.0, 10.0, 0.0])
