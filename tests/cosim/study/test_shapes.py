from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from cosim.scenario import ScenarioError
from cosim.study.shapes import household_factors, shape_of

NEW_YEAR = datetime.fromisoformat("2023-01-01T00:00:00")


def test_a_year_of_households_peaks_at_one_in_winter_evenings():
    hours = household_factors(NEW_YEAR, 60, None)
    assert len(hours) == 8760
    assert 0.9 < hours.max() <= 1.0
    assert hours.min() > 0.0
    assert hours.argmax() % 24 in (18, 19)
    assert hours[: 31 * 24].mean() > 1.1 * hours[181 * 24 : 212 * 24].mean()


def test_steps_of_any_length_share_one_profile():
    quarters = household_factors(NEW_YEAR, 15, 96)
    np.testing.assert_allclose(household_factors(NEW_YEAR, 60, 24), quarters.reshape(24, 4).mean(axis=1))


def test_a_run_may_begin_anywhere_and_end_in_the_next_year():
    late = household_factors(datetime.fromisoformat("2023-12-31T12:00:00"), 60, 24)
    np.testing.assert_allclose(late[:12], household_factors(NEW_YEAR, 60, None)[-12:])
    assert late[12:].min() > 0.0


def table(folder: Path, text: str) -> Path:
    path = folder / "shape.csv"
    path.write_text(text, encoding="utf-8")
    return path


def read_factors(path, lams, steps):
    return shape_of(path, lams, None, None, steps).factors


def test_a_table_for_all_and_one_for_a_lam(tmp_path):
    path = table(tmp_path, "time,load,b\n0:00,0.5,-1\n1:00,0.25,2\n")
    np.testing.assert_array_equal(read_factors(path, ("a", "b"), None), [[0.5, -1], [0.25, 2]])
    np.testing.assert_array_equal(read_factors(path, ("a", "b"), 1), [[0.5, -1]])


def test_imported_profiles_are_taken_in_turn_each_at_its_own_peak(tmp_path):
    path = table(tmp_path, "load_kw.x,pv_kw.x,load_kw.y\n2,0,0.5\n4,1,0.25\n1,3,0.5\n")
    x, y = [0.5, 0.75, -0.5], [1.0, 0.5, 1.0]
    np.testing.assert_allclose(read_factors(path, ("a", "b", "c"), None), np.transpose([x, y, x]))
    # A part of the steps is what it is in the whole.
    np.testing.assert_allclose(read_factors(path, ("a",), 1), [[0.5]])


@pytest.mark.parametrize(
    ("text", "steps", "message"),
    [
        (
            "load_kw.x,pv_kw_per_kwp.x\n1,1\n",
            None,
            "column pv_kw_per_kwp.x: PV needs a load in kW beside it; t",
        ),
        ("load_kw.x,lod\n1,1\n", None, "column lod: unknown column; taken are load_kw.NAME, pv_kw.NAME and"),
        ("load_kw.x\n0\n0\n", None, "column load_kw.x: a load that is never above 0"),
        ("load_kw.x\n1\n-2\n", None, "column load_kw.x, line 3: -2 is outside"),
        ("laod\n1\n", None, r"shape.csv, column laod: unknown column; did you mean 'load'\?"),
        ("a\n1\n", None, "no column for LAM 'b'; add it, or a column load for all others"),
        ("load\n1\n", 2, "1 rows for 2 steps"),
        ("load\n1\nx\n", None, "column load, line 3: 'x' is no finite number"),
        ("load\n1\n1000\n", None, "column load, line 3: 1000 is outside -100 to 100"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, steps, message):
    with pytest.raises(ScenarioError, match=message):
        read_factors(table(tmp_path, text), ("a", "b"), steps)


PROFILES = "time,load_kw.x\n2024-03-01T00:00+01:00,2\n2024-03-01T00:15+01:00,4\n2024-03-01T00:30+01:00,1\n"


def test_times_of_profiles_say_where_steps_begin_and_how_long_they_are(tmp_path):
    path = table(tmp_path, PROFILES)
    taken = shape_of(path, ("a",), None, None, None)
    assert (taken.start, taken.step_min) == (datetime.fromisoformat("2024-03-01T00:00"), 15)
    np.testing.assert_array_equal(taken.factors, [[0.5], [1.0], [0.25]])
    per_mwh = table(tmp_path, PROFILES.replace("load_kw.x", "load_kw_per_mwh.x"))
    np.testing.assert_array_equal(shape_of(per_mwh, ("a",), None, None, None).factors, taken.factors)
    path = table(tmp_path, PROFILES)
    later = shape_of(path, ("a",), datetime.fromisoformat("2024-03-01T00:15"), 15, None)
    np.testing.assert_array_equal(later.factors, [[1.0], [0.25]])
    assert later.start == datetime.fromisoformat("2024-03-01T00:15")


def test_pv_takes_kw_off_a_load_and_no_kvar(tmp_path):
    text = "load_kw.x,pv_kw.x,load_kw.y\n2,1,3\n4,10,6\n1,0,0\n"
    taken = shape_of(table(tmp_path, text), ("a", "b"), None, None, None)
    np.testing.assert_array_equal(taken.factors, [[0.25, 0.5], [-1.5, 1.0], [0.25, 0.0]])
    np.testing.assert_array_equal(taken.kvar_factors, [[0.5, 0.5], [1.0, 1.0], [0.25, 0.0]])
    assert shape_of(None, ("a",), None, None, 3).kvar_factors is None


@pytest.mark.parametrize(
    ("text", "start", "step_min", "message"),
    [
        (PROFILES, None, 60, "column time, line 3: rows are 15 min apart, not 60; leave --step-min out"),
        (
            PROFILES,
            "2024-03-01T00:20",
            None,
            "no row begins at 2024-03-01 00:20:00; --start must be one from",
        ),
        (PROFILES, "2024-02-01T00:00", None, "no row begins at 2024-02-01 00:00:00"),
        (
            PROFILES.replace("00:30+", "00:45+"),
            None,
            None,
            "line 4: rows are 15 min apart, and here one or more",
        ),
        (
            PROFILES.replace("+01:00", ""),
            None,
            None,
            "column time, line 2: '2024-03-01T00:00' has no UTC offset",
        ),
        (
            PROFILES.replace(":15", ":07").replace(":30", ":14"),
            None,
            None,
            "rows are 7 min apart; resample them",
        ),
    ],
)
def test_times_that_do_not_suit_are_named(tmp_path, text, start, step_min, message):
    begin = datetime.fromisoformat(start) if start else None
    with pytest.raises(ScenarioError, match=message):
        shape_of(table(tmp_path, text), ("a",), begin, step_min, None)
