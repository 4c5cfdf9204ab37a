import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.door.payload import DEEPEST, objection


def nested(depth, open_="[", close="]"):
    return (open_ * depth + close * depth).encode()


@pytest.mark.parametrize("depth", [DEEPEST + 1, 3000, 100_000])
@pytest.mark.parametrize(("open_", "close"), [("[", "]"), ('{"a":', "}")])
def test_what_nests_deep_is_not_decoded(depth, open_, close):
    assert "deep" in objection(nested(depth, open_, close), 10**7, 10**7)


def test_an_unclosed_nest_is_deep_too():
    assert "deep" in objection(b"[" * 3000, 10**6, 10**6)


def test_what_nests_as_messages_do_is_decoded():
    assert objection(nested(DEEPEST), 10**6, 10**6) == ""
    assert objection(b"[" + b"[]," * 500 + b"[]]", 10**6, 10**6) == ""


def test_brackets_and_commas_in_texts_do_not_count():
    assert objection(b'{"reason":"' + b'[{,\\"' * 2000 + b'"}', 10**6, 100) == ""


def test_a_long_body_is_not_looked_at():
    body = b"[" * 50_000_000
    began = time.process_time()
    assert "bytes" in objection(body, 65_536, 4096)
    assert time.process_time() - began < 0.1


@pytest.mark.parametrize("body", [b"[" + b"0," * 5000 + b"0]", b"[" + b"[]" * 5000 + b"]"])
def test_a_body_of_many_elements_is_not_decoded(body):
    assert "elements" in objection(body, 10**6, 4096)


def test_a_body_of_a_run_s_largest_size_is_looked_through_in_little_time():
    body = b'{"matrix":"' + b"A" * (64 * 2**20 - 200) + b'","name":[' + b'"a[",' * 20 + b'"a"]}'
    began = time.process_time()
    assert objection(body, 64 * 2**20, 4096) == ""
    assert time.process_time() - began < 2.0


@given(st.binary(max_size=300))
def test_any_bytes_are_looked_through(body):
    assert isinstance(objection(body, 200, 20), str)


@given(st.lists(st.sampled_from(["[", "]", "{", "}", ",", "0", '"x"', '"[,["', '"\\"[,"']), max_size=80))
def test_a_long_text_in_a_body_changes_no_verdict(pieces):
    body = "".join(pieces).encode()
    assert objection(body + b'"' + b"A" * 5000 + b'"', 10**6, 30) == objection(body, 10**6, 30)


def test_what_nests_deep_beside_long_texts_is_not_decoded():
    body = b'"' + b"A" * 5000 + b'",' + nested(DEEPEST + 1)
    assert "deep" in objection(body, 10**6, 4096)
    assert "deep" in objection(body + b',"open', 10**6, 4096)


@pytest.mark.parametrize("piece", [b'\\"', b'\\""', b'"\\', b"\\", b'"', b'\\\\"', b'"\\n'])
@pytest.mark.parametrize("before", [b"[" * 20, b"," * 5000])
def test_texts_that_nobody_closes_take_time_in_proportion(piece, before):
    body = before + piece * 300_000
    began = time.process_time()
    assert isinstance(objection(body, 10**8, 4096), str)
    assert time.process_time() - began < 2.0
