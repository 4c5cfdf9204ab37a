"""Power that commanded hardware shows, against what it may have: when that counts, and when it does not."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.gateway.power_watch import RAMP_S, READINGS, PowerWatch
from devices.limits import SetPointLimits

PV = SetPointLimits(real=True, min_kw=0.0, max_kw=4.0, safe_kw=1.0, rated_kw=6.0)
BATTERY = SetPointLimits(real=True, min_kw=-3.0, max_kw=2.0)
CHARGER = SetPointLimits(real=True, min_kw=-11.0, max_kw=-1.4)


def told(watch, *powers_kw, began_s=1000.0, every_s=5.0, is_stopped=False):
    at = [began_s + k * every_s for k in range(len(powers_kw))]
    return [watch.take(p, t, is_stopped=is_stopped) for p, t in zip(powers_kw, at, strict=True)]


def test_power_beyond_the_envelope_counts_in_the_third_reading_in_a_row_and_once():
    assert told(PowerWatch(PV), 3.0, 6.0, 6.0, 3.0, 6.0, 6.0, 6.0, 6.0, 6.0) == [*[""] * 6, "beyond", "", ""]


def test_a_device_that_was_beyond_when_it_was_commanded_first_has_time_to_come_within():
    ramping = [6.0] * int(RAMP_S / 5.0)
    assert told(PowerWatch(PV), *ramping, 3.0) == [""] * (len(ramping) + 1)
    never = told(PowerWatch(PV), *ramping, *[6.0] * READINGS)
    assert never == [*[""] * (len(ramping) + READINGS - 1), "beyond"]


@pytest.mark.parametrize(
    ("limits", "low_kw", "high_kw"),
    [(PV, -0.36, 4.36), (BATTERY, -3.25, 2.25), (CHARGER, -11.65, 0.65)],
)
def test_noise_is_tolerated_and_nothing_at_all_is_never_beyond(limits, low_kw, high_kw):
    assert limits.shown_kw(is_stopped=False) == pytest.approx((low_kw, high_kw))


def test_a_device_without_an_envelope_has_nothing_to_be_beyond():
    limits = SetPointLimits(real=True)
    assert limits.shown_kw(is_stopped=False) == (-math.inf, math.inf)


def test_at_its_safe_value_a_device_that_goes_on_is_told_again_and_so_is_its_end():
    watch = PowerWatch(PV)
    assert told(watch, 3.0, 6.0, 6.0, 6.0)[-1] == "beyond"
    ramp = [6.0] * int(RAMP_S / 5.0)
    assert told(watch, *ramp, *[6.0] * READINGS, began_s=2000.0, is_stopped=True)[-1] == "beyond"
    assert told(watch, 3.0, 1.2, 1.2, began_s=3000.0, is_stopped=True) == ["", "within", ""]


def test_a_device_that_obeys_its_safe_value_is_over_at_once():
    watch = PowerWatch(PV)
    assert told(watch, 3.0, 6.0, 6.0, 6.0)[-1] == "beyond"
    assert told(watch, 4.0, 0.9, 0.9, began_s=2000.0, is_stopped=True) == ["", "within", ""]


@given(st.lists(st.floats(-0.3, 4.3), max_size=50), st.floats(0.1, 100.0))
def test_no_power_that_it_may_have_is_ever_told(powers_kw, every_s):
    assert set(told(PowerWatch(PV), *powers_kw, every_s=every_s)) <= {""}
