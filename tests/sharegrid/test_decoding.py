"""Bytes that are no JSON or no TOML: one kind of error, whatever is wrong with them."""

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharegrid.decoding import decode_json, decode_toml

ODD = [
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"\xff",
    b'{"a":"\xff"}',
    b'{"\xff":1}',
    b"9" * 5000,
    b'"\\ud800"',
    b"",
]


class Named(msgspec.Struct, frozen=True):
    name: str


@pytest.mark.parametrize("data", ODD)
@pytest.mark.parametrize("kind", [Named, list[float], dict[str, str]])
def test_what_is_no_json_is_one_kind_of_error(data, kind):
    with pytest.raises(msgspec.DecodeError):
        decode_json(data, kind)
    with pytest.raises(msgspec.DecodeError):
        decode_json(data)


@pytest.mark.parametrize(
    "data", [b'{"name":"a","more":' + deep for deep in (b"[" * 100_000, b'{"a":' * 100_000)]
)
def test_a_deep_nest_where_nobody_looks_is_an_error_too(data):
    with pytest.raises(msgspec.DecodeError, match="too deep"):
        decode_json(data, Named)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"x = " + b"[" * 20_000, "too deep"),
        (b"x = " + b"9" * 5000, "too many digits"),
        (b"x = 0x" + b"f" * 5000, "too many digits"),
        (b"x = [{y = 0b1" + b"0" * 5000 + b"}]", "too many digits"),
        (b'x = "\xff"', "byte 6 is no UTF-8"),
        (b"x = 2024-02-31", "line 1"),
        (b"x = ", "end of document"),
    ],
)
def test_what_is_no_toml_is_one_kind_of_error(data, says):
    with pytest.raises(msgspec.DecodeError, match=says):
        decode_toml(data)


def test_values_are_those_of_the_text():
    assert decode_json(b'{"name":"a"}', Named) == decode_toml('name = "a"', Named) == Named("a")
    assert decode_json(b"[1, 2.5]") == decode_toml(b"x = [1, 2.5]")["x"]
    with pytest.raises(msgspec.ValidationError, match="name"):
        decode_toml(b"name = 1", Named)


@given(st.binary(max_size=40))
def test_any_bytes_are_decoded_or_refused(data):
    for decode in (decode_json, decode_toml):
        with suppress(msgspec.DecodeError):
            decode(data)
