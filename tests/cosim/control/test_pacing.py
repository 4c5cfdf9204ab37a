"""How simulated time follows wall time: paces, deadlines and lags."""

import pytest

from cosim.control.pacing import LEAST_STEP_S, STEPS, Lag, Pacing, PacingError


@pytest.mark.parametrize("text", ["slow", "0", "-1", "nan", "inf", ""])
def test_a_pace_that_is_none_is_refused(text):
    with pytest.raises(PacingError, match="--pace"):
        Pacing.parse(text)


def test_steps_are_those_of_an_interval():
    assert STEPS == ("measure", "bid", "clear", "dispatch", "act", "meter", "settle")


def test_market_steps_share_what_is_left_before_the_interval_ends():
    pacing = Pacing(1.0)
    assert pacing.interval_end(1000.0, 1, 900.0) == 2800.0
    assert pacing.deadline("measure", 1100.0, 1000.0, 60.0) == 1020.0
    assert pacing.deadline("dispatch", 1100.0, 1000.0, 60.0) == 1050.0
    assert pacing.deadline("dispatch", 1001.0, 1000.0, 60.0) == 1000.0 + LEAST_STEP_S
    assert pacing.deadline("act", 1100.0, 1000.0, 60.0) == 1060.0


def test_nothing_paces_a_fast_run():
    pacing = Pacing.parse("fast")
    assert pacing.interval_end(1000.0, 1, 900.0) is None
    assert pacing.deadline("bid", None, 1000.0, 60.0) == 1060.0


def test_a_lag_beyond_an_interval_is_an_overrun():
    lag = Lag()
    assert lag.note(now=1001.0, due=1015.0, length_s=15.0) is None
    assert (lag.now_s, lag.worst_s, lag.overruns) == (1.0, 1.0, 0)
    assert lag.note(now=1031.0, due=1030.0, length_s=15.0) == 16.0
    assert (lag.worst_s, lag.overruns) == (16.0, 1)
