"""IEEE 1547 at the terminals: windows at their times, service after its delay, curves at their corners."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.physics.grid_support import (
    SERVICE_DELAY_S,
    TRIPS,
    Protection,
    Terminals,
    respond,
    volt_var,
    volt_watt,
)


def at(v_pu):
    return Terminals(*(np.atleast_1d(np.asarray(v_pu, dtype=float)) for _ in range(3)))


def test_curves_have_the_corners_of_category_b():
    assert volt_var([0.90, 0.92, 0.95, 0.98, 1.0, 1.02, 1.05, 1.08, 1.2]) == pytest.approx(
        [0.44, 0.44, 0.22, 0.0, 0.0, 0.0, -0.22, -0.44, -0.44]
    )
    assert volt_watt([1.0, 1.06, 1.08, 1.10, 1.2]) == pytest.approx([1.0, 1.0, 0.6, 0.2, 0.2])


def test_response_has_gone_nine_tenths_after_its_time_and_integrates_exactly():
    integral, end = respond(np.array([0.0]), np.array([1.0]), 5.0, 5.0)
    assert end[0] == pytest.approx(0.9)
    fine = np.linspace(0.0, 5.0, 100_001)
    assert integral[0] == pytest.approx(np.trapezoid(1.0 - 0.1 ** (fine / 5.0), fine), abs=1e-6)


@pytest.mark.parametrize(
    ("v_pu", "hz", "clearing_s"),
    [
        (1.21, 60.0, 0.16),
        (1.11, 60.0, 13.0),
        (0.87, 60.0, 21.0),
        (0.49, 60.0, 2.0),
        (1.0, 62.1, 0.16),
        (1.0, 61.3, 300.0),
        (1.0, 58.4, 300.0),
        (1.0, 56.4, 0.16),
    ],
)
def test_each_window_clears_at_its_time(v_pu, hz, clearing_s):
    protection = Protection(1)
    service = protection.pass_time(at(v_pu), hz, 400.0)
    assert service.until_s[0] == pytest.approx(clearing_s)
    assert not protection.connected[0]
    assert TRIPS[protection.cause[0]].clearing_s == clearing_s


@given(st.lists(st.floats(0.05, 5.0), min_size=1, max_size=40))
def test_time_beyond_a_limit_adds_up_over_steps(steps_s):
    protection, passed_s = Protection(1), 0.0
    for dt_s in steps_s:
        service = protection.pass_time(at(1.15), 60.0, dt_s)
        if not protection.connected[0]:
            assert passed_s + service.until_s[0] == pytest.approx(13.0, abs=1e-9)
            return
        passed_s += dt_s
    assert passed_s <= 13.0 + 1e-9


def test_a_short_swell_does_no_harm():
    protection = Protection(1)
    for _ in range(5):
        protection.pass_time(at(1.15), 60.0, 10.0)
        protection.pass_time(at(1.0), 60.0, 1.0)
    assert protection.connected[0]
    assert protection.trips[0] == 0


def test_service_is_entered_after_its_delay_within_its_windows():
    protection = Protection(2)
    protection.pass_time(at([1.25, 1.25]), 60.0, 1.0)
    # Within the trip windows, yet above 1.05 pu: the second has to wait.
    protection.pass_time(at([1.0, 1.07]), 60.0, 200.0)
    service = protection.pass_time(at([1.0, 1.0]), 60.0, 200.0)
    assert service.from_s[0] == pytest.approx(SERVICE_DELAY_S - 200.0)
    assert protection.connected.tolist() == [True, False]
    assert protection.cause.tolist() == [-1, 0]
    again = protection.pass_time(at([1.0, 1.0]), 60.0, 200.0)
    assert again.slow_until_s[0] == pytest.approx(200.0)
    assert again.from_s[1] == pytest.approx(100.0)


def test_delay_begins_anew_when_voltage_leaves_the_window():
    protection = Protection(1)
    protection.pass_time(at(0.4), 60.0, 5.0)
    protection.pass_time(at(1.0), 60.0, 250.0)
    protection.pass_time(at(0.9), 60.0, 1.0)
    protection.pass_time(at(1.0), 60.0, 250.0)
    assert not protection.connected[0]


def test_frequency_windows_follow_the_nominal_frequency():
    protection = Protection(1, nominal_hz=50.0)
    protection.pass_time(at(1.0), 50.0, 1000.0)
    assert protection.connected[0]
    protection.pass_time(at(1.0), 52.1, 1.0)
    assert not protection.connected[0]


def test_terminals_look_at_connected_phases_alone():
    terminals = Terminals.of(
        np.array([[0.5, 1.0, 1.1], [0.9, 1.0, 1.1]]), np.array([[False, True, True], [True] * 3])
    )
    assert terminals.low_pu.tolist() == [1.0, 0.9]
    assert terminals.high_pu.tolist() == [1.1, 1.1]
    assert terminals.mean_pu == pytest.approx([1.05, 1.0])
