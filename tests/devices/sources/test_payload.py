import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import DeviceError, MissingControl, RangeError
from devices.limits import SetPointLimits
from devices.registers.ratings import Ratings
from devices.sources.payload import filled, number_in, within
from devices.sources.schema import Commands, Sent

MESSAGE = (Sent(at="x", text="{value}"),)
kw = st.floats(-1000.0, 1000.0) | st.sampled_from([0.0, 0.3, 2.125, 3.0])


@pytest.mark.parametrize(
    ("body", "path", "number"),
    [
        (b"1.5", "", 1.5),
        (b" 42 ", "", 42.0),
        (b'{"a": {"b": [1, {"c": 7}]}}', "a.b.1.c", 7.0),
        (b'{"em:0": {"total_act_power": -12.5}}', "em:0.total_act_power", -12.5),
        (b'{"p": "3.5"}', "p", 3.5),
        (b'{"p": null}', "p", None),
        (b"unavailable", "", None),
        (b"unknown", "", None),
        (b"NaN", "", None),
        (b"1e999", "", None),
        (b'{"p": ' + b"9" * 400 + b"}", "p", None),
        (b'{"on": true}', "on", 1.0),
    ],
)
def test_numbers_are_found(body, path, number):
    assert number_in(body, path) == number


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"ON", ""),
        (b"{", "a"),
        (b'{"a": 1}', "b"),
        (b'{"a": [1]}', "a.1"),
        (b'{"a": {}}', "a"),
        (b"\xff", ""),
        (b'{"a": 1, "b": "\xff"}', "a"),
        (b'{"a": 1, "b": ' + b"[" * 100_000, "a"),
        (b'{"a": ' + b"9" * 5000 + b"}", "a"),
    ],
)
def test_other_texts_are_refused(body, path):
    with pytest.raises(ValueError):
        number_in(body, path)


def test_only_what_is_named_is_filled_in():
    assert filled('{"p": {value}, "x": {"y": 1}}', {"value": "3"}) == '{"p": 3, "x": {"y": 1}}'


@given(
    wanted=kw,
    edges=st.tuples(kw, kw).map(sorted),
    unit=st.sampled_from(["W", "kW", "%"]),
    sign=st.sampled_from([1, -1]),
    step=st.sampled_from([0.001, 0.1, 1.0, 5.0, 100.0]),
    rating=st.sampled_from([None, 0.0, 3.3, 5.0]),
)
def test_whatever_is_sent_stands_for_a_power_within_the_envelope(wanted, edges, unit, sign, step, rating):
    commands = Commands(unit=unit, sign=sign, step=step, set=MESSAGE, release=MESSAGE, shows="x")
    limits = SetPointLimits(min_kw=edges[0], max_kw=edges[1])
    try:
        number = Fraction(within(wanted, commands, limits, Ratings(rating)))
    except DeviceError:
        return
    per_kw = {"W": Fraction(1000), "kW": Fraction(1)}.get(unit)
    if per_kw is None:
        assert number == 0 or rating
        per_kw = 100 / Fraction(repr(rating)) if number else Fraction(1)
    power = sign * number / per_kw
    assert Fraction(repr(edges[0])) <= power <= Fraction(repr(edges[1]))
    assert (number / Fraction(repr(step))).denominator == 1


@pytest.mark.parametrize(
    ("wanted", "unit", "step", "low", "high", "rating", "sent"),
    [
        (2.0, "W", 1.0, 0.0, 3.0, None, "2000"),
        (9.0, "kW", 0.001, 0.0, 3.0, None, "3"),
        (0.29, "kW", 0.1, 0.0, 0.3, None, "0.3"),
        (0.3, "kW", 0.25, 0.0, 0.3, None, "0.25"),
        (2.5, "%", 1.0, 0.0, 5.0, 5.0, "50"),
        (3.0, "%", 1.0, 0.0, 3.0, 3.3, "90"),
    ],
)
def test_the_nearest_step_within_the_envelope_is_sent(wanted, unit, step, low, high, rating, sent):
    commands = Commands(unit=unit, step=step, set=MESSAGE, release=MESSAGE, shows="x")
    limits = SetPointLimits(min_kw=low, max_kw=high)
    assert f"{within(wanted, commands, limits, Ratings(rating)).normalize():f}" == sent


@pytest.mark.parametrize("wanted", [math.nan, math.inf])
def test_what_is_no_number_is_not_sent(wanted):
    commands = Commands(unit="kW", set=MESSAGE, release=MESSAGE, shows="x")
    with pytest.raises(RangeError):
        within(wanted, commands, SetPointLimits(min_kw=0.0, max_kw=1.0), Ratings(None))


def test_where_no_step_lies_within_the_envelope_nothing_is_sent():
    commands = Commands(unit="kW", step=1.0, set=MESSAGE, release=MESSAGE, shows="x")
    with pytest.raises(RangeError, match="no multiple of 1 kW"):
        within(0.5, commands, SetPointLimits(min_kw=0.3, max_kw=0.8), Ratings(None))


def test_a_share_of_no_rating_is_not_sent():
    commands = Commands(unit="%", step=1.0, set=MESSAGE, release=MESSAGE, shows="x")
    with pytest.raises(MissingControl, match="rating"):
        within(0.5, commands, SetPointLimits(min_kw=0.0, max_kw=0.8), Ratings(None))
