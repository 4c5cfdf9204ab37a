"""Figures over time stay bounded and keep what they mean."""

from hypothesis import given
from hypothesis import strategies as st

from cosim.view.series import Series

COLUMNS = {"mean": "mean", "least": "least", "most": "most", "sum": "sum", "last": "last"}


def row(value):
    return dict.fromkeys(COLUMNS, value)


def test_points_are_kept_as_they_are_while_there_is_room():
    series = Series(COLUMNS, most=8)
    for tick in range(8):
        series.put(tick, row(float(tick)))
    assert series.ticks == list(range(8))
    assert series.values["mean"] == [float(tick) for tick in range(8)]


@given(st.integers(1, 400), st.integers(4, 40))
def test_sums_and_extremes_outlast_any_number_of_points(count, most):
    series = Series(COLUMNS, most=most)
    values = [float((7 * tick) % 13) for tick in range(count)]
    for tick, value in enumerate(values):
        series.put(tick, row(value))
    assert len(series.ticks) <= most
    assert series.ticks == [at * series.stride for at in range(len(series.ticks))]
    assert sum(series.values["sum"]) == sum(values)
    assert min(series.values["least"]) == min(values)
    assert max(series.values["most"]) == max(values)
    assert series.values["last"][-1] == values[-1]


def test_what_is_said_again_of_an_interval_replaces_what_was_said():
    series = Series(COLUMNS)
    series.put(0, row(1.0))
    series.put(1, {"sum": 2.0})
    series.put(1, {"sum": 3.0, "mean": 5.0})
    assert series.values["sum"] == [1.0, 3.0]
    assert series.values["mean"] == [1.0, 5.0]


def test_an_interval_that_begins_anew_drops_what_lay_behind_it():
    series = Series(COLUMNS)
    for tick in range(5):
        series.put(tick, row(float(tick)))
    series.put(2, row(9.0))
    assert series.ticks == [0, 1, 2]
    assert series.values["most"] == [0.0, 1.0, 9.0]


def test_what_is_not_known_stays_unknown():
    series = Series(COLUMNS, most=4)
    for tick in range(6):
        series.put(tick, row(None if tick < 2 else 1.0))
    assert series.values["mean"][0] is None
    assert series.values["mean"][1] == 1.0
