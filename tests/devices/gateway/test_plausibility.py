"""Readings that cannot be true, one check after the other, and those that can."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.messages import DeviceSetPoint, DeviceState
from devices.gateway.plausibility import Plausibility
from devices.gateway.reading import Reading

HOUR = 0.25


class Meter:
    """A sound prosumer whose readings a test may bend before they are judged."""

    def __init__(self, rating_kw=10.0, battery=False):
        self.judge = Plausibility({"p": rating_kw}, HOUR)
        self.counters = np.array([1000.0, 500.0])
        self.battery_kw = 0.0 if battery else None
        self.tick = 0
        self.start_kw = 1.0

    def reading(self, shown_kw, **bent):
        devices = ()
        if self.battery_kw is not None:
            state = DeviceState(device="battery", p_kw=self.battery_kw, min_kw=-4.0, max_kw=4.0, soc=0.5)
            devices = (state,)
        usual = {
            "p_kw": shown_kw,
            "q_kvar": 0.1,
            "v_pu": 1.0 + 1e-3 * self.tick,
            "import_kwh": self.counters[0],
            "export_kwh": self.counters[1],
            "devices": devices,
        }
        return Reading(prosumer="p", quality="good", **(usual | bent))

    def measure(self, **bent):
        return self.judge.measure(self.reading(self.start_kw, **bent), self.tick)

    def meter(self, mean_kw=1.0, end_kw=None, **bent):
        """Judge the end of an interval at a mean power and go on to the next one."""
        end_kw = mean_kw if end_kw is None else end_kw
        self.counters += np.maximum([mean_kw * HOUR, -mean_kw * HOUR], 0.0)
        judged = self.judge.meter(self.reading(end_kw, devices=(), **bent), self.tick)
        self.tick += 1
        self.start_kw = end_kw
        return judged


def interval(meter, mean_kw=1.0, **bent):
    meter.measure()
    return meter.meter(mean_kw, **bent)


def test_a_sound_meter_is_believed():
    meter = Meter()
    for mean_kw in (1.0, 1.2, -0.4, -3.0, 2.0, 0.0, 0.0, 0.5):
        assert meter.measure()[1] == ()
        reading, failed = meter.meter(mean_kw)
        assert (reading.quality, failed) == ("good", ())


@given(st.lists(st.floats(-2.0, 4.0), min_size=1, max_size=30))
def test_no_load_within_the_connection_is_doubted_for_its_counter(powers_kw):
    meter = Meter()
    for mean_kw in powers_kw:
        reading, failed = interval(meter, mean_kw, end_kw=mean_kw)
        assert not set(failed) & {"counter", "rating", "frozen", "voltage"}
        assert reading.import_kwh == meter.counters[0]


@pytest.mark.parametrize(
    ("bent", "check"),
    [
        ({"p_kw": 40.0}, "rating"),
        ({"p_kw": -40.0}, "rating"),
        ({"v_pu": 0.4}, "voltage"),
        ({"import_kwh": 1100.0}, "energy"),
        ({"import_kwh": 900.0}, "counter"),
        ({"export_kwh": 0.0}, "counter"),
    ],
)
def test_a_reading_that_cannot_be_is_suspect_and_the_next_is_judged_by_what_was_trusted(bent, check):
    meter = Meter()
    interval(meter)
    meter.measure()
    reading, failed = meter.meter(1.0, **bent)
    assert reading.quality == "suspect"
    assert check in failed
    reading, failed = interval(meter)
    assert (reading.quality, failed) == ("good", ())


def test_a_wrong_scale_stays_suspect_for_as_long_as_it_lasts():
    meter = Meter()
    interval(meter)
    for _ in range(6):
        meter.measure(import_kwh=10 * meter.counters[0], export_kwh=10 * meter.counters[1], p_kw=10.0)
        meter.counters[0] += 0.25
        scaled = {"import_kwh": 10 * meter.counters[0], "export_kwh": 10 * meter.counters[1]}
        reading, failed = meter.judge.meter(meter.reading(10.0, devices=(), **scaled), meter.tick)
        meter.tick += 1
        assert reading.quality == "suspect"
        assert "energy" in failed
    assert interval(meter)[0].quality == "good"


def test_frozen_from_the_first_interval_until_it_moves():
    meter = Meter()
    interval(meter)
    frozen = meter.reading(1.0)
    kept = {name: getattr(frozen, name) for name in ("p_kw", "v_pu", "import_kwh", "export_kwh")}
    assert kept["import_kwh"] == 1000.25
    for _ in range(3):
        meter.measure(**kept)
        reading, failed = meter.meter(1.0, **kept)
        assert (reading.quality, failed) == ("suspect", ("frozen",))
        assert meter.judge.measure(meter.reading(1.0, **kept), meter.tick)[0].quality == "suspect"
    assert interval(meter)[0].quality == "good"


def test_a_meter_that_began_anew_is_believed_the_second_time():
    meter = Meter()
    interval(meter)
    meter.counters[:] = 0.0
    assert meter.measure()[1] == ("counter",)
    assert meter.meter()[0].quality == "good"
    assert interval(meter)[0].quality == "good"


def test_swapped_counters_are_no_new_meter():
    meter = Meter()
    interval(meter)
    for _ in range(4):
        meter.measure()
        imported, exported = meter.counters
        reading, failed = meter.meter(import_kwh=exported, export_kwh=imported)
        assert reading.quality == "suspect"
        assert "counter" in failed


def test_export_without_a_source_is_out_of_balance_until_the_end_of_the_interval():
    meter = Meter(battery=True)
    meter.judge.note_set_points("p", [], 0)
    assert meter.measure(p_kw=-1.0)[1] == ("balance",)
    assert meter.meter(-1.0)[0].quality == "suspect"
    meter.battery_kw = 1.5
    assert meter.measure(p_kw=-1.0)[1] == ()


def test_a_fast_clock_is_remarked_after_some_intervals_and_still_settled():
    meter = Meter()
    seen = [interval(meter, 1.8, end_kw=1.0) for _ in range(12)]
    assert all(reading.quality == "good" for reading, _ in seen)
    assert seen[0][1] == ()
    assert seen[-1][1] == ("drift",)


def test_a_device_that_does_not_follow_is_not_counted_on_for_a_while():
    meter = Meter(battery=True)
    meter.measure()
    meter.judge.note_set_points("p", [DeviceSetPoint(device="battery", power_kw=2.0)], 0)
    meter.meter(1.0)
    reading, failed = meter.measure()
    assert failed == ("follow",)
    assert reading.quality == "good"
    assert [state.quality for state in reading.devices] == ["suspect"]
    for _ in range(4):
        meter.meter(1.0)
        qualities = [state.quality for state in meter.measure()[0].devices]
    assert qualities == ["good"]


@pytest.mark.parametrize(("set_kw", "soc"), [(2.0, 0.0), (-2.0, 1.0)])
def test_a_battery_at_its_end_is_excused(set_kw, soc):
    meter = Meter(battery=True)
    meter.judge.note_set_points("p", [DeviceSetPoint(device="battery", power_kw=set_kw)], 0)
    meter.tick = 1
    state = DeviceState(device="battery", p_kw=0.0, min_kw=0.0, max_kw=0.0, soc=soc)
    assert meter.measure(devices=(state,))[1] == ()


def test_missing_readings_and_strangers_are_left_alone():
    judge = Plausibility({"p": 10.0}, HOUR)
    silent = Reading(prosumer="p", quality="held", p_kw=99.0)
    stranger = Reading(prosumer="q", quality="good", p_kw=99.0)
    assert judge.measure(silent, 0) == (silent, ())
    assert judge.meter(stranger, 0) == (stranger, ())


def drawing(power_kw):
    return (DeviceState(device="ev", p_kw=power_kw, min_kw=-7.4, max_kw=0.0),)


def test_a_charger_that_begins_within_an_interval_makes_no_meter_doubtful():
    meter = Meter()
    meter.measure(devices=drawing(0.0))
    # It draws 7 kW for half of the interval, and nothing at both ends.
    reading, failed = meter.meter(4.5, end_kw=1.0)
    assert (reading.quality, failed) == ("good", ())
    # Without it, such a mean is beyond what was read at both ends.
    sound = Meter()
    assert interval(sound, 4.5, end_kw=1.0)[1] == ("energy",)


def test_a_charger_that_draws_more_than_its_limit_does_not_follow():
    for power_kw, expected in ((-3.0, ()), (0.0, ()), (-7.0, ("follow",))):
        meter = Meter()
        meter.measure(devices=drawing(0.0))
        meter.judge.note_set_points("p", [DeviceSetPoint(device="ev", power_kw=-3.0)], 0)
        meter.meter(1.0)
        assert meter.measure(devices=drawing(power_kw), p_kw=1.0 - power_kw)[1] == expected
