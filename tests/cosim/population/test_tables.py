from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cosim.population.build import build_population
from cosim.population.members import LamSites, Population
from cosim.population.profiles import Profiles, build_profiles
from cosim.scenario import Scenario, ScenarioError, load_scenario
from cosim.scenario.table_file import read_table

replace = msgspec.structs.replace
SITES = LamSites(("mill", "47"), np.array([40.0, 20.0]), np.full(2, 0.5))
PROSUMERS = (
    "id,bus,annual_kwh,pv_kwp,battery_kwh\na,47,3000,5,0\nb,mill,2000,0,0\nc,mill,2500,0,6\nd,47,1500,0,0\n"
)


def scenario(prosumers: Path | None = None, profiles: Path | None = None, **run: object) -> Scenario:
    default = Scenario()
    return replace(
        default,
        run=replace(default.run, **{"intervals": 4, **run}),
        population=replace(default.population, prosumers=4),
        tables=replace(default.tables, prosumers=str(prosumers or ""), profiles=str(profiles or "")),
    )


def read(tmp_path: Path, text: str, name: str = "p.csv") -> Population:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return build_population(scenario(file), SITES)


def complaint(call, *arguments: object, **keys: object) -> str:
    with pytest.raises(ScenarioError) as caught:
        call(*arguments, **keys)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_prosumers_come_in_the_order_of_lams_and_of_the_file(tmp_path):
    people = read(tmp_path, PROSUMERS)
    assert people.id == ("b", "c", "a", "d")
    assert people.lam.tolist() == [0, 0, 1, 1]
    assert people.pv_kwp.tolist() == [0.0, 0.0, 5.0, 0.0]
    assert people.battery_kw.tolist() == [0.0, 6.0 * 0.4, 0.0, 0.0]
    assert people.live.tolist() == [False, True, True, False]
    assert people.profile == people.id


def test_empty_lines_and_nameless_columns_are_left_out_and_said(tmp_path, caplog):
    rows = PROSUMERS.replace("\n", ",,\n") + ",,,,,,\n\n"
    assert read(tmp_path, rows).id == read(tmp_path, PROSUMERS, "q.csv").id
    assert "p.csv: empty lines left out: 2" in caplog.text
    assert "p.csv: empty columns without a name left out: 2" in caplog.text


def test_a_name_of_any_text_stands_beside_an_id(tmp_path):
    rows = "id,name,bus,annual_kwh\na,Bäckerei Müller,47,3000\nb,b,mill,2000\n"
    assert read(tmp_path, rows).name == ("b", "Bäckerei Müller")


def test_parquet_is_read_like_csv(tmp_path):
    pd.read_csv(pd.io.common.StringIO(PROSUMERS), dtype={"bus": str}).to_parquet(tmp_path / "p.parquet")
    one, other = build_population(scenario(tmp_path / "p.parquet"), SITES), read(tmp_path, PROSUMERS)
    assert one.id == other.id
    assert np.array_equal(one.annual_kwh, other.annual_kwh)


def by_phase(tmp_path, text):
    file = tmp_path / "p.csv"
    file.write_text(text, encoding="utf-8")
    one = scenario(file)
    sites = LamSites(("mill.1", "mill.2-3", "47.2"), np.array([30.0, 10.0, 20.0]), np.full(3, 0.5))
    return build_population(replace(one, feeder=replace(one.feeder, lams_at="phase")), sites)


def test_a_prosumer_stands_on_the_phase_that_the_table_says_or_on_one_by_lot(tmp_path):
    head = "id,bus,phase,annual_kwh\n"
    people = by_phase(tmp_path, f"{head}a,mill,2-3,1\nb,47,2,1\nc,mill,1,1\n")
    assert (people.id, people.lam.tolist()) == (("c", "a", "b"), [0, 1, 2])
    fixed = f"{head}a,mill,2-3,1\nb,47,2,1\nc,mill,1,1\n"
    drawn = by_phase(tmp_path, fixed + "".join(f"d{i},mill,,1\n" for i in range(400)))
    on_one, on_two = np.bincount(drawn.lam)[:2] - 1
    # The bus's loads stand for three to one.
    assert on_one + on_two == 400
    assert 260 < on_one < 340
    again = by_phase(tmp_path, fixed + "".join(f"d{i},mill,,1\n" for i in range(400)))
    assert again.lam.tolist() == drawn.lam.tolist()


def test_phases_that_are_not_there_or_not_asked_for_are_refused(tmp_path):
    head = "id,bus,phase,annual_kwh\n"
    told = complaint(by_phase, tmp_path, f"{head}a,mill,2,1\n")
    assert told.endswith("p.csv, column phase, line 2: bus 'mill' has loads on 1, 2-3, not on '2'")
    told = complaint(by_phase, tmp_path, f"{head}a,mil,1,1\n")
    assert "the feeder has no load at bus 'mil'; did you mean 'mill'?" in told
    told = complaint(read, tmp_path, f"{head}a,mill,1,1\n")
    assert told.endswith('column phase: needs feeder.lams_at = "phase"; set it, or take the column out')


def test_live_column_decides(tmp_path):
    people = read(tmp_path, "id,bus,annual_kwh,pv_kwp,live\na,mill,1,2,false\nb,47,1,2,TRUE\n")
    assert people.live.tolist() == [False, True]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "id,bus,anual_kwh\na,mill,1\n",
            "p.csv, column anual_kwh: unknown column; did you mean 'annual_kwh'?",
        ),
        ("id,bus\na,mill\n", "p.csv, column annual_kwh: the column is missing; add it"),
        ("id,bus,annual_kwh\na,mill,1\na,47,1\n", "p.csv, column id, line 3: 'a' stands at line 2 already"),
        ("id,bus,annual_kwh\na/b,mill,1\n", "p.csv, column id, line 2: 'a/b' has more than letters"),
        (
            "id,bus,annual_kwh\na,mil,1\n",
            "p.csv, column bus, line 2: the feeder has no load at bus 'mil'; did you mean 'mill'?",
        ),
        (
            "id,bus,annual_kwh\na,mill,1\n",
            "p.csv, column bus: no prosumer at load bus '47'; add at least one",
        ),
        (
            "id,bus,annual_kwh\na,mill,1\nb,47,\n",
            "p.csv, column annual_kwh, line 3: the cell is empty; give a number",
        ),
        (
            "id,bus,annual_kwh\na,mill,1\n\nb,47,x\n",
            "p.csv, column annual_kwh, line 4: 'x' is no finite number",
        ),
        (
            "id;bus;annual_kwh\na;mill;1\n",
            (
                "p.csv, line 1: cells are divided by semicolons; write commas and "
                "decimal points, or let `sharegrid import prosumers` do it"
            ),
        ),
        (
            'id,bus,annual_kwh\na,mill,"1,5"\nb,47,1\n',
            "p.csv, column annual_kwh, line 2: '1,5' has a decimal comma; write points",
        ),
        (
            "id,bus,annual_kwh\na,mill,x\nb,47,1\n",
            "p.csv, column annual_kwh, line 2: 'x' is no finite number",
        ),
        (
            "id,bus,annual_kwh\na,mill,inf\nb,47,1\n",
            "p.csv, column annual_kwh, line 2: 'inf' is no finite number",
        ),
        ("id,bus,annual_kwh\na,mill,-1\nb,47,1\n", "column annual_kwh, line 2: -1 is outside 0 to 1e+09"),
        (
            "id,bus,annual_kwh,soc_start\na,mill,1,50\nb,47,1,0\n",
            "column soc_start, line 2: 50 is outside 0 to 1",
        ),
        (
            "id,bus,annual_kwh,orientation\na,mill,1,sout\nb,47,1,east\n",
            "line 2: unknown class of roof 'sout'; did you mean 'south'?",
        ),
        (
            "id,bus,annual_kwh,live\na,mill,1,yes\nb,47,1,no\n",
            "column live, line 2: 'yes' is neither true nor false",
        ),
        (
            "id,bus,annual_kwh,live\na,mill,1,true\nb,47,1,false\n",
            "column live, line 2: has neither PV nor battery",
        ),
        (
            "id,bus,annual_kwh,battery_kwh,battery_kw\na,mill,1,5,2\nb,47,1,0,3\n",
            "column battery_kwh, line 3: is 0 although battery_kw is above 0; give a battery both, or",
        ),
        (
            "id,bus,annual_kwh,battery_kwh,battery_kw\na,mill,1,5,0\nb,47,1,0,0\n",
            "column battery_kw, line 2: is 0 although battery_kwh is above 0; give a battery both, or",
        ),
        (
            "id,bus,annual_kwh,pv_kwp,live,flexible_fraction\na,mill,1,1,true,0.1\nb,47,1,0,false,0\n",
            "column flexible_fraction, line 2: a live prosumer cannot have flexible load",
        ),
        ("id,bus,annual_kwh\na,mill,1,7\n", "p.csv: cannot be read: a row has more cells than the header"),
        (
            "id,bus,annual_kwh\na,mill,1\nb,47,1,2,3\n",
            "cannot be read: line 3 has 5 cells, the header 3",
        ),
        ("id,bus,annual_kwh\n", "p.csv: the table has no rows"),
        ("", "p.csv: cannot be read: it is empty"),
    ],
)
def test_what_is_wrong_with_prosumers_is_named_by_file_column_and_row(text, says, tmp_path):
    assert says in complaint(read, tmp_path, text)


def test_files_missing_damaged_or_of_another_kind(tmp_path):
    (tmp_path / "p.parquet").write_bytes(b"no parquet")
    assert "p.parquet: cannot be read" in complaint(build_population, scenario(tmp_path / "p.parquet"), SITES)
    assert "no such file" in complaint(build_population, scenario(tmp_path / "q.csv"), SITES)
    assert "ends in .csv or .parquet" in complaint(build_population, scenario(tmp_path / "q.xlsx"), SITES)


def times(count: int, step_min: int = 15, start: str = "2024-06-21T00:00+02:00") -> list[str]:
    first = datetime.fromisoformat(start)
    return [(first + timedelta(minutes=step_min * k)).isoformat(timespec="minutes") for k in range(count)]


def table(tmp_path: Path, header: str, rows: list[str], **run: object) -> Profiles:
    prosumers, profiles = tmp_path / "p.csv", tmp_path / "t.csv"
    prosumers.write_text(PROSUMERS, encoding="utf-8")
    profiles.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    chosen = scenario(prosumers, profiles, **run)
    return build_profiles(chosen, build_population(chosen, SITES), 2)


def test_columns_replace_what_they_name_and_the_rest_stays_synthetic(tmp_path):
    header = "time,load_kw.b,load_kw_per_mwh.a,pv_kw_per_kwp.a"
    rows = [f"{time},{k},{0.1 * k},{0.2 * k}" for k, time in enumerate(times(4))]
    given = table(tmp_path, header, rows)
    made = build_profiles(scenario(tmp_path / "p.csv"), given.population, 2)
    actual, synthetic = given.sample(3), made.sample(3)
    assert actual.load_kw[:, 0].tolist() == [3.0] * 3
    assert actual.load_kw[:, 2] == pytest.approx(3.0 * 0.3)
    assert actual.pv_kw[:, 2] == pytest.approx(5.0 * 0.6)
    assert np.array_equal(actual.load_kw[:, [1, 3]], synthetic.load_kw[:, [1, 3]])


def test_rows_may_be_substeps_and_run_may_begin_inside_the_table(tmp_path):
    rows = [f"{time},{k}" for k, time in enumerate(times(30, 5, "2024-06-20T23:30+02:00"))]
    given = table(tmp_path, "time,load_kw.b", rows)
    assert given.sample(0).load_kw[:, 0].tolist() == [6.0, 7.0, 8.0]
    assert given.sample(3).load_kw[:, 0].tolist() == [15.0, 16.0, 17.0]


def test_offsets_may_change_within_the_table(tmp_path):
    rows = [
        "2024-10-27T02:45+02:00,1",
        "2024-10-27T02:00+01:00,2",
        "2024-10-27T01:15Z,3",
        "2024-10-27T02:30+01:00,4",
    ]
    given = table(
        tmp_path, "time,load_kw.b", rows, start=datetime.fromisoformat("2024-10-27T02:45"), intervals=4
    )
    assert [given.sample(tick).load_kw[0, 0] for tick in range(4)] == [1.0, 2.0, 3.0, 4.0]


def test_profiles_in_parquet_need_a_time_zone(tmp_path):
    frame = pd.DataFrame(
        {"time": pd.date_range("2024-06-21", periods=4, freq="15min"), "load_kw.b": [1.0, 2, 3, 4]}
    )
    (tmp_path / "p.csv").write_text(PROSUMERS, encoding="utf-8")
    chosen = scenario(tmp_path / "p.csv", tmp_path / "t.parquet")
    people = build_population(chosen, SITES)
    frame.to_parquet(tmp_path / "t.parquet")
    assert "times have no UTC offset" in complaint(build_profiles, chosen, people, 2)
    frame.assign(time=frame["time"].dt.tz_localize("Europe/Berlin")).to_parquet(tmp_path / "t.parquet")
    assert build_profiles(chosen, people, 2).sample(2).load_kw[0, 0] == 3.0


B = "time,load_kw.b"
FOUR = [f"{time},1" for time in times(4)]
SIX = [f"{time},1" for time in times(6)]


@pytest.mark.parametrize(
    ("header", "rows", "says"),
    [
        ("when,load_kw.b", FOUR, "t.csv, column time: the column is missing"),
        ("time", times(4), "t.csv: no profile; add columns such as load_kw.b"),
        ("time,load.b", FOUR, "column load.b: unknown quantity; did you mean 'load_kw'?"),
        ("time,load_kw.x", FOUR, "column load_kw.x: no prosumer has the profile 'x'"),
        ("time,load_kw.b,load_kw_per_mwh.b", [f"{row},1" for row in FOUR], "the same as column load_kw.b"),
        ("time,pv_kw.b", FOUR, "column pv_kw.b: no prosumer of this profile has PV"),
        (B, ["2024-06-21T00:00,1"], "t.csv, column time, line 2: '2024-06-21T00:00' has no UTC offset"),
        (B, ["yesterday+02:00,1"], "t.csv, column time, line 2: this is no time"),
        (B, [f"{time},1" for time in times(4, 60)], "column time, line 3: rows are 60 min apart; resample"),
        (B, FOUR[:3], "no row for 2024-06-21T00:45+02:00, the file spans 2024-06-21T00:00"),
        (B, SIX[:2] + SIX[3:], "column time, line 4: no row for 2024-06-21T00:30"),
        (B, SIX[:1] + SIX[2:], "column time, line 3: no row for 2024-06-21T00:15"),
        (B, [f"{row}500" for row in SIX], "column load_kw.b: 1,500 kW where 0.2283 kW is usual"),
        ("time,pv_kw.a", [f"{row}500" for row in SIX], "1,500 kW where 5 kW is usual for its prosumers"),
        (B, [row.replace("+02:00", "Z") for row in SIX], "no row for 2024-06-21T00:00+02:00"),
        (B, FOUR[:2] + FOUR[:2], "column time, line 4: the time lies before the row above"),
        (B, FOUR[:2] + FOUR[1:], "column time, line 4: the time repeats the row above"),
        (B, [*FOUR[:2], f"{times(4)[2]},", FOUR[3]], "column load_kw.b, line 4: the cell is empty"),
        (B, [*FOUR[:2], f"{times(4)[2]},nan", FOUR[3]], "column load_kw.b, line 4: the cell is empty"),
        (B, [*FOUR[:3], f"{times(4)[3]},-1"], "column load_kw.b, line 5: -1 is outside 0 to inf"),
    ],
)
def test_what_is_wrong_with_profiles_is_named_by_file_column_and_row(header, rows, says, tmp_path):
    assert says in complaint(table, tmp_path, header, rows)


def test_holes_outside_the_run_do_not_matter(tmp_path):
    rows = [f"{time},{'' if k > 3 else 1}" for k, time in enumerate(times(8))]
    assert table(tmp_path, "time,load_kw.b", rows).sample(3).load_kw[0, 0] == 1.0


def test_example_with_own_tables_is_sound():
    chosen = load_scenario(Path(__file__).parents[3] / "scenarios/own-tables.toml")
    sites = LamSites(("mill", "church", "farm"), np.array([18.0, 14.0, 9.0]), np.full(3, 0.3))
    people = build_population(chosen, sites)
    profiles = build_profiles(chosen, people, 3)
    bakery = people.id.index("mill-bakery")
    load = [profiles.sample(tick).load_kw[:, bakery].mean() for tick in range(chosen.run.intervals)]
    assert 16 < np.argmax(load) < 26
    assert np.bincount(people.lam[people.live]).tolist() == [1, 1, 1]


def test_a_parquet_file_with_damaged_notes_of_pandas_is_one_line(tmp_path):
    file = tmp_path / "p.parquet"
    table = pa.Table.from_pandas(pd.DataFrame({"id": ["a"], "bus": ["mill"], "annual_kwh": [1.0]}))
    notes = table.schema.metadata[b"pandas"].replace(b"pandas_type", b"pandas_typo")
    pq.write_table(table.replace_schema_metadata({b"pandas": notes}), file)
    with pytest.raises(ScenarioError, match=r"cannot be read: .*pandas_type") as refused:
        read_table(file, ("id", "bus"))
    assert "\n" not in str(refused.value)
