"""Flags of intervals, where the process that keeps them dies."""

import pytest

from cosim.recording.interval_flags import IntervalFlags
from cosim.results.writer import RunWriter


@pytest.fixture
def writer(tmp_path):
    with RunWriter(tmp_path / "run") as made:
        yield made


def flag_events(writer):
    return [(tick, flag) for tick in range(4) for flag in writer.flags(tick)]


def test_flags_wait_for_the_row_of_their_interval(writer):
    flags = IntervalFlags(writer)
    flags.add(0, ["early"])
    flags.add(1, ["of the next one"])
    flags.note_booked(0)
    flags.add(0, ["late"])
    assert flag_events(writer) == [(0, "late")]
    assert flags[0] == ["early"]
    assert flags.finish(0) == 2
    assert flags[1] == ["of the next one"]
    flags.add(0, ["behind its row"])
    assert flag_events(writer) == [(0, "late"), (0, "early"), (0, "behind its row")]


@pytest.mark.parametrize("is_row_begun", [False, True])
def test_a_flag_that_was_told_once_the_interval_was_booked_outlives_the_process(writer, is_row_begun):
    first = IntervalFlags(writer)
    first.add(2, ["one", "two", "two"])
    kept = first[2]
    first.note_booked(2)
    first.add(2, ["late"])
    if is_row_begun:  # It dies between the last event and the row.
        first.finish(2)
    again = IntervalFlags(writer)
    again.restore(2, kept)
    again.add(2, ["later"])
    assert again.finish(2) == 5
    told = sorted(flag for _, flag in flag_events(writer))
    assert told == ["late", "later", "one", "two", "two"]


def test_what_an_interval_that_begins_again_was_flagged_with_is_forgotten(writer):
    flags = IntervalFlags(writer)
    flags.note_booked(0)
    flags.finish(0)
    flags.add(1, ["given up"])
    flags.begin_anew(0)
    flags.add(1, ["as it came"])
    assert flags.finish(1) == 1
    assert flag_events(writer) == [(1, "as it came")]


def test_what_is_told_at_once_is_there_before_its_interval_is_booked(writer):
    flags = IntervalFlags(writer)
    flags.add(0, ["a device is lost"], at_once=True)
    flags.add(0, ["early"])
    assert flag_events(writer) == [(0, "a device is lost")]
    kept = flags[0]
    flags.note_booked(0)
    again = IntervalFlags(writer)
    again.restore(0, kept)
    assert again.finish(0) == flags.finish(0) == 2
