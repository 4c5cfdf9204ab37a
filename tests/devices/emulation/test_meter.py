"""Accuracy, noise and counters of emulated meters."""

import numpy as np
import pytest

from devices.emulation.fleet import EmulatedProsumer, Fleet
from devices.emulation.meter import Accuracy

MANY = [EmulatedProsumer(id=f"m{k}", meter="sdm630" if k % 2 else "sunspec-meter") for k in range(200)]


def run(accuracy, seed=7, steps=4):
    fleet = Fleet(MANY, accuracy=accuracy, rng=np.random.default_rng(seed))
    load = np.full((steps, len(MANY)), 2.0)
    fleet.begin(load[0], 0.5 * load[0], 0.0 * load[0])
    fleet.advance(load, 0.5 * load, 0.0 * load, 900.0)
    return fleet


def power_w(fleet):
    sunspec, flat = (fleet.meters.unit(k).bank for k in (0, 1))
    return np.concatenate([sunspec.get("203.W"), flat.get("P")])


def test_a_class_bounds_errors_of_power_and_energy_alike():
    fleet = run(Accuracy(class_pct=1.0))
    assert np.abs(fleet.meters.gain - 1.0).max() <= 0.01
    assert np.abs(fleet.meters.gain - 1.0).mean() > 0.001
    assert fleet.energy_kwh[0] == pytest.approx(2.0 * fleet.meters.gain)
    assert np.unique(power_w(fleet).round(3)).size > 100


def test_noise_is_in_what_is_shown_and_not_in_counters():
    fleet = run(Accuracy(noise_pct=1.0))
    assert fleet.energy_kwh[0] == pytest.approx(np.full(200, 2.0))
    # Three phases with independent noise add up to a third of the variance of one.
    assert power_w(fleet).std() / 2000.0 == pytest.approx(0.01 / np.sqrt(3.0), rel=0.2)
    assert power_w(fleet).mean() == pytest.approx(2000.0, rel=0.002)


def test_errors_come_from_the_seed_alone():
    accuracy = Accuracy(class_pct=0.5, noise_pct=0.2)
    assert (power_w(run(accuracy)) == power_w(run(accuracy))).all()
    assert (power_w(run(accuracy)) != power_w(run(accuracy, seed=8))).any()


def test_errors_need_a_source():
    with pytest.raises(ValueError, match="generator"):
        Fleet(MANY, accuracy=Accuracy(class_pct=1.0))


def test_sunspec_counter_wraps():
    meter = EmulatedProsumer(id="old", meter="sunspec-meter", import_kwh=(2**32 - 250) / 1e3)
    fleet = Fleet([meter])
    fleet.advance([[1.0]], [[0.0]], [[0.0]], 3600.0)
    assert fleet.meters.unit(0).bank.get("203.TotWhImp")[0] == 750.0
    assert fleet.energy_kwh[0, 0] == pytest.approx(2**32 / 1e3 + 0.75)
