"""A run whose roles are processes of their own on this computer."""

import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from cosim import processes
from cosim.cli import main
from cosim.options import MANY_READINGS, RunOptions, plan_run
from cosim.world.names import ROLES, Role
from tests.broker.door.hostile_run import written_scenario

pytestmark = pytest.mark.usefixtures("mosquitto_installed")


def rows(folder):
    with sqlite3.connect(folder / "ledger.sqlite") as ledger:
        return ledger.execute("SELECT * FROM entry ORDER BY tick, kind, account").fetchall()


def children_of(pid):
    said = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(pid)], capture_output=True, text=True)
    found = [line.split(maxsplit=1) for line in said.stdout.splitlines()]
    return {int(child): words for child, words in found}


def sharegrid(*words):
    return [sys.executable, "-m", "sharegrid", *map(str, words)]


@pytest.mark.slow
def test_processes_give_the_ledger_of_one(tmp_path):
    scenario = written_scenario(tmp_path / "scenario", intervals=2)
    for name, options in (("one", []), ("several", ["--processes", "--secure", "--lams", "2"])):
        words = ["run", scenario, "--run-id", "same", "--broker", "mosquitto", "--out", tmp_path / name]
        result = CliRunner().invoke(main, [*map(str, words), *options])
        assert result.exit_code == 0, result.output
    assert rows(tmp_path / "several") == rows(tmp_path / "one")
    assert (tmp_path / "several" / "events.jsonl").read_text() == ""


@pytest.mark.slow
def test_devices_apart_and_messages_in_bundles_give_the_ledger_of_one(tmp_path, monkeypatch):
    scenario = written_scenario(tmp_path / "scenario", intervals=2)
    started, start = [], processes.serve_words
    monkeypatch.setattr(
        "cosim.processes.serve_words", lambda role, *rest: started.append(role) or start(role, *rest)
    )
    for name, many, bundle_from in (("one", 2000, 0), ("apart", 1, 2)):
        monkeypatch.setattr("cosim.options.MANY_READINGS", many)
        words = ["run", scenario, "--run-id", "same", "--broker", "mosquitto", "--out", tmp_path / name]
        changed = ["--set", f"broker.bundle_from={bundle_from}"]
        result = CliRunner().invoke(main, [*map(str, words), *changed])
        assert result.exit_code == 0, result.output
    assert started == [Role.DEVICES]
    assert rows(tmp_path / "apart") == rows(tmp_path / "one")
    assert (tmp_path / "apart" / "events.jsonl").read_text() == ""


@pytest.mark.parametrize(
    ("readings", "hardware", "options", "apart"),
    [
        (MANY_READINGS, False, {}, [Role.DEVICES]),
        (MANY_READINGS - 1, False, {}, []),
        (MANY_READINGS, True, {}, []),
        (MANY_READINGS, False, {"without_faults": True}, []),
        (MANY_READINGS, False, {"metrics": "127.0.0.1:0"}, []),
        (MANY_READINGS, False, {"elsewhere": ("devices",), "broker": "mqtt://b:1"}, []),
        (1, True, {"processes": True}, list(ROLES)),
    ],
)
def test_very_many_emulated_devices_get_a_process_and_hardware_stays(
    tmp_path, readings, hardware, options, apart
):
    plan = plan_run(RunOptions(out=tmp_path / "run", **options))
    assert plan.apart(readings, hardware=hardware) == apart


@pytest.mark.slow
def test_processes_end_with_the_one_that_started_them(tmp_path):
    scenario = written_scenario(tmp_path / "scenario", intervals=1000)
    words = ["run", scenario, "--run-id", "gone", "--broker", "mosquitto", "--out", tmp_path / "out"]
    with subprocess.Popen(sharegrid(*words, "--processes"), stderr=subprocess.DEVNULL) as run:
        try:
            began = time.monotonic()
            serving = {}
            while len(serving) < 3 and time.monotonic() < began + 60:
                serving = {pid: said for pid, said in children_of(run.pid).items() if " serve " in said}
                time.sleep(0.1)
            assert sorted(said.split(" serve ")[1].split()[0] for said in serving.values()) == [
                "devices",
                "feeder",
                "market",
            ]
            assert not any("mqtt" in said for said in serving.values())
            # They have to be past their start to see that it dies.
            while not (tmp_path / "out" / "live.json").exists() and time.monotonic() < began + 60:
                time.sleep(0.1)
        finally:
            run.send_signal(signal.SIGKILL)
    ends = time.monotonic() + 20
    while any(is_alive(pid) for pid in serving) and time.monotonic() < ends:
        time.sleep(0.1)
    assert not any(is_alive(pid) for pid in serving)


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_process_that_does_not_start_is_one_line(tmp_path, monkeypatch):
    scenario = written_scenario(tmp_path / "scenario", intervals=1)
    monkeypatch.setattr(
        "cosim.processes.serve_words", lambda *_: [sys.executable, "-c", "raise SystemExit('ill')"]
    )
    words = ["run", scenario, "--processes", "--broker", "mosquitto", "--out", tmp_path / "out"]
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 2
    assert result.output.splitlines()[-1].startswith("sharegrid: the process of role ")
    assert "did not start: ill" in result.output
    assert os.environ.get("SHAREGRID_BROKER") is None
