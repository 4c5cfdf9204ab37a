"""Grid support of emulated PV inverters, seen through power, energy and registers."""

import numpy as np
import pytest

from devices.emulation.fleet import EmulatedProsumer, Fleet
from devices.physics.grid_support import GridSupport

PV = EmulatedProsumer(id="pv", pv_kw=5.0)
SUN_KW = 4.0


def fleet_at(v_pu, **support):
    fleet = Fleet([PV], support=GridSupport(**support))
    fleet.begin([0.0], [0.0], [SUN_KW])
    fleet.set_voltage([v_pu])
    return fleet


def advance(fleet, dt_s=300.0, steps=1, sun_kw=SUN_KW):
    fleet.advance(np.zeros((steps, 1)), np.zeros((steps, 1)), np.full((steps, 1), sun_kw), dt_s)


def shown(fleet, point):
    return fleet.pv.bank.get(point)[0]


def test_by_default_voltage_changes_nothing_within_the_windows():
    fleet = fleet_at(1.09)
    advance(fleet)
    assert fleet.pv.p_kw[0] == SUN_KW
    assert fleet.q_kvar[0] == 0.0


def test_volt_var_absorbs_at_high_voltage_and_the_meter_counts_it():
    fleet = fleet_at(1.05, volt_var=True)
    advance(fleet)
    assert fleet.pv.q_kvar[0] == pytest.approx(-0.22 * 5.0)
    assert shown(fleet, "103.VAr") == pytest.approx(-1100.0)
    assert shown(fleet, "103.PF") == pytest.approx(100.0 * 4.0 / np.hypot(4.0, 1.1), abs=0.1)
    assert fleet.q_kvar[0] == pytest.approx(1.1)
    # A first-order answer of 5 s loses its time constant once.
    lost_kvarh = 1.1 * 5.0 / np.log(10.0) / 3600.0
    assert fleet.meters.reactive_kvarh.sum() == pytest.approx(1.1 * 300.0 / 3600.0 - lost_kvarh)
    assert fleet.mean_kvar[0] == pytest.approx(1.1 - lost_kvarh * 12.0)


def test_reactive_power_comes_first_where_both_do_not_fit():
    fleet = Fleet([PV], support=GridSupport(volt_var=True))
    fleet.begin([0.0], [0.0], [5.0])
    fleet.set_voltage([1.08])
    advance(fleet, sun_kw=5.0, steps=2)
    assert fleet.pv.p_kw[0] == pytest.approx(5.0 * np.sqrt(1.0 - 0.44**2))


def test_no_reactive_power_at_night():
    fleet = fleet_at(1.05, volt_var=True)
    advance(fleet)
    advance(fleet, sun_kw=0.0)
    assert fleet.pv.q_kvar[0] == 0.0


def test_volt_watt_curtails_along_its_line():
    fleet = fleet_at(1.08, volt_watt=True)
    advance(fleet)
    assert fleet.pv.p_kw[0] == pytest.approx(0.6 * 5.0)
    assert shown(fleet, "103.St") == 5


def test_trip_stops_generation_at_its_time_and_says_why():
    fleet = fleet_at(1.12)
    advance(fleet)
    assert fleet.pv.p_kw[0] == 0.0
    assert fleet.energy_kwh[1, 0] == pytest.approx(SUN_KW * 13.0 / 3600.0)
    assert shown(fleet, "103.St") == 7
    assert int(shown(fleet, "103.Evt1")) == (1 << 4) | (1 << 10)


def test_power_comes_back_after_the_delay_and_slowly():
    fleet = fleet_at(1.12)
    advance(fleet)
    fleet.set_voltage([1.0])
    exported = fleet.energy_kwh[1, 0]
    advance(fleet, dt_s=250.0)
    assert fleet.energy_kwh[1, 0] == exported
    advance(fleet, dt_s=200.0)
    # Reconnected 50 s into the step; 5 kW over 300 s for the 150 s left.
    assert fleet.pv.p_kw[0] == pytest.approx(150.0 * 5.0 / 300.0)
    assert fleet.energy_kwh[1, 0] - exported == pytest.approx(0.5 * 150.0 * 2.5 / 3600.0)
    advance(fleet, dt_s=300.0)
    assert fleet.pv.p_kw[0] == SUN_KW
    assert shown(fleet, "103.Evt1") == 0


def test_low_frequency_trips_too():
    fleet = fleet_at(1.0)
    fleet.frequency_hz = 56.0
    advance(fleet)
    assert fleet.pv.p_kw[0] == 0.0
    assert int(shown(fleet, "103.Evt1")) == (1 << 4) | (1 << 9)
    assert shown(fleet, "103.Hz") == 56.0


def test_direct_current_power_shows_the_efficiency():
    fleet = fleet_at(1.0)
    assert shown(fleet, "103.DCW") == pytest.approx(4000.0 / 0.96, abs=1.0)


def test_energy_counter_wraps_as_an_acc32_does():
    fleet = fleet_at(1.0)
    fleet.pv.energy_kwh[0] = (2**32 - 100) / 1e3
    advance(fleet)
    assert shown(fleet, "103.WH") == pytest.approx(1e3 * SUN_KW / 12.0 - 100.0, abs=1.0)
