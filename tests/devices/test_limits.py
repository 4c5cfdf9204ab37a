import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import RangeError
from devices.limits import FREE, SetPointLimits, admissible_kw, ramped_kw, released_kw

POWERS = st.floats(-1e9, 1e9)


@given(POWERS, st.floats(-100.0, 0.0), st.floats(0.0, 100.0))
def test_no_set_point_leaves_the_envelope(wanted_kw, min_kw, max_kw):
    admitted_kw = admissible_kw(SetPointLimits(min_kw=min_kw, max_kw=max_kw), wanted_kw)
    assert min_kw <= admitted_kw <= max_kw
    assert admitted_kw == wanted_kw or not min_kw <= wanted_kw <= max_kw


@given(POWERS, POWERS, st.floats(0.0, 10.0), st.floats(-1.0, 1e4))
def test_no_set_point_moves_faster_than_the_ramp(from_kw, to_kw, ramp_kw_per_s, elapsed_s):
    moved_kw = ramped_kw(SetPointLimits(ramp_kw_per_s=ramp_kw_per_s), from_kw, to_kw, elapsed_s)
    reach_kw = ramp_kw_per_s * max(elapsed_s, 0.0)
    assert abs(moved_kw - from_kw) <= reach_kw + 1e-6 * abs(from_kw)
    assert min(from_kw, to_kw) <= moved_kw <= max(from_kw, to_kw)


@pytest.mark.parametrize("wanted_kw", [math.nan, math.inf, -math.inf])
def test_a_set_point_that_is_not_finite_is_refused(wanted_kw):
    with pytest.raises(RangeError, match="cannot be carried out"):
        admissible_kw(FREE, wanted_kw)


@pytest.mark.parametrize(
    ("limits", "device", "rating_kw", "power_kw"),
    [
        (FREE, "pv", 5.0, None),
        (FREE, "battery", 5.0, None),
        (SetPointLimits(max_kw=3.0), "pv", 5.0, 3.0),
        (SetPointLimits(max_kw=8.0), "pv", 5.0, 5.0),
        (SetPointLimits(ramp_kw_per_s=1.0), "pv", 5.0, 5.0),
        (SetPointLimits(ramp_kw_per_s=1.0), "pv", None, None),
        (SetPointLimits(min_kw=-3.0, max_kw=3.0), "battery", 5.0, 0.0),
        (SetPointLimits(min_kw=1.0, max_kw=3.0), "battery", 5.0, 1.0),
    ],
)
def test_within_an_envelope_a_device_is_not_left_to_itself(limits, device, rating_kw, power_kw):
    assert released_kw(limits, device, rating_kw) == power_kw


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_kw": math.nan},
        {"max_kw": math.nan},
        {"min_kw": 2.0, "max_kw": 1.0},
        {"safe_kw": math.nan},
        {"safe_kw": math.inf},
        {"ramp_kw_per_s": math.nan},
        {"ramp_kw_per_s": -1.0},
    ],
)
def test_limits_that_would_let_everything_through_are_refused(wrong):
    with pytest.raises(RangeError):
        SetPointLimits(**wrong)
