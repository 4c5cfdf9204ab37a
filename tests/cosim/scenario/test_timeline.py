from datetime import datetime

import msgspec
import numpy as np
import pytest

from cosim.scenario import Scenario
from cosim.scenario.timeline import intervals_to_midnight, timeline_of


def run(start: str, **keys: object):
    return msgspec.structs.replace(Scenario().run, start=datetime.fromisoformat(start), **keys)


def test_ticks_are_equally_long_while_wall_time_jumps():
    timeline = timeline_of(run("2024-03-31T00:00"))
    assert f"{timeline.local(7):%H:%M %z}" == "01:45 +0100"
    assert f"{timeline.local(8):%H:%M %z}" == "03:00 +0200"
    assert (timeline.utc(8) - timeline.utc(7)).total_seconds() == 900.0
    assert timeline.wall_offset_min(7, 2).tolist() == [60.0, 120.0]


def test_repeated_hour_in_autumn_is_two_instants():
    timeline = timeline_of(run("2024-10-27T00:00"))
    walls = [f"{timeline.local(tick):%H:%M}" for tick in range(100)]
    assert walls.count("02:30") == 2
    assert walls[-1] == "23:45"


@pytest.mark.parametrize(
    ("start", "count"), [("2024-03-31T00:00", 92), ("2024-10-27T00:00", 100), ("2024-06-21T23:45", 1)]
)
def test_intervals_to_midnight(start, count):
    assert intervals_to_midnight(run(start)) == count


def test_skipped_start_is_refused_and_repeated_start_is_the_first():
    with pytest.raises(ValueError, match="skipped by the clock change"):
        timeline_of(run("2024-03-31T02:15"))
    assert timeline_of(run("2024-10-27T02:15")).start_utc.hour == 0


def test_substeps_lie_at_the_middles():
    timeline = timeline_of(run("2024-06-21T00:00", substeps=3))
    middles = timeline.substep_epoch_min(4, 2) - timeline.start_epoch_min
    assert middles.tolist() == [62.5, 67.5, 72.5, 77.5, 82.5, 87.5]


def test_runs_span_days_and_years():
    timeline = timeline_of(run("2023-12-31T12:00", intervals=96 * 3))
    assert timeline.local(48) == datetime.fromisoformat("2024-01-01T00:00+01:00")
    assert np.all(timeline.wall_offset_min(0, timeline.intervals) == 60.0)
