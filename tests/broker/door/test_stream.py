import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.door.stream import JUMP, RANGES, REMEMBERED, Arrival, Stream


def taken(stream, *arrivals):
    return [stream.take(seq, tick, body)[0] for seq, tick, body in arrivals]


def test_numbers_that_follow_each_other_are_new():
    assert taken(Stream(), (0, 0, b"a"), (1, 0, b"b"), (2, 1, b"c")) == [Arrival.NEW] * 3


def test_a_repeated_message_is_a_duplicate_and_another_with_its_number_a_conflict():
    stream = Stream()
    assert taken(stream, (0, 0, b"a"), (1, 0, b"b"), (1, 0, b"b"), (1, 0, b"forged"), (0, 0, b"x")) == [
        Arrival.NEW,
        Arrival.NEW,
        Arrival.DUPLICATE,
        Arrival.CONFLICT,
        Arrival.CONFLICT,
    ]
    assert stream.take(2, 0, b"c") == (Arrival.NEW, 0)


def test_what_was_skipped_may_come_late_once():
    stream = Stream()
    assert stream.take(0, 0, b"a") == (Arrival.NEW, 0)
    assert stream.take(5, 0, b"f") == (Arrival.NEW, 4)
    assert taken(stream, (3, 0, b"d"), (3, 0, b"d"), (3, 0, b"e"), (1, 0, b"b"), (4, 0, b"e")) == [
        Arrival.LATE,
        Arrival.DUPLICATE,
        Arrival.CONFLICT,
        Arrival.LATE,
        Arrival.LATE,
    ]
    assert list(stream.skipped) == [range(2, 3)]


@pytest.mark.parametrize("far", [JUMP + 1, 10**7, 2**53 - 1, 2**63])
def test_a_far_number_is_refused_and_leaves_no_trace(far):
    stream = Stream()
    stream.take(0, 0, b"a")
    assert stream.take(1 + far, 0, b"far") == (Arrival.JUMP, 0)
    assert stream == Stream(expected=1, tick=0, skipped=stream.skipped, _seen=stream._seen)
    assert not stream.skipped
    assert stream.take(1, 0, b"b") == (Arrival.NEW, 0)


def test_a_far_number_costs_no_more_than_a_near_one():
    stream = Stream()
    assert stream.take(JUMP * 1000, 1000, b"a") == (Arrival.NEW, JUMP * 1000)
    assert len(stream.skipped) == 1


def test_a_sender_that_was_started_anew_is_followed():
    stream = Stream()
    taken(stream, *((seq, seq, b"a") for seq in range(10)))
    assert taken(stream, (0, 10, b"z"), (1, 10, b"y"), (1, 10, b"y")) == [
        Arrival.ANEW,
        Arrival.NEW,
        Arrival.DUPLICATE,
    ]


numbers = st.tuples(st.integers(0, 2**60), st.integers(-1, 10**6), st.binary(max_size=3))
near = st.tuples(st.integers(0, 40), st.integers(0, 4), st.binary(max_size=1))


@given(st.lists(st.one_of(numbers, near), max_size=200))
def test_whatever_comes_the_memory_is_bounded_and_no_message_is_new_twice(arrivals):
    stream, new = Stream(), set()
    for seq, tick, body in arrivals:
        arrival, skips = stream.take(seq, tick, body)
        assert skips <= JUMP * (10**6 + 2)
        if arrival is Arrival.ANEW:
            new.clear()
        if arrival in (Arrival.NEW, Arrival.ANEW, Arrival.LATE):
            assert seq not in new
            new.add(seq)
    assert len(stream.skipped) <= RANGES
    assert len(stream._seen) <= REMEMBERED
