import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.errors import MissingControl, RangeError
from devices.limits import SetPointLimits, admissible_kw
from devices.registers.bounded import exact
from devices.registers.commands import LONGEST_REVERT_S, choose, command_words, release, set_power
from devices.registers.models import model
from devices.registers.points import decode
from devices.registers.profiles import load_profile, shipped_profiles
from devices.registers.ratings import Ratings

PV, BATTERY = load_profile("sunspec-pv"), load_profile("sunspec-battery")


def points(*models):
    return {f"{number}.{name}" for number in models for name in model(number).points}


def pv_limit(models, rating_kw, power_kw, valid_s):
    return set_power(PV, points(*models), Ratings(rating_kw), power_kw, valid_s, "unit 3")


def battery_power(models, charge_kw, discharge_kw, power_kw, valid_s):
    ratings = Ratings(None, charge_kw, discharge_kw)
    return set_power(BATTERY, points(*models), ratings, power_kw, valid_s, "unit 3")


def test_pv_limit_goes_out_as_one_block_with_its_enable():
    command = pv_limit({1, 103, 123}, 8.0, 2.0, 899.5)
    assert command.writes == [
        {
            "123.WMaxLimPct": 25.0,
            "123.WMaxLimPct_WinTms": 0,
            "123.WMaxLimPct_RvrtTms": 900,
            "123.WMaxLimPct_RmpTms": 0,
            "123.WMaxLim_Ena": 1,
        }
    ]
    assert "123.WMaxLimPct" not in command.optional
    assert command.revert_s == 900.0


@pytest.mark.parametrize(("power_kw", "percent"), [(-1.0, 0.0), (9.0, 100.0)])
def test_pv_limit_stays_within_the_rating(power_kw, percent):
    assert pv_limit({123}, 8.0, power_kw, 0.0).writes[0]["123.WMaxLimPct"] == percent


def test_revert_time_fits_its_register():
    command = pv_limit({123}, 8.0, 1.0, 1e6)
    assert command.writes[0]["123.WMaxLimPct_RvrtTms"] == command.revert_s == 0xFFFE
    assert pv_limit({704}, 8.0, 1.0, 1e12).revert_s == LONGEST_REVERT_S


def test_no_validity_means_no_revert():
    command = pv_limit({123}, 8.0, 1.0, 0.0)
    assert command.writes[0]["123.WMaxLimPct_RvrtTms"] == 0
    assert command.revert_s == math.inf


def test_newer_inverters_are_limited_through_their_own_model():
    command = pv_limit({701, 704}, 8.0, 2.0, 900.0)
    assert [list(batch) for batch in command.writes] == [
        ["704.WMaxLimPctRvrtTms"],
        ["704.WMaxLimPctEna", "704.WMaxLimPct"],
    ]


def test_points_that_a_device_lacks_are_left_out_where_they_may_be():
    has = points(123) - {"123.WMaxLimPct_RvrtTms", "123.WMaxLimPct_WinTms"}
    command = set_power(PV, has, Ratings(8.0), 2.0, 900.0, "unit 3")
    assert list(command.writes[0]) == ["123.WMaxLimPct", "123.WMaxLimPct_RmpTms", "123.WMaxLim_Ena"]
    assert command.revert_s == math.inf


def test_lifting_a_limit_needs_no_rating():
    assert release(PV, points(123), "it").writes == [{"123.WMaxLim_Ena": 0}]
    assert release(PV, points(704), "it").writes == [{"704.WMaxLimPctEna": 0}]


def test_battery_is_set_in_watts():
    command = battery_power({124, 704}, 5.0, 5.0, -1.5, 900.0)
    assert command.writes[-1] == {"704.WSetEna": 1, "704.WSetMod": 1, "704.WSet": -1500.0}


def test_battery_with_a_band_alone_is_forced_from_both_sides():
    command = battery_power({124}, 4.0, 5.0, -1.0, 900.0)
    # Both are shares of WChaMax, the one power that model 124 has.
    assert command.writes[0]["124.OutWRte"] == -25.0
    assert command.writes[0]["124.InWRte"] == 25.0
    assert command.writes[1] == {"124.StorCtl_Mod": 3}


def test_control_of_a_battery_is_given_back():
    assert release(BATTERY, points(704), "it").writes == [{"704.WSetEna": 0}]
    assert release(BATTERY, points(124), "it").writes == [{"124.StorCtl_Mod": 0}]


@pytest.mark.parametrize(
    "ask",
    [
        lambda: pv_limit({1, 103}, 5.0, 1.0, 0.0),
        lambda: release(PV, points(1, 103), "unit 3"),
        lambda: pv_limit({123}, None, 1.0, 0.0),
        lambda: battery_power({1, 103}, 5.0, 5.0, 1.0, 0.0),
        lambda: battery_power({124}, None, 5.0, 1.0, 0.0),
        lambda: set_power(load_profile("sdm630"), {"P"}, Ratings(1.0), 1.0, 0.0, "unit 3"),
    ],
)
def test_what_cannot_be_commanded_is_named(ask):
    with pytest.raises(MissingControl, match="unit 3"):
        ask()


def test_a_device_as_ieee_1547_has_it_falls_back_to_within_its_envelope():
    limits = SetPointLimits(min_kw=-3.0, max_kw=3.0)
    battery = set_power(BATTERY, points(704), Ratings(5.0, 5.0, 5.0), 2.0, 900.0, "it", limits)
    assert battery.writes[0] == {"704.WSetRvrt": 0.0, "704.WSetEnaRvrt": 1.0, "704.WSetRvrtTms": 900}
    pv = set_power(PV, points(704), Ratings(6.0), 2.0, 900.0, "it", limits)
    assert pv.writes[0] == {
        "704.WMaxLimPctRvrt": 50.0,
        "704.WMaxLimPctEnaRvrt": 1.0,
        "704.WMaxLimPctRvrtTms": 900,
    }
    free = set_power(PV, points(704), Ratings(2.0), 2.0, 900.0, "it", limits)
    assert list(free.writes[0]) == ["704.WMaxLimPctRvrtTms"]


COMMANDED = [
    name for name in shipped_profiles() if load_profile(name).points and load_profile(name).commands.set
]
edges = st.tuples(st.floats(-100.0, 100.0), st.floats(-100.0, 100.0)).map(sorted)


@pytest.mark.parametrize("name", COMMANDED)
@given(edges_kw=edges, power_kw=st.floats(-1000.0, 1000.0), rating_w=st.integers(1, 100_000))
@settings(max_examples=100, deadline=None)
def test_all_words_of_every_makers_command_stand_for_powers_within_the_envelope(
    name, edges_kw, power_kw, rating_w
):
    profile = load_profile(name)
    low_kw, high_kw = edges_kw
    limits = SetPointLimits(min_kw=low_kw, max_kw=high_kw)
    rating_kw = rating_w / 1000.0
    ratings = Ratings(rating_kw, rating_kw, rating_kw)
    recipe = choose(profile.commands.set, profile.points, "it", admissible_kw(limits, power_kw))
    try:
        command = set_power(profile, profile.points, ratings, power_kw, 900.0, "it", limits)
        written = command_words(command, profile.points, lambda name: 0, "it")
    except RangeError:
        return
    carried = {name: what for batch in recipe.writes for name, what in batch.items()}
    powers_kw = []
    for batch in written:
        for point_name, words in batch.items():
            number = decode(profile.point(point_name), words)
            if carried[point_name] in ("power", "magnitude"):
                sign = -1 if recipe.when == "charging" else 1
                powers_kw.append(sign * Fraction(repr(float(number))) / 1000)
            elif carried[point_name] == "percent of rating":
                powers_kw.append(Fraction(repr(float(number))) * exact(rating_kw) / 100)
    for written_kw in powers_kw:
        assert exact(low_kw) <= written_kw <= exact(high_kw), (command.values, recipe.when)
    assert powers_kw or recipe.when == "idle"


def test_a_heartbeat_is_another_number_each_time(tmp_path):
    (tmp_path / "beating.toml").write_text(
        'title = "Beating"\nkind = "pv"\nsource = "none"\n[quantities]\np_kw = "power"\n[points]\n'
        'power = { at = 0, type = "uint16", unit = "W" }\n'
        'limit = { at = 1, type = "uint16", unit = "W", rw = true }\n'
        'alive = { at = 2, type = "uint16", rw = true, limits = [1, 3] }\n'
        '[[commands.set]]\nwrites = [{ limit = "power", alive = "heartbeat" }]\n'
        "reverts_after_s = 20\npause_s = 0.5\n"
        "[[commands.release]]\nwrites = [{ alive = 0 }]\n"
    )
    profile = load_profile("beating", tmp_path)
    commands = [set_power(profile, profile.points, Ratings(5.0), 1.0, 0.0, "it", beat=k) for k in range(5)]
    assert [command.values["alive"] for command in commands] == [1, 2, 3, 1, 2]
    assert {(c.revert_s, c.pause_s, c.unverified) for c in commands} == {(20.0, 0.5, frozenset({"alive"}))}
