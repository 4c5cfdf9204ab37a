from itertools import pairwise

import pytest

from devices.errors import MapError
from devices.registers.models import model
from devices.registers.points import word_count
from devices.registers.profiles import load_profile, shipped_profiles
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


def test_every_sunspec_model_in_use_is_shipped():
    assert model(802).points["SoC"].sf == "SoC_SF"
    with pytest.raises(MapError, match="SunSpec model 9999 has no map"):
        model(9999)


def test_a_profile_of_ones_own_is_read_from_its_folder(tmp_path):
    profile = write(tmp_path, GOOD)
    assert profile.points["power"].order == "low first"
    assert not profile.points["power"].markers
    assert profile.alternatives("import_kwh") == (("day", "night"),)


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
    with pytest.raises(MapError, match="no profile 'nosuch' among sdm630, sunspec-battery"):
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
