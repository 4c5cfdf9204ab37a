"""A device by itself on a clock that a test moves: time, files, memory, registers through the profile."""

import numpy as np
import pytest

from devices.errors import DeviceError, MapError, PowerFileError, StateFileError
from devices.program.power_file import PowerFile
from devices.program.standalone import Nameplate, Standalone


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def plate(kind="meter", profile="sdm630", **more):
    return Nameplate(name="d", kind=kind, profile=profile, **more)


def after(device, clock, seconds):
    clock.now += seconds
    device.step()
    return device.read()


@pytest.mark.parametrize("profile", ["sdm630", "sunspec-meter"])
def test_a_meter_counts_what_flows(profile):
    clock = Clock()
    device = Standalone(plate(profile=profile), 4.0, clock=clock)
    read = after(device, clock, 1800.0)
    assert read["p_kw"] == 4.0
    assert read["import_kwh"] == pytest.approx(2.0)
    assert read["v_l1_v"] == 230.0
    assert read.keys() == device.units().keys()


def test_a_profile_of_ones_own_is_emulated_from_its_file(tmp_path):
    (tmp_path / "odd.toml").write_text(
        """
title = "A meter with its own ways"
kind = "meter"
source = "made for this test"
[modbus]
read_function = 3
order = "low first"
[quantities]
p_kw = "power"
import_kwh = "energy"
[points]
power = { at = 10, type = "int32", scale = 0.1, sign = -1, unit = "W" }
energy = { at = 20, type = "uint32", scale = 10.0, unit = "Wh" }
"""
    )
    clock = Clock()
    device = Standalone(plate(profile="odd"), 2.5, profiles=tmp_path, clock=clock)
    read = after(device, clock, 3600.0)
    assert (read["p_kw"], read["import_kwh"], read["q_kvar"]) == (2.5, 2.5, None)
    unit = device.unit
    assert unit.bank.read(unit.row, 10, 2) == [(-25_000) & 0xFFFF, (-25_000 >> 16) & 0xFFFF]
    assert unit.bank.read(unit.row, 20, 2) == [250, 0]


def test_an_inverter_is_limited_through_its_profile_and_reverts():
    clock = Clock()
    device = Standalone(plate("inverter", "sunspec-pv", rating_kw=6.0), 5.0, clock=clock)
    assert device.read()["p_kw"] == 5.0
    device.set_power(1.5, 30.0)
    assert after(device, clock, 20.0)["p_kw"] == pytest.approx(1.5)
    assert after(device, clock, 60.0)["p_kw"] == pytest.approx(5.0)
    device.set_power(0.0, 0.0)
    assert after(device, clock, 20.0)["p_kw"] == 0.0
    device.set_power(None, 0.0)
    assert after(device, clock, 20.0)["p_kw"] == pytest.approx(5.0)


def test_an_inverter_turns_irradiance_into_power_up_to_its_rating():
    clock = Clock()
    device = Standalone(plate("inverter", "sunspec-pv", rating_kw=5.0, modules_kwp=6.0), 500.0, clock=clock)
    assert after(device, clock, 60.0)["p_kw"] == pytest.approx(0.5 * 6.0 * 0.96)
    bright = Standalone(plate("inverter", "sunspec-pv", rating_kw=5.0, modules_kwp=6.0), 1000.0)
    assert bright.read()["p_kw"] == 5.0


def test_a_battery_obeys_and_its_registers_tell():
    clock = Clock()
    device = Standalone(
        plate("battery", "sunspec-battery", rating_kw=4.0, capacity_kwh=8.0, efficiency=1.0), clock=clock
    )
    device.set_power(-2.0, 0.0)
    read = after(device, clock, 3600.0)
    assert read["p_kw"] == -2.0
    assert read["soc"] == pytest.approx(0.75, abs=1e-3)
    assert read["charged_kwh"] == pytest.approx(2.0, abs=2e-3)
    names = [name for _, name, _, _ in device.registers.points()]
    assert "704.WSet" in names
    assert names == [name for _, name, _, _ in sorted(device.registers.points())]


@pytest.mark.parametrize("model", ["701", "802"])
def test_a_battery_that_tells_no_rate_of_charging_obeys_by_its_rating(model):
    clock = Clock()
    device = Standalone(plate("battery", "sunspec-battery", rating_kw=4.0, model=model), clock=clock)
    points = set(device.unit.bank.layout.points)
    for point in points & {"124.WChaMax", "802.WChaRteMax", "702.WChaRteMax", "120.MaxChaRte"}:
        device.unit.bank.put(point, np.nan)
    assert device.read()["charge_kw"] is None
    device.set_power(-2.0, 0.0)
    assert after(device, clock, 1.0)["p_kw"] == pytest.approx(-2.0)
    device.set_power(-9.0, 0.0)
    assert after(device, clock, 1.0)["p_kw"] == pytest.approx(-4.0)


def test_a_battery_speaks_through_model_802_too():
    clock = Clock()
    device = Standalone(plate("battery", "sunspec-battery", rating_kw=4.0, model="802"), clock=clock)
    device.set_power(2.0, 0.0)
    read = after(device, clock, 1800.0)
    assert read["p_kw"] == 2.0
    assert read["discharged_kwh"] == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize("model", ["103", "113", "701"])
def test_an_inverter_speaks_through_the_models_it_is_given(model):
    clock = Clock()
    device = Standalone(plate("inverter", "sunspec-pv", rating_kw=6.0, model=model), 5.0, clock=clock)
    device.set_power(1.5, 0.0)
    read = after(device, clock, 3600.0)
    assert read["p_kw"] == pytest.approx(1.5)
    assert read["energy_kwh"] == pytest.approx(1.5, abs=0.01)
    assert any(name.startswith(f"{model}.") for _, name, _, _ in device.registers.points())


@pytest.mark.parametrize(
    ("kind", "profile"), [("meter", "sdm630"), ("battery", "sunspec-battery"), ("inverter", "sunspec-pv")]
)
def test_a_model_that_a_device_cannot_have_is_refused(kind, profile):
    with pytest.raises(MapError, match="cannot measure with model 203"):
        Standalone(plate(kind, profile, model="203"))


def test_a_meter_cannot_be_told_anything():
    with pytest.raises(DeviceError, match="no registers through which"):
        Standalone(plate()).set_power(1.0, 0.0)


@pytest.mark.parametrize(
    ("kind", "profile"), [("meter", "sunspec-pv"), ("inverter", "sunspec-battery"), ("battery", "sdm630")]
)
def test_a_profile_of_another_kind_is_refused(kind, profile):
    with pytest.raises(MapError, match=r"is of a|cannot be emulated"):
        Standalone(plate(kind, profile))


def test_a_file_of_seconds_holds_and_begins_again(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("time,kW\n0,1\n60,3\n120,-2\n")
    file = PowerFile(path)
    assert [file.at(t) for t in (0, 59.9, 60, 179, 180, 241)] == [1, 1, 3, -2, 1, 3]
    assert not file.of_day


def test_a_file_of_the_day_follows_the_local_clock(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("06:00,1\n12:30:30,3\n")
    clock = Clock()
    device = Standalone(plate(), PowerFile(path), clock=clock, of_day=lambda: clock.now)
    clock.now = 12 * 3600.0
    assert after(device, clock, 0.5)["p_kw"] == 1.0
    assert after(device, clock, 3600.0)["p_kw"] == 3.0
    # Before the first time of the day the last of the day before holds.
    assert PowerFile(path).at(0.0) == 3.0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "give rows"),
        ("time,kw\n", "give rows"),
        ("0,1\n0,2\n", "row 2"),
        ("0,1\nx,2\n", ":2: 'x,2'"),
        ("0,1\n60\n", ":2: '60'"),
        ("0,1\n12:00,2\n", "all in seconds or all"),
        ("0,nan\n", "out of range"),
        ("25:00,1\n26:00,1\n", "25:00|give rows|:2"),
    ],
)
def test_a_file_that_is_no_power_is_named_with_its_line(tmp_path, text, says):
    path = tmp_path / "p.csv"
    path.write_text(text)
    with pytest.raises(PowerFileError, match=says):
        PowerFile(path)


def test_memory_goes_on_and_shows_no_more_than_is_written(tmp_path):
    state, clock = tmp_path / "s.json", Clock()
    device = Standalone(plate(), 3.6, state, save_every_s=10.0, clock=clock)
    shown = [after(device, clock, 1.0)["import_kwh"] for _ in range(25)]
    assert np.unique(shown).size == 3
    assert shown[-1] == pytest.approx(20 * 3.6 / 3600.0)
    again = Standalone(plate(), 3.6, state, clock=clock)
    assert again.read()["import_kwh"] == shown[-1]


def test_memory_of_a_battery_holds_its_charge(tmp_path):
    state, clock = tmp_path / "s.json", Clock()
    device = Standalone(plate("battery", "sunspec-battery"), state=state, clock=clock)
    device.set_power(3.0, 0.0)
    charge = after(device, clock, 1800.0)["soc"]
    device.save()
    again = Standalone(plate("battery", "sunspec-battery"), state=state, clock=clock)
    assert again.read()["soc"] == pytest.approx(charge)
    assert again.read()["discharged_kwh"] == pytest.approx(1.5, abs=0.02)


@pytest.mark.parametrize(("content", "says"), [("{}", "no state"), ("garbage", "no state")])
def test_a_damaged_memory_is_not_overwritten(tmp_path, content, says):
    path = tmp_path / "s.json"
    path.write_text(content)
    with pytest.raises(StateFileError, match=says):
        Standalone(plate(), state=path)
    assert path.read_text() == content


@pytest.mark.parametrize("loss", ["gone", "empty", "half"])
def test_a_lost_memory_is_taken_from_the_one_before(tmp_path, loss):
    state, clock = tmp_path / "s.json", Clock()
    device = Standalone(plate(), 3.6, state, save_every_s=10.0, clock=clock)
    after(device, clock, 10.0)
    after(device, clock, 10.0)
    whole = state.read_bytes()
    if loss == "gone":
        state.unlink()
    else:
        state.write_bytes(b"" if loss == "empty" else whole[: len(whole) // 2])
    again = Standalone(plate(), 3.6, state, clock=clock)
    assert again.read()["import_kwh"] == pytest.approx(10 * 3.6 / 3600.0)
    assert "goes on from s.json.before" in again.note
    assert Standalone(plate(), 3.6, state, clock=clock).note == ""


def test_the_memory_of_another_device_is_refused(tmp_path):
    path = tmp_path / "s.json"
    Standalone(plate(), state=path)
    with pytest.raises(StateFileError, match="belongs to d, not other"):
        Standalone(Nameplate(name="other", kind="meter", profile="sdm630"), state=path)


def test_a_pause_is_played_in_pieces():
    clock = Clock()
    device = Standalone(plate("inverter", "sunspec-pv", rating_kw=5.0), 5.0, clock=clock)
    device.set_power(0.0, 90.0)
    after(device, clock, 3600.0)
    # A limit of 90 s, with ramps of 10 s both ways.
    assert device.read()["energy_kwh"] == pytest.approx((3600.0 - 90.0) * 5.0 / 3600.0, abs=0.02)
