import contextlib
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devices.errors import DeviceError, MapError
from devices.registers.commands import command_words, set_power
from devices.registers.point_map import PointMap
from devices.registers.points import word_count
from devices.registers.profiles import load_profile, shipped_profiles
from devices.registers.quantities import terms_of
from devices.registers.ratings import Ratings
from devices.registers.schema import conversion

GOOD = """
title = "A meter of another maker"
kind = "meter"
source = "its manual"

[modbus]
order = "low first"

[quantities]
p_kw = "power"
import_kwh = "day + night"

[points]
power = { at = 10, type = "int32", scale = 0.1, sign = -1, unit = "W" }
day = { at = 12, type = "uint32", scale = 0.01, unit = "kWh" }
night = { at = 14, type = "uint32", scale = 0.01, unit = "kWh" }
setting = { at = 16, type = "uint16", unit = "s", rw = true }
"""


RELEASE = "\n[[commands.release]]\nwrites = []"


def write(folder, text, name="mine"):
    (folder / f"{name}.toml").write_text(text)
    return load_profile(name, folder)


@pytest.mark.parametrize("name", shipped_profiles())
def test_shipped_profiles_load_and_their_points_do_not_overlap(name):
    profile = load_profile(name)
    assert profile.quantities
    spans = sorted((point.at, point.at + word_count(point)) for point in profile.points.values())
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


def test_a_profile_of_ones_own_is_read_from_its_folder(tmp_path):
    profile = write(tmp_path, GOOD)
    assert profile.points["power"].order == "low first"
    assert not profile.points["power"].markers
    assert profile.alternatives("import_kwh") == ((("day", 1), ("night", 1)),)


def test_an_own_profile_goes_before_a_shipped_one(tmp_path):
    assert write(tmp_path, GOOD, "sdm630").title == "A meter of another maker"
    assert load_profile("sdm630").title == "Eastron SDM630 energy meter"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("p_kw =", "power_kw ="), "has to tell p_kw"),
        (('p_kw = "power"', 'p_kw = "pover"'), "quantities.p_kw: there is no point pover"),
        (("import_kwh =", 'p_kvar = "power"\nimport_kwh ='), "quantities.p_kvar: a meter has p_kw"),
        (('unit = "W"', 'unit = "V"'), "quantities.p_kw: power is not in kW"),
        (
            (
                'night = { at = 14, type = "uint32", scale = 0.01, unit = "kWh"',
                'night = { at = 14, type = "uint32", unit = "Wh"',
            ),
            "have different units",
        ),
        (("scale = 0.1", "scale = -0.1"), "use sign = -1"),
        (("at = 10", "at = 65535"), "points.power: register 65535 lies outside"),
        (('type = "int32"', 'type = "int33"'), "no usable map"),
        (("[points]", "[pionts]"), "no usable map"),
        (
            (
                'unit = "s", rw = true }',
                'unit = "s" }\n[[commands.set]]\nwrites = [{ setting = 1 }]' + RELEASE,
            ),
            "setting is no point that may be written",
        ),
        (
            (
                "rw = true }",
                'rw = true }\n[[commands.set]]\nwrites = [{ setting = "power" }]' + RELEASE,
            ),
            "setting is in s, so it can hold no power",
        ),
        (
            ("rw = true }", "rw = true }\n[[commands.set]]\nwrites = [{ setting = 1 }]"),
            "add commands.release",
        ),
    ],
)
def test_what_is_wrong_with_a_profile_is_said_in_one_line(tmp_path, change, complaint):
    assert change[0] in GOOD
    with pytest.raises(MapError, match=complaint) as caught:
        write(tmp_path, GOOD.replace(*change))
    assert "mine.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


BATTERY = """
title = "A battery"
kind = "battery"
source = "its manual"

[quantities]
p_kw = "out - in"
soc = "charge"
rating_kw = "rating"

[points]
out = { at = 0, type = "uint16", unit = "W" }
in = { at = 1, type = "uint16", unit = "W" }
charge = { at = 2, type = "uint16", unit = "%" }
rating = { at = 3, type = "uint16", unit = "W" }
mode = { at = 10, type = "uint16", rw = true, names = { stop = 0, charge = 1, discharge = 2 } }
in_w = { at = 11, type = "uint16", unit = "W", rw = true }
out_w = { at = 12, type = "uint16", unit = "W", rw = true }
state = { at = 13, type = "uint16", names = { local = 0, remote = 1 }, bits = [4, 5] }

[[needs]]
point = "state"
equals = ["remote"]
reason = "it is not under remote control; switch it over"

[[commands.set]]
when = "charging"
writes = [{ in_w = "magnitude" }, { mode = "charge" }]

[[commands.set]]
when = "discharging"
writes = [{ out_w = "magnitude" }, { mode = "discharge" }]

[[commands.set]]
when = "idle"
writes = [{ mode = "stop" }]

[[commands.release]]
writes = [{ mode = "stop" }]
"""


def test_a_battery_set_by_direction_is_understood(tmp_path):
    profile = write(tmp_path, BATTERY)
    assert profile.alternatives("p_kw") == ((("out", 1), ("in", -1)),)
    assert [recipe.is_for(-1.0) for recipe in profile.commands.set] == [True, False, False]
    assert profile.expected("mode", "discharge") == 2.0
    assert profile.required == ("p_kw",)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (('when = "idle"', 'when = "discharging"'), "needs a recipe for no power"),
        (('when = "charging"', 'when = "discharging"'), "needs recipes for charging and for discharging"),
        (
            ('when = "idle"\nwrites = [{ mode', 'when = "idle"\nwrites = [{ in_w = "magnitude", mode'),
            "in_w holds a magnitude, so its recipe needs when",
        ),
        (('mode = "charge" }', 'mode = "fill" }'), "mode has no number named 'fill'"),
        (('out_w = "magnitude"', 'in_w = "magnitude"'), "in_w takes powers of both directions"),
        (('{ out_w = "magnitude" }', "{ out_w = 500 }"), "out_w carries a power, so only 0 or a set-point"),
        (("bits = [4, 5]", "bits = [4, 16]"), "bits 4 to 16 are not within it"),
        (("bits = [4, 5]", "bits = [4, 5], rw = true"), "some bits of a register cannot be written alone"),
        (('equals = ["remote"]', 'equals = ["far"]'), "needs: state has no number of that name"),
        (('equals = ["remote"]', "equals = []"), "needs: state needs either equals or between"),
        (('reason = "it is not under remote control; switch it over"', ""), "needs: state lacks reason"),
        (
            (
                '[[commands.release]]\nwrites = [{ mode = "stop" }]',
                '[[commands.release]]\nwrites = [{ in_w = "power" }]',
            ),
            "commands.release writes numbers alone",
        ),
        (
            ('mode = "stop" }]\n\n[[commands.release]]', "mode = 70000 }]\n\n[[commands.release]]"),
            "mode: 70000",
        ),
        (('p_kw = "out - in"', 'p_kw = "out in"'), "'out in' is no sum"),
        (('p_kw = "out - in"', 'p_kw = ""'), "'' is no sum"),
        (('p_kw = "out - in"', "p_kw = []"), "a battery has to tell p_kw"),
        (('p_kw = "out - in"', 'p_kw = "900-950.W"'), "there is no point 900-950.W"),
        (("rw = true, names", "rw = true, limits = [2, 1], names"), "limits 2 to 1 hold nothing"),
        (('unit = "%" }', 'unit = "%", sf = "rating" }'), "rating is no scale factor"),
        (
            ('type = "uint16", unit = "%" }', 'type = "int16", unit = "%", sf = "charge" }'),
            "charge is no scale factor",
        ),
        (("mode = { at = 10", "mode = { repeat = 1000000000, at = 10"), "no usable map"),
        (('kind = "battery"', 'kind = "battery"\nrequired = ["capacity_kwh"]'), "has to tell capacity_kwh"),
    ],
)
def test_what_is_wrong_with_commands_is_said_in_one_line(tmp_path, change, complaint):
    assert change[0] in BATTERY
    with pytest.raises(MapError, match=complaint):
        write(tmp_path, BATTERY.replace(*change))


def test_one_register_for_both_directions_is_stopped_first(tmp_path):
    text = BATTERY.replace(
        'writes = [{ in_w = "magnitude" }', 'writes = [{ mode = "stop" }, { in_w = "magnitude" }'
    ).replace('writes = [{ out_w = "magnitude" }', 'writes = [{ mode = "stop" }, { in_w = "magnitude" }')
    assert len(write(tmp_path, text).commands.set) == 3


def test_copies_of_a_point_stand_one_after_another(tmp_path):
    text = GOOD.replace(
        "[points]", '[points]\nv = { at = 20, type = "uint16", unit = "V", repeat = 3, step = 2 }'
    )
    points = write(tmp_path, text).points
    assert [points[f"v.{k}"].at for k in (1, 2, 3)] == [20, 22, 24]
    assert "v" not in points


def test_a_profile_like_another_one_says_only_what_differs(tmp_path):
    turned = """
like = "sunspec-meter"
title = "A meter that counts export"
source = "seen at one"

[quantities]
import_kwh = "201-204.TotWhExp"
q_kvar = []

[corrections]
"203.W" = { sign = -1, scale = 0.1 }
"""
    profile = write(tmp_path, turned)
    assert profile.sunspec
    assert (profile.point("203.W").sign, profile.point("203.W").scale) == (-1, 0.1)
    assert profile.point("201.W").sign == 1
    assert profile.alternatives("import_kwh")[2] == (("203.TotWhExp", 1),)
    assert len(profile.alternatives("p_kw")) == 8
    assert "q_kvar" not in profile.quantities
    with pytest.raises(MapError, match="leads round"):
        write(tmp_path, 'like = "round"', "round")


def test_the_number_of_a_meter_in_a_chain_stands_behind_the_name():
    assert load_profile("sunspec-meter#2").nth == 2
    assert load_profile("sunspec-meter").nth == 1
    with pytest.raises(MapError, match=r"sunspec-meter\.toml is no usable map"):
        load_profile("sunspec-meter#two")


def test_a_set_point_of_several_registers_is_never_written_one_by_one(tmp_path):
    text = GOOD.replace('order = "low first"', 'order = "low first"\nwrite_function = 6').replace(
        'unit = "s", rw = true }',
        'unit = "s", rw = true }\nlimit = { at = 90, type = "int32", unit = "W", rw = true }\n'
        '[[commands.set]]\nwrites = [{ limit = "power" }]' + RELEASE,
    )
    with pytest.raises(MapError, match="write_function 6 writes the registers of limit one by one; use 16"):
        write(tmp_path, text)
    assert write(tmp_path, text.replace("write_function = 6", "write_function = 16")).commands.set


def test_a_missing_profile_is_named_with_those_there_are(tmp_path):
    with pytest.raises(MapError, match=r"no profile 'nosuch' among .*sdm630.*sunspec-battery"):
        load_profile("nosuch", tmp_path)


@pytest.mark.parametrize(
    ("unit", "wanted", "factor"),
    [
        ("W", "kW", 1e-3),
        ("MWh", "kWh", 1e3),
        ("% WMax", "1", 0.01),
        ("V", "V", 1.0),
        ("V", "kW", None),
        (None, "1", 1.0),
    ],
)
def test_units_are_converted(unit, wanted, factor):
    assert conversion(unit, wanted) == factor


JUNK = ("", "-", "1e400", '"', "0", "nan", "[]", "{}", " + ", "W", "100-200.W", "true")


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_stands_in_a_profile_it_is_used_or_refused_in_one_line(tmp_path, data):
    lines = data.draw(st.sampled_from([GOOD, BATTERY])).splitlines()
    for _ in range(data.draw(st.integers(1, 3))):
        number = data.draw(st.integers(0, len(lines) - 1))
        line = lines[number]
        at = data.draw(st.integers(0, len(line)))
        junk = data.draw(
            st.sampled_from(["", "-", "1e400", '"', "0", "nan", "[]", "{}", " + ", "W", "100-200.W", "true"])
        )
        lines[number] = line[:at] + junk + line[at + data.draw(st.integers(0, 6)) :]
    path = tmp_path / f"{data.draw(st.integers(0, 2**40))}.toml"
    path.write_text("\n".join(lines))
    try:
        profile = load_profile(path.stem, tmp_path)
    except MapError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        places = PointMap(profile, ()).places
        assert terms_of(profile, profile.quantities)
        PointMap(profile, ()).plan(tuple(places))
        for power_kw in (-1.0, 0.0, 1.0) if profile.commands.set else ():
            with contextlib.suppress(DeviceError):
                command = set_power(profile, places, Ratings(5.0, 5.0, 5.0), power_kw, 60.0, "it")
                command_words(command, profile.points, lambda name: 0, "it")
