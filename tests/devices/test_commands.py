import pytest

from devices.commands import battery_power, pv_limit
from devices.errors import MissingControl


def test_pv_limit_goes_out_as_one_block_with_its_enable():
    command = pv_limit({1, 103, 123}, 8.0, 2.0, 899.5, "it")
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


@pytest.mark.parametrize(("power_kw", "percent"), [(-1.0, 0.0), (9.0, 100.0)])
def test_pv_limit_stays_within_the_rating(power_kw, percent):
    assert pv_limit({123}, 8.0, power_kw, 0.0, "it").writes[0]["123.WMaxLimPct"] == percent


def test_revert_time_fits_its_register():
    assert pv_limit({123}, 8.0, 1.0, 1e6, "it").writes[0]["123.WMaxLimPct_RvrtTms"] == 0xFFFE


def test_newer_inverters_are_limited_through_their_own_model():
    command = pv_limit({701, 704}, 8.0, 2.0, 900.0, "it")
    assert [list(batch) for batch in command.writes] == [
        ["704.WMaxLimPctRvrtTms"],
        ["704.WMaxLimPctEna", "704.WMaxLimPct"],
    ]


def test_lifting_a_limit_needs_no_rating():
    assert pv_limit({123}, None, None, 900.0, "it").writes == [{"123.WMaxLim_Ena": 0}]
    assert pv_limit({704}, None, None, 900.0, "it").writes == [{"704.WMaxLimPctEna": 0}]


def test_battery_is_set_in_watts():
    command = battery_power({124, 704}, 5.0, 5.0, -1.5, 900.0, "it")
    assert command.writes[-1] == {"704.WSetEna": 1, "704.WSetMod": 1, "704.WSet": -1500.0}


def test_battery_with_a_band_alone_is_forced_from_both_sides():
    command = battery_power({124}, 4.0, 5.0, -1.0, 900.0, "it")
    assert command.writes[0]["124.OutWRte"] == -20.0
    assert command.writes[0]["124.InWRte"] == 25.0
    assert command.writes[1] == {"124.StorCtl_Mod": 3}


def test_control_of_a_battery_is_given_back():
    assert battery_power({704}, None, None, None, 0.0, "it").writes == [{"704.WSetEna": 0}]
    assert battery_power({124}, 4.0, 4.0, None, 0.0, "it").writes == [{"124.StorCtl_Mod": 0}]


@pytest.mark.parametrize(
    "ask",
    [
        lambda: pv_limit({1, 103}, 5.0, 1.0, 0.0, "unit 3"),
        lambda: pv_limit({1, 103}, 5.0, None, 0.0, "unit 3"),
        lambda: pv_limit({123}, None, 1.0, 0.0, "unit 3"),
        lambda: battery_power({1, 103}, 5.0, 5.0, 1.0, 0.0, "unit 3"),
        lambda: battery_power({124}, None, 5.0, 1.0, 0.0, "unit 3"),
    ],
)
def test_what_cannot_be_commanded_is_named(ask):
    with pytest.raises(MissingControl, match="unit 3"):
        ask()
