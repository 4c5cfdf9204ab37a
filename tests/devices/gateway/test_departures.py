"""Vehicles and work at real devices that do not get what they want in time: each is named, once."""

import pytest

from broker.messages import DeviceState
from devices.gateway.departures import Departures
from devices.gateway.reading import Reading


class Charger:
    """A real charger of `mill`, a quarter of an hour at a time."""

    def __init__(self, device="ev", real=(("mill", "ev"), ("mill", "load"))):
        self.now_s = 0.0
        self.device = device
        self.departures = Departures(real, lambda: self.now_s)

    def shows(self, needs_kwh, left_s=None, quality="good", after_s=900.0):
        state = DeviceState(
            device=self.device,
            p_kw=0.0,
            min_kw=-11.0,
            max_kw=0.0,
            needs_kwh=needs_kwh,
            left_s=left_s,
            quality=quality,
        )
        told = self.departures.take(Reading(prosumer="mill", quality="good", devices=(state,)))
        self.now_s += after_s
        return told


def test_a_vehicle_that_leaves_early_is_named_once_with_what_it_lacks():
    charger = Charger()
    assert charger.shows(None) == []
    assert charger.shows(20.0, 7200.0) == charger.shows(14.5, 6300.0) == []
    assert charger.shows(None) == ["up to 14.5 kWh that the vehicle of mill wanted are missing: it has left"]
    assert charger.shows(None) == []


@pytest.mark.parametrize("after", [[0.0, 0.0], [86_000.0, 85_000.0], [None, None]])
def test_a_vehicle_that_stays_beyond_its_time_is_named_once(after):
    charger = Charger()
    assert charger.shows(20.0, 600.0) == []
    assert charger.shows(14.5, after[0]) == ["14.5 kWh that the vehicle of mill wanted by now are missing"]
    assert charger.shows(12.0, after[1]) == charger.shows(None) == []


def test_the_next_vehicle_is_another():
    charger = Charger()
    charger.shows(20.0, 600.0)
    assert len(charger.shows(14.5, 0.0)) == 1
    assert charger.shows(None) == charger.shows(5.0, 600.0) == []
    assert len(charger.shows(4.0, 0.0)) == 1


def test_who_has_what_it_wants_is_not_named():
    charger = Charger()
    assert charger.shows(20.0, 1800.0) == charger.shows(0.03, 900.0) == charger.shows(0.0, 0.0) == []
    assert charger.shows(None) == []


def test_a_charger_that_is_not_read_has_not_lost_its_vehicle():
    charger = Charger()
    assert charger.shows(20.0, 7200.0) == []
    assert charger.shows(None, quality="missing") == charger.shows(20.0, 7200.0, quality="held") == []
    assert len(charger.shows(None)) == 1


def test_work_that_is_not_done_in_time_is_named_too():
    load = Charger(device="load")
    assert load.shows(2.0, 900.0) == []
    assert load.shows(1.5, 0.0) == ["1.5 kWh that the load of mill wanted by now are missing"]


def test_devices_of_the_run_itself_are_left_to_their_host():
    emulated = Charger(real=())
    assert emulated.shows(20.0, 600.0) == emulated.shows(None) == []
