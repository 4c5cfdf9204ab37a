import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import RangeError
from devices.registers.bounded import ANYWHERE, encode_within, exact
from devices.registers.points import Point, decode, encode

TYPES = st.sampled_from(["int16", "uint16", "int32", "float32", "float64"])
SCALES = st.sampled_from([1.0, 0.1, 0.25, 10.0])
VALUES = st.floats(-1e9, 1e9) | st.sampled_from([0.3, 0.1, 42.5])


@given(
    kind=TYPES, scale=SCALES, sign=st.sampled_from([1, -1]), sf=st.integers(-3, 3), value=VALUES,
    edges=st.tuples(VALUES, VALUES).map(sorted), order=st.sampled_from(["high first", "low first"]),
)  # fmt: skip
def test_words_stand_for_a_value_within_or_there_are_none(kind, scale, sign, sf, value, edges, order):
    point = Point(at=0, type=kind, scale=scale, sign=sign, order=order)
    low, high = map(exact, edges)
    try:
        words = encode_within(point, value, sf, (low, high))
    except RangeError:
        return
    shown = decode(point, words, sf)
    if kind.startswith("float"):
        assert edges[0] - 1e-9 * abs(edges[0]) <= shown <= edges[1] + 1e-9 * abs(edges[1])
    else:
        assert low <= Fraction(repr(shown)) <= high


@given(value=st.floats(-3000.0, 3000.0), sf=st.integers(-1, 1))
def test_what_is_well_within_is_written_as_without_bounds(value, sf):
    point = Point(at=0, type="int16")
    assert encode_within(point, value, sf, (Fraction(-4000), Fraction(4000))) == encode(point, value, sf)


@pytest.mark.parametrize(("value", "number"), [(0.3, 30), (0.29, 29), (0.35, 30), (9e9, 30), (-1.0, 10)])
def test_edges_are_what_stands_in_decimals(value, number):
    assert encode_within(Point(at=0, type="uint16"), value, -2, (exact(0.1), exact(0.3))) == [number]


@pytest.mark.parametrize(
    ("value", "bounds"),
    [
        (math.nan, ANYWHERE),
        (math.inf, (None, Fraction(3))),
        (1.0, (Fraction(1, 4), Fraction(3, 4))),
        (1.0, (Fraction(70_000), None)),
    ],
)
def test_what_no_register_can_hold_is_refused(value, bounds):
    with pytest.raises(RangeError):
        encode_within(Point(at=0, type="uint16"), value, 0, bounds)
