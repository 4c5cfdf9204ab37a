"""Models as the published definitions have them: places that were looked up there, and lengths of devices."""

import pytest

from devices.errors import MapError
from devices.registers.models import model, model_ids, sunspec_point


@pytest.mark.parametrize(
    ("name", "at", "kind", "sf", "unit", "rw"),
    [
        ("1.Md", 18, "string", None, None, False),
        ("101.W", 14, "int16", "W_SF", "W", False),
        ("103.WH", 24, "acc32", "WH_SF", "Wh", False),
        ("111.W", 22, "float32", None, "W", False),
        ("120.WRtg", 3, "uint16", "WRtg_SF", "W", False),
        ("123.WMaxLimPct_RvrtTms", 7, "uint16", None, "s", True),
        ("124.OutWRte", 12, "int16", "InOutWRte_SF", "% WDisChaMax", True),
        ("203.TotWhImp", 46, "acc32", "TotWh_SF", "Wh", False),
        ("214.W", 28, "float32", None, "W", False),
        ("704.WSet", 24, "int32", "WSet_SF", "W", True),
        ("704.PFWInj_PF", 59, "uint16", "PF_SF", None, True),
        ("713.SoC", 4, "uint16", "Pct_SF", "%", False),
        ("802.W", 47, "int16", "W_SF", "W", False),
        ("160.module.1.DCW", 21, "uint16", "DCW_SF", "W", False),
        ("160.module.3.DCW", 61, "uint16", "DCW_SF", "W", False),
    ],
)
def test_points_stand_where_the_definitions_have_them(name, at, kind, sf, unit, rw):
    point = sunspec_point(name)
    assert (point.at, point.type, point.sf, point.unit, point.rw) == (at, kind, sf, unit, rw)


def test_scale_factors_that_never_change_are_known_as_such():
    assert sunspec_point("704.WSet_SF").refresh == "once"
    assert sunspec_point("103.W_SF").refresh == "poll"


@pytest.mark.parametrize(
    ("model_id", "usual", "unusual"),
    [
        (1, [65, 66], [15, 64, 67]),
        (103, [50], [48, 49, 52]),
        (160, [8, 28, 88], [20, 30]),
        (714, [18, 43, 93], [20, 92]),
        (705, [13, 60, 200], [10]),
    ],
)
def test_lengths_of_devices_are_held_against_the_definition(model_id, usual, unusual):
    described = model(model_id)
    assert all(described.has_length(length) for length in usual)
    assert not any(described.has_length(length) for length in unusual)


@pytest.mark.parametrize(
    "name", ["103.Nothing", "9999.W", "W", "160.module.0.DCW", "160.module.1.X", "160.string.1.DCW"]
)
def test_what_is_not_defined_is_no_point(name):
    with pytest.raises(KeyError):
        sunspec_point(name)


def test_a_model_that_is_not_defined_is_named():
    assert 103 in model_ids()
    with pytest.raises(MapError, match="SunSpec model 65000 is not defined"):
        model(65000)
