import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.errors import RangeError
from devices.registers import models
from devices.registers.columns import decode_column, encode_column, scale_factor
from devices.registers.points import INTEGERS, Point, bounds, decode, encode, word_count
from devices.registers.profiles import load_profile, shipped_profiles

MODELS = (1, 103, 113, 120, 121, 123, 124, 160, 203, 213, 701, 702, 703, 704, 713, 714, 802)
POINTS = [
    (model_id, name, point) for model_id in MODELS for name, point in models.model(model_id).points.items()
] + [
    (profile, name, point)
    for profile in shipped_profiles()
    for name, point in load_profile(profile).points.items()
    if point.type == "float32"
]
INTEGER_POINTS = [entry for entry in POINTS if entry[2].type in INTEGERS]
FLOAT_POINTS = [entry for entry in POINTS if entry[2].type == "float32"]


@given(fraction=st.fractions(0, 1), sf=st.integers(-4, 4))
@settings(max_examples=40)
def test_every_integer_point_comes_back(fraction, sf):
    for model_id, name, point in INTEGER_POINTS:
        layout = INTEGERS[point.type]
        # Beyond, a value that was divided and multiplied in double precision may be off by one.
        low, high = max(layout.low, -(2**50)), min(layout.high, 2**50)
        raw = low + round(fraction * (high - low))
        power = sf if point.sf else 0
        value = raw * 10**power if power >= 0 else raw / 10**-power
        words = encode(point, value, power)
        assert len(words) == word_count(point), (model_id, name)
        assert decode(point, words, power) == value, (model_id, name)
        column = encode_column(point, [value], power)
        assert column.tolist() == [words], (model_id, name)
        assert decode_column(point, column, power)[0] == pytest.approx(value, rel=1e-14), (model_id, name)


def test_not_implemented_is_told_apart_from_zero():
    for model_id, name, point in INTEGER_POINTS:
        words = encode(point, None)
        assert encode_column(point, [math.nan]).tolist() == [words], (model_id, name)
        if point.type == "acc32":
            assert decode(point, words) == 0
        else:
            assert decode(point, words) is None
            assert np.isnan(decode_column(point, np.array([words], dtype=np.uint16))[0])
            assert decode(point, encode(point, 0)) == 0


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_float_points_come_back(value):
    for _, _, point in FLOAT_POINTS:
        assert decode(point, encode(point, value)) == value
        assert encode_column(point, [value]).tolist() == [encode(point, value)]
        assert decode_column(point, encode_column(point, [value]))[0] == value


def test_float_that_is_not_a_number_reads_as_none():
    assert decode(Point(at=0, type="float32"), encode(Point(at=0, type="float32"), None)) is None


@given(st.text(max_size=8))
def test_text_points_come_back(text):
    text = text.replace("\0", "")
    point = Point(at=0, type="string", words=16)
    assert decode(point, encode(point, text)) == text


def test_published_examples():
    assert encode(Point(at=0, type="float32"), 230.2) == [0x4366, 0x3333]
    assert encode(Point(at=0, type="int16"), -1) == [0xFFFF]
    assert encode(Point(at=0, type="int32"), -5000, 0) == [0xFFFF, 0xEC78]
    assert decode(Point(at=0, type="uint16"), [5000], -2) == 50
    assert decode(Point(at=0, type="uint16"), [5000], None) is None


@pytest.mark.parametrize("value", [40_000, -40_000, math.inf, "ten"])
def test_a_value_that_does_not_fit_is_refused_in_one_line(value):
    with pytest.raises(RangeError) as caught:
        encode(Point(at=0, type="int16", unit="W"), value)
    assert "\n" not in str(caught.value)


def test_a_long_text_is_refused():
    with pytest.raises(RangeError, match="longer than the 4 bytes"):
        encode(Point(at=0, type="string", words=2), "abcde")


def test_a_column_saturates_like_a_device():
    point = Point(at=0, type="int16")
    assert decode_column(point, encode_column(point, [1e6, -1e6])).tolist() == [32767, -32767]


@given(st.floats(1e-3, 1e12))
def test_scale_factor_is_the_finest_that_holds_the_value(largest):
    point = Point(at=0, type="int16")
    sf = int(scale_factor(largest, point, finest=-3))
    raw = round(largest / 10.0**sf)
    assert raw <= 32767
    assert sf == -3 or largest / 10.0 ** (sf - 1) > 32767


TYPES = st.sampled_from(["int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"])


@given(
    kind=TYPES,
    order=st.sampled_from(["high first", "low first"]),
    scale=st.sampled_from([1.0, 0.1, 0.001, 10.0, 0.25]),
    sign=st.sampled_from([1, -1]),
    markers=st.booleans(),
    share=st.fractions(0, 1),
)
def test_own_points_come_back_whatever_their_order_scale_and_sign(kind, order, scale, sign, markers, share):
    point = Point(at=0, type=kind, order=order, scale=scale, sign=sign, markers=markers)
    low, high = bounds(point) if kind in INTEGERS else (-(2**20), 2**20)
    low, high = max(low, -(2**50)), min(high, 2**50)
    raw = low + round(share * (high - low))
    words = encode(Point(at=0, type=kind, markers=markers), raw)
    if order == "low first":
        words = words[::-1]
    value = decode(point, words)
    assert value == pytest.approx(sign * scale * raw, rel=1e-12)
    again = encode(point, value)
    if kind in INTEGERS:
        assert again == words
    assert decode(point, again) == pytest.approx(value, rel=1e-7 if kind == "float32" else 1e-15)
    column = encode_column(point, [value])
    assert decode_column(point, column)[0] == pytest.approx(decode(point, again), rel=1e-6)


def test_tenths_read_as_they_are_written():
    assert decode(Point(at=0, type="uint16", scale=0.1), [2301]) == 230.1
    assert (
        decode(Point(at=0, type="int32", scale=0.01, order="low first", sign=-1), [0xFFFF, 0x0000]) == -655.35
    )


def test_without_markers_every_pattern_is_a_number():
    assert decode(Point(at=0, type="uint16", markers=False), [0xFFFF]) == 0xFFFF
    assert decode(Point(at=0, type="int16", markers=False), [0x8000]) == -0x8000
    assert encode(Point(at=0, type="uint16", markers=False), None) == [0]
