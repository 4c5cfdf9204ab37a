"""Runs through time: the same to the bit on any number of processes, and after any interruption."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cosim.cli import main
from cosim.feeder.controls import Positions
from cosim.feeder.linear import Limits
from cosim.feeder.opendss import Feeder
from cosim.feeder.timeseries import TimeRules, joined, play
from cosim.study.days import Days, Setup
from cosim.study.kept_days import FOLDER, KeptDays
from cosim.study.options import FeederSource

MASTER = """clear
new circuit.own bus1=head basekv=12.47 pu=1.0
new transformer.reg buses=(head sub) kvs=(12.47 12.47) kvas=(3000 3000) xhl=2 %loadloss=0.1
new regcontrol.reg transformer=reg winding=2 vreg=122 band=2 ptratio=60 delay=15
new line.l bus1=sub bus2=far phases=3 r1=2 x1=2 r0=3 x0=4 c1=0 c0=0 length=1 normamps=60
new load.homes bus1=far phases=3 kv=12.47 kw=1200 kvar=300
set voltagebases=[12.47]
calcvoltagebases
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    (tmp_path / "m.dss").write_text(MASTER)
    hours = np.arange(24 * 12)
    load = 0.5 + 0.4 * np.sin(hours / 24.0 * 2 * np.pi) + 0.1 * np.random.default_rng(1).random(hours.size)
    (tmp_path / "shape.csv").write_text("load\n" + "".join(f"{each:.4f}\n" for each in load))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*options):
    done = CliRunner().invoke(main, ["feeder", "run", "m.dss", "--shape", "shape.csv", *options])
    return done.exit_code, done.stderr.strip()


def results(folder):
    return {file.name: file.read_bytes() for file in sorted(Path(folder).iterdir())}


def test_on_any_number_of_processes_results_are_the_same_bytes(folder):
    assert run("--out", "one", "--voltages") == (0, "")
    assert run("--out", "three", "--voltages", "--jobs", "3") == (0, "")
    assert results("one") == results("three")
    assert sorted(results("one")) == [
        "branches.parquet", "nodes.parquet", "steps.parquet", "summary.json", "voltages.parquet"
    ]  # fmt: skip


def test_what_was_interrupted_goes_on_where_it_stood(folder):
    options = ["feeder", "run", "m.dss", "--step-min", "5", "--steps", "2016", "--out", "r"]
    command = [sys.executable, "-m", "sharegrid", *options]
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, env=path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        while not (folder / "r" / FOLDER / "day-00001.npz").exists():
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert told.strip().endswith(" steps; go on with --resume")
    assert "Traceback" not in told
    days = len(list((folder / "r" / FOLDER).glob("day-*.npz")))
    assert 2 <= days < 7
    refused = CliRunner().invoke(main, options)
    assert (refused.exit_code, refused.stderr) == (
        2,
        "sharegrid: r: holds an unfinished run; go on with --resume, or throw it away with --force\n",
    )
    assert CliRunner().invoke(main, [*options, "--resume"]).exit_code == 0
    assert CliRunner().invoke(main, [*options[:-1], "whole"]).exit_code == 0
    assert results("r") == results("whole")


def test_processes_end_with_the_one_that_started_them(folder):
    options = ["feeder", "run", "m.dss", "--step-min", "5", "--jobs", "2", "--out", "r"]
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-m", "sharegrid", *options],
        env=path,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    ) as process:
        while not (folder / "r" / FOLDER / "day-00000.npz").exists():
            assert process.poll() is None
            time.sleep(0.02)
        children = [int(each) for each in _children_of(process.pid)]
        process.kill()
    assert len(children) >= 2
    until = time.monotonic() + 20.0
    while any(_runs(child) for child in children):
        assert time.monotonic() < until
        time.sleep(0.05)


def _children_of(process):
    return Path(f"/proc/{process}/task/{process}/children").read_text().split()


def _runs(process):
    """Whether a process is there, and not only waits for somebody to take notice of its end."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_days_that_are_kept_are_taken_and_others_played(folder):
    feeder = Feeder("m.dss")
    limits = Limits(0.95, 1.05, feeder.layout.rating_a)
    rules, first = TimeRules(limits, 1.0, controls_act=True), feeder.positions()
    shape = np.loadtxt("shape.csv", skiprows=1)[:, None]
    setup = Setup(FeederSource(Path("m.dss"), None, "bus"), rules, folder / "part")
    kept = KeptDays(folder / "part")
    kept.open({"shape": "this"}, resume=False, force=False)
    # A day that was played from elsewhere, one that is damaged, and one that is right by chance.
    wrong = Positions({"reg": first.taps["reg"] - 3})
    kept.write(5, play(feeder, wrong, shape[120:144], rules))
    (folder / "part" / FOLDER / "day-00007.npz").write_bytes(b"PK")
    kept.write(0, play(feeder, first, shape[:24], rules))
    feeder.put(first)
    days = Days(setup, feeder, shape, 24)
    assert days.steps_done == 48
    counted = []
    series = joined(feeder.layout, first, rules, days.play(1, counted.append))
    assert counted == [24] * 10
    straight = joined(feeder.layout, first, rules, [play(feeder, first, shape, rules)])
    assert series.steps == straight.steps
    assert series.summary["moves"] == straight.summary["moves"]
    np.testing.assert_allclose(series.nodes["v_mean_pu"], straight.nodes["v_mean_pu"], rtol=1e-13)


def test_an_unfinished_run_is_gone_on_with_as_it_began(folder):
    kept = KeptDays(folder / "r")
    kept.open({"shape": "this"}, resume=False, force=False)
    code, told = run("--out", "r", "--resume")
    assert code == 2
    assert told == (
        "sharegrid: r: the unfinished run there has another version of sharegrid; "
        "go on as it began, or choose another folder"
    )
    assert run("--out", "r", "--force", "--steps", "24") == (0, "")
    assert FOLDER not in results("r")
    # Results that are being replaced do not stand in the way of going on with that.
    code, told = run("--out", "r", "--resume")
    assert (code, told) == (
        2, "sharegrid: r: holds results already; choose another folder or replace them with --force"
    )  # fmt: skip
    kept.open({"shape": "this"}, resume=False, force=False)
    assert "another version of sharegrid" in run("--out", "r", "--resume")[1]
