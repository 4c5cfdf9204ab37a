"""Run directory: refusal, interruption, kill, resumption, and loading back."""

import os
import signal
import subprocess
import sys
import textwrap
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest

from broker.messages import FeederMap
from cosim.results.columns import TABLES
from cosim.results.directory import count_others, refuse_unwritable
from cosim.results.entries import account_names
from cosim.results.errors import ResultsError
from cosim.results.ledger import Ledger
from cosim.results.reader import load
from cosim.results.writer import RunWriter
from scripts.make_results_doc import INDICATORS, PAGES, with_tables

ZONE = ZoneInfo("Europe/Berlin")
ROOT = Path(__file__).parents[3]


def write_interval(writer, tick):
    writer.append(
        "intervals",
        {
            "tick": tick,
            "time": datetime(2024, 6, 21, tick, tzinfo=ZONE),
            "status": "confirmed",
            "v_min_pu": np.float64(0.97),
            "efficiency": None,
        },
    )
    writer.append(
        "lams", {"tick": tick, "lam": ["1", "2"], "net_kw": np.array([1.5, np.nan]), "alone": False}
    )
    writer.append("nodes", {"tick": tick, "node": ["1.1", "1.2", "2.3"], "v_pu": [1.0, 0.99, None]})
    writer.event({"tick": tick, "kind": "flag", "detail": "telemetry of p1 is missing"})


@pytest.fixture
def run_dir(tmp_path):
    return tmp_path / "run"


def test_a_finished_run_loads_back(run_dir, idle_summary):
    with RunWriter(run_dir) as writer:
        writer.scenario("[run]\nseed = 7\n")
        writer.feeder_map(
            FeederMap(buses={"1": (0.0, 1.0), "2": (2.0, 1.0)}, segments=[("1", "2")], lams=["2"])
        )
        for tick in range(3):
            write_interval(writer, tick)
        Ledger.create(run_dir / "ledger.sqlite", account_names(["p1"], ["2"]), run="r1").close()
        writer.finish(idle_summary)
    run = load(run_dir)
    assert run.summary == idle_summary
    assert run.scenario["run"]["seed"] == 7
    assert run.feeder_map.buses["2"] == (2.0, 1.0)
    assert run.intervals["tick"].tolist() == [0, 1, 2]
    assert run.intervals["time"][1].isoformat() == "2024-06-20T23:00:00+00:00"
    assert run.intervals["efficiency"].isna().all()
    assert run.lams["net_kw"].isna().tolist() == [False, True] * 3
    assert run.lams["alone"].tolist() == [False] * 6
    assert run.nodes["node"].tolist() == ["1.1", "1.2", "2.3"] * 3
    assert run.devices.empty
    assert [event["tick"] for event in run.events] == [0, 1, 2]
    assert run.ledger.run == "r1"
    run.ledger.close()
    assert sorted(file.name for file in run_dir.iterdir()) == [
        ".sharegrid-run",
        "connections.parquet",
        "currents.parquet",
        "devices.parquet",
        "events.jsonl",
        "faults.parquet",
        "feeder_map.json",
        "horizons.parquet",
        "intervals.parquet",
        "lams.parquet",
        "ledger.sqlite",
        "limits.parquet",
        "nodes.parquet",
        "outlook.parquet",
        "payments.parquet",
        "positions.parquet",
        "prosumers.parquet",
        "scenario.toml",
        "stores.parquet",
        "summary.json",
    ]


def test_tables_have_the_documented_columns(run_dir):
    RunWriter(run_dir).close()
    run = load(run_dir)
    for name, columns in TABLES.items():
        names = [column.name for column in columns]
        if "tick" in names and "time" not in names:
            names.insert(1, "time")
        assert list(getattr(run, name).columns) == names


def test_a_run_is_not_replaced_unasked(run_dir):
    with RunWriter(run_dir) as writer:
        write_interval(writer, 0)
    before = {file: file.read_bytes() for file in run_dir.iterdir()}
    with pytest.raises(ResultsError, match="holds a run already"):
        RunWriter(run_dir)
    assert {file: file.read_bytes() for file in run_dir.iterdir()} == before


def test_force_replaces_the_run_and_nothing_else(run_dir, idle_summary):
    with RunWriter(run_dir) as writer:
        write_interval(writer, 0)
        writer.finish(idle_summary)
    (run_dir / "notes.md").write_text("mine")
    RunWriter(run_dir, force=True).close()
    assert load(run_dir).intervals.empty
    assert not (run_dir / "summary.json").exists()
    assert (run_dir / "notes.md").read_text() == "mine"


def test_other_files_count_only_where_no_run_was(run_dir):
    assert count_others(run_dir) == 0
    run_dir.mkdir()
    (run_dir / "thesis.tex").touch()
    assert count_others(run_dir) == 1
    RunWriter(run_dir).close()
    assert count_others(run_dir) == 0


def test_an_interrupted_run_keeps_what_was_done(run_dir):
    def interrupted():
        with RunWriter(run_dir) as writer:
            write_interval(writer, 0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    run = load(run_dir)
    assert run.intervals["tick"].tolist() == [0]
    assert (run_dir / "intervals.parquet").exists()
    with pytest.raises(ResultsError, match=r"summary\.json: is missing"):
        _ = run.summary


def test_a_running_run_can_be_read(run_dir):
    with RunWriter(run_dir) as writer:
        write_interval(writer, 0)
        assert len(load(run_dir).nodes) == 3
        write_interval(writer, 1)
        assert len(load(run_dir).nodes) == len(writer.table("nodes")) == 6


def test_a_killed_run_keeps_what_was_done_and_goes_on(run_dir, idle_summary):
    story = textwrap.dedent(f"""
        import os, signal, sys
        sys.path[:0] = [{str(ROOT)!r}]
        from cosim.results.writer import RunWriter
        writer = RunWriter({str(run_dir)!r})
        for tick in range(3):
            writer.append("intervals", {{"tick": tick, "status": "confirmed"}})
            writer.event({{"tick": tick}})
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    killed = subprocess.run([sys.executable, "-c", story], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert load(run_dir).intervals["tick"].tolist() == [0, 1, 2]

    torn = run_dir / "intervals.arrows"
    os.truncate(torn, torn.stat().st_size - 20)
    with (run_dir / "events.jsonl").open("ab") as events:
        events.write(b'{"tick": 3, "ki')
    assert load(run_dir).intervals["tick"].tolist() == [0, 1]
    assert len(load(run_dir).events) == 3

    with RunWriter.resume(run_dir, ticks=[0]) as writer:
        write_interval(writer, 1)
        writer.finish(idle_summary)
    run = load(run_dir)
    assert run.intervals["tick"].tolist() == [0, 1]
    assert len(run.events) == 4
    assert run.summary == idle_summary


def test_an_interrupted_run_goes_on(run_dir):
    with RunWriter(run_dir) as writer:
        write_interval(writer, 0)
        write_interval(writer, 1)
        writer.append("prosumers", {"prosumer": ["p1", "p2"], "saving_usd": [1.0, 2.0]})
    assert load(run_dir).prosumers["saving_usd"].tolist() == [1.0, 2.0]
    with RunWriter.resume(run_dir, ticks=[0, 1]) as writer:
        write_interval(writer, 2)
    assert load(run_dir).prosumers.empty, "sums over half a run belong to nobody"
    assert load(run_dir).lams["tick"].tolist() == [0, 0, 1, 1, 2, 2]


def test_many_rows_go_to_several_row_groups(run_dir):
    nodes = [f"{bus}.1" for bus in range(60_000)]
    with RunWriter(run_dir) as writer:
        for tick in range(3):
            writer.append("nodes", {"tick": tick, "node": nodes, "v_pu": 1.0})
    assert load(run_dir).nodes["tick"].value_counts().to_dict() == {0: 60_000, 1: 60_000, 2: 60_000}


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"tick": 0, "nod": ["1.1"]}, "nodes: no column 'nod'"),
        (
            {"tick": 0, "node": ["1.1", "1.2"], "v_pu": [1.0]},
            r"nodes\.v_pu: 1 values where the other columns have 2",
        ),
        ({"tick": 0, "node": ["1.1"], "v_pu": ["high"]}, r"nodes\.v_pu: "),
    ],
)
def test_rows_that_do_not_fit_are_named(run_dir, columns, text):
    with RunWriter(run_dir) as writer:
        with pytest.raises(ResultsError, match=text):
            writer.append("nodes", columns)
        assert writer.table("nodes").empty


def test_errors_of_the_directory_are_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsError, match="is a file; name a directory"):
        RunWriter(tmp_path / "file")
    with pytest.raises(
        ResultsError, match=f"run: {tmp_path}/file is a file; name a directory for the results"
    ):
        RunWriter(tmp_path / "file" / "run")
    with pytest.raises(ResultsError, match="holds no run"):
        load(tmp_path / "nothing")
    with pytest.raises(ResultsError, match="holds no run"):
        RunWriter.resume(tmp_path / "nothing", ticks=[])


def test_damaged_files_are_named(run_dir, idle_summary):
    with RunWriter(run_dir) as writer:
        writer.finish(idle_summary)
    for name in ("summary.json", "nodes.parquet"):
        (run_dir / name).write_text("{")
    with pytest.raises(ResultsError, match="the file was changed or cut off"):
        _ = load(run_dir).summary
    with pytest.raises(ResultsError, match=r"nodes\.parquet: .*the file was changed or cut off"):
        _ = load(run_dir).nodes


def test_the_pages_of_results_and_indicators_are_written_from_the_declarations():
    pages = [page.read_text(encoding="utf-8") for page in PAGES]
    assert [page.count("<!-- table ") for page in pages] == [len(TABLES) + 1, len(INDICATORS)]
    assert [with_tables(page) for page in pages] == pages


def test_the_drawing_of_a_feeder_survives_json():
    drawing = FeederMap(buses={"1": (0.5, 1.0)}, segments=[("1", "1r")], lams=["1"])
    assert msgspec.json.decode(msgspec.json.encode(drawing), type=FeederMap) == drawing


def test_nothing_to_say_makes_no_row(run_dir):
    with RunWriter(run_dir) as writer:
        writer.append("devices", {"tick": 0, "prosumer": ["a"]})
        writer.append("devices", {})
        writer.append("devices", {"tick": 2, "prosumer": "b"})
    assert load(run_dir).devices["tick"].tolist() == [0, 2]


def test_whether_a_directory_can_be_written_leaves_nothing_behind(tmp_path):
    refuse_unwritable(tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())
    refuse_unwritable(tmp_path)
    with pytest.raises(ResultsError, match=r"/proc/x: .*; check the path, rights and free space"):
        refuse_unwritable(Path("/proc/x"))
