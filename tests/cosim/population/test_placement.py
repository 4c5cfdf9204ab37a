import math
from types import SimpleNamespace

import numpy as np
import pytest

from cosim.population.placement import place_devices
from cosim.scenario import ScenarioError, load_scenario
from devices.endpoint import LiveProsumer, parse_endpoint
from devices.limits import SetPointLimits

PEOPLE = SimpleNamespace(
    id=["both", "pv", "battery", "virtual"],
    live=np.array([True, True, True, False]),
    pv_kwp=np.array([5.0, 5.0, 0.0, 5.0]),
    has_battery=np.array([True, False, True, False]),
    size=4,
)
METER = '[[devices]]\nprosumer = "both"\nprofile = "sdm630"\nconnect = "tcp://10.0.0.5/1"\n'
PV = METER.replace("sdm630", "sunspec-pv").replace("5/1", "5/2")
BATTERY = METER.replace("sdm630", "sunspec-battery").replace("5/1", "5/3")
SERIAL = METER.replace("tcp://10.0.0.5/1", "rtu:///dev/ttyUSB0/1?baud=9600")
ARMED = "armed = true\nmin_kw = -2.0\nmax_kw = 3.0\n"


def placed(text, tmp_path):
    (tmp_path / "scenario.toml").write_text(text)
    return place_devices(load_scenario(tmp_path / "scenario.toml"), PEOPLE)


def emulated(name="both"):
    return LiveProsumer(
        id=name,
        meter=parse_endpoint("tcp://127.0.0.1:1/1", "sdm630"),
        pv=parse_endpoint("tcp://127.0.0.1:1/2", "sunspec-pv"),
        battery=parse_endpoint("tcp://127.0.0.1:1/3", "sunspec-battery"),
    )


def test_one_entry_puts_a_real_device_in_place_of_an_emulated_one(tmp_path):
    placement = placed(METER, tmp_path)
    home = placement.connect(emulated(), arm=False, observe=False)
    assert str(home.meter) == "unit 1 at 10.0.0.5:502"
    assert home.real_meter
    assert home.pv == emulated().pv
    assert home.pv_limits == SetPointLimits()
    assert placement.connect(emulated("pv"), arm=False, observe=False) == emulated("pv")


@pytest.mark.parametrize(
    ("arm", "armed", "written"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_hardware_is_commanded_only_where_run_and_entry_arm_it(arm, armed, written, tmp_path):
    placement = placed(METER + BATTERY + (ARMED if armed else ""), tmp_path)
    limits = placement.connect(emulated(), arm=arm, observe=False).battery_limits
    assert (limits.real, limits.armed) == (True, written)


def test_what_a_profile_leaves_unconfirmed_is_armed_only_by_a_key_of_its_own(tmp_path):
    battery = METER + BATTERY.replace("sunspec-battery", "kostal-battery")
    with pytest.raises(
        ScenarioError, match=r"profile kostal-battery leaves unconfirmed .* accept_unconfirmed"
    ):
        placed(battery + ARMED, tmp_path)
    placement = placed(battery + ARMED + "accept_unconfirmed = true\n", tmp_path)
    assert placement.connect(emulated(), arm=True, observe=False).battery_limits.armed
    assert placed(battery, tmp_path).hardware


def test_keys_of_an_entry_are_the_guard_of_its_device(tmp_path):
    keys = "ramp_kw_per_s = 0.5\nwrite_interval_s = 5.0\nrevert_s = 120.0\nsafe_kw = 1.0\n"
    placement = placed(METER + BATTERY + ARMED + keys, tmp_path)
    assert placement.connect(emulated(), arm=True, observe=False).battery_limits == SetPointLimits(
        real=True,
        min_kw=-2.0,
        max_kw=3.0,
        ramp_kw_per_s=0.5,
        write_interval_s=5.0,
        revert_s=120.0,
        safe_kw=1.0,
    )
    free = placed(METER + BATTERY + "ramp_kw_per_s = 0.0\nrevert_s = 0.0\n", tmp_path)
    limits = free.connect(emulated(), arm=True, observe=False).battery_limits
    assert (limits.ramp_kw_per_s, limits.revert_s) == (math.inf, math.inf)
    assert (limits.min_kw, limits.max_kw, limits.armed) == (0.0, 0.0, False)


def test_observing_disarms_emulated_devices_too(tmp_path):
    home = placed(METER, tmp_path).connect(emulated(), arm=True, observe=True)
    assert not home.pv_limits.armed
    assert not home.battery_limits.armed


def test_devices_on_a_broker_and_behind_http_take_the_same_place(tmp_path):
    meter = METER.replace("sdm630", "shelly-3em-http").replace("tcp://10.0.0.5/1", "http://10.0.0.6")
    battery = BATTERY.replace("sunspec-battery", "sharegrid-battery")
    battery = battery.replace("tcp://10.0.0.5/3", "mqtt://me:secret@hub/b1")
    placement = placed(meter + battery + ARMED, tmp_path)
    home = placement.connect(emulated(), arm=True, observe=False)
    assert (str(home.meter), str(home.battery)) == ("10.0.0.6:80", "b1 at hub:1883")
    assert home.battery_limits.armed
    assert home.battery_limits.min_kw == -2.0


@pytest.mark.parametrize(
    ("profile", "connect", "more", "complaint"),
    [
        ("shelly-3em", "http://10.0.0.6", "", "speaks mqtt"),
        ("homeassistant-battery", "mqtt://broker/b", ARMED, "only reads"),
        ("sharegrid-battery", "mqtt://broker/b", 'clock = "run"\n', "lives in real time"),
        ("sharegrid-battery", "mqtt://broker", "", "no address of a device"),
        ("sunspec-battery", "mqtt://broker/b", "", "no profile 'sunspec-battery' among"),
    ],
)
def test_what_does_not_fit_on_a_broker_is_said_in_one_line(profile, connect, more, complaint, tmp_path):
    entry = f'[[devices]]\nprosumer = "both"\nprofile = "{profile}"\nconnect = "{connect}"\n{more}'
    with pytest.raises(ScenarioError) as caught:
        placed(METER + entry, tmp_path)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


CHARGER = METER.replace("sdm630", "ocpp").replace("tcp://10.0.0.5/1", "ocpp://:secret@0.0.0.0:9000/CP1")
DRAWS = "armed = true\nmin_kw = -11.0\nmax_kw = 0.0\n"


def test_a_charger_is_one_more_device_of_any_live_prosumer(tmp_path):
    placement = placed(
        METER + CHARGER + DRAWS + 'energy_kwh = 20.0\ndeparts = "07:30"\nworth = 0.2\n', tmp_path
    )
    home = placement.connect(emulated(), arm=True, observe=False)
    assert str(home.ev) == "CP1 at 0.0.0.0:9000"
    assert (home.ev_limits.armed, home.ev_limits.min_kw) == (True, -11.0)
    assert (home.session.energy_kwh, home.session.departs_min) == (20.0, 450.0)
    assert placement.worth == {"both": {"ev": 0.2}}
    assert placement.drawn_kw("both") == 22.0
    assert placement.drawn_kw("pv") == 0.0
    assert not placement.connect(emulated(), arm=True, observe=True).ev_limits.armed


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ("armed = true\nmin_kw = -11.0\nmax_kw = 3.0\n", "only draw"),
        ("armed = true\nmin_kw = 0.0\nmax_kw = 0.0\n", "only draw"),
        ('departs = "7:30"\n', "departs"),
        ('clock = "run"\n', "lives in real time"),
    ],
)
def test_a_charger_that_cannot_be_is_said_in_one_line(more, complaint, tmp_path):
    with pytest.raises(ScenarioError) as caught:
        placed(METER + CHARGER + more, tmp_path)
    assert complaint in str(caught.value)
    assert "secret" not in str(caught.value)


def test_followers_are_those_whose_devices_all_follow_the_run(tmp_path):
    text = "".join(entry + 'clock = "run"\n' for entry in (METER, PV, BATTERY))
    placement = placed(text, tmp_path)
    assert list(placement.followers) == ["both"]
    assert placement.hardware == []
    assert placement.connect(emulated(), arm=False, observe=False).pv_limits == SetPointLimits()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            METER.replace("both", "nobody"),
            r"\[\[devices\]\] 1 \(nobody\): no live prosumer has this name; live are both",
        ),
        (METER.replace("both", "virtual"), "no live prosumer has this name"),
        (METER.replace("sdm630", "sdm631"), "no profile 'sdm631' among em24"),
        (METER.replace("tcp:", "udp:"), "is no address of a device"),
        ((METER + PV).replace("both", "battery"), "the prosumer owns no pv"),
        (METER + METER, "its meter is named twice"),
        (METER + BATTERY + "armed = true\n", "its envelope is a single value"),
        (METER + "armed = true\n", "a meter takes no commands; leave armed out"),
        (METER + BATTERY + "min_kw = 1.0\n", "min_kw = 1 is above max_kw = 0"),
        (METER + BATTERY + ARMED + "safe_kw = 9.0\n", "safe_kw = 9 is outside"),
        (METER + PV + "armed = true\nmin_kw = -3.0\nmax_kw = -1.0\nsafe_kw = -1.0\n", "PV only generates"),
        (SERIAL + SERIAL.replace("sdm630", "sunspec-pv").replace("9600", "19200"), "has other settings"),
        (METER + PV.replace("/2", "/1"), "unit 1 at 10.0.0.5:502 is named before"),
        (PV, "an emulated meter cannot see"),
        (METER + PV + 'clock = "run"\n', "cannot be mixed"),
        (METER + 'clock = "run"\n', "name its battery, pv too"),
    ],
)
def test_what_cannot_be_wired_is_said_in_one_line(text, complaint, tmp_path):
    with pytest.raises(ScenarioError, match=complaint) as caught:
        placed(text, tmp_path)
    assert "\n" not in str(caught.value)


def test_profiles_of_ones_own_lie_beside_the_scenario(tmp_path):
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "mine.toml").write_text(
        'title = "t"\nkind = "meter"\nsource = "s"\n'
        'quantities = { p_kw = "p", import_kwh = "e" }\n'
        '[points]\np = { at = 0, type = "int16", unit = "W" }\ne = { at = 1, type = "uint32", unit = "Wh" }\n'
    )
    text = '[live]\nprofiles = "maps"\n' + METER.replace("sdm630", "mine")
    home = placed(text, tmp_path).connect(emulated(), arm=False, observe=False)
    assert home.meter.profile == "mine"
