"""Devices outside the run: an emulator in a process of its own, and hardware that is only what answers."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from cosim.results.entries import LedgerError
from cosim.results.ledger_reader import LedgerReader
from cosim.results.reader import load

COMMAND = [sys.executable, "-c", "from cosim.cli import main; main()"]
DEVICES = """
[[devices]]
prosumer = "{name}"
profile = "{profile}"
connect = "tcp://127.0.0.1:{port}/{unit}"
clock = "{clock}"
"""


@pytest.fixture
def owner_of_both(small_run):
    """A live prosumer with PV and a battery that moves in the first interval, and its place."""
    run, world = small_run
    people = world.population
    asked = run.devices.query("phase == 'meter' and tick == 0").set_index("prosumer")["battery_set_point_kw"]
    both = [
        member
        for member in world.roster.live_members
        if people.pv_kwp[member] > 0.0 and abs(asked[people.id[member]]) > 0.5
    ]
    return people.id[both[0]]


def with_devices(scenario, folder, name, port, clock="run", extra=""):
    text = scenario.read_text()
    for unit, profile in enumerate(("sdm630", "sunspec-pv", "sunspec-battery"), start=1):
        text += DEVICES.format(name=name, profile=profile, port=port, unit=unit, clock=clock) + extra
    path = folder / "outside.toml"
    path.write_text(text)
    return path


def entries(ledger):
    return [(account, entry) for account in sorted(ledger.balances()) for entry in ledger.statement(account)]


def settled(path):
    """Ticks that a ledger has so far, none while it is being made."""
    try:
        with LedgerReader.open(path) as ledger:
            return ledger.ticks()
    except LedgerError:
        return []


def test_one_prosumer_in_another_process_gives_the_same_ledger(
    small_run, small_scenario, tmp_path, own_mosquitto, unused_tcp_port, owner_of_both
):
    scenario = with_devices(small_scenario, tmp_path, owner_of_both, unused_tcp_port)
    common = [str(scenario), "--broker", own_mosquitto, "--run-id", "outside"]
    serving = subprocess.Popen([*COMMAND, "serve", "emulators", *common], stderr=subprocess.PIPE)
    try:
        out = tmp_path / "run"
        done = subprocess.run([*COMMAND, "run", *common, "--out", str(out)], capture_output=True, timeout=90)
        assert done.returncode == 0, done.stderr.decode()
        assert serving.wait(30) == 0
    finally:
        serving.kill()
        serving.communicate()
    run, (base, _) = load(out), small_run
    assert run.summary.modbus.errors == 0
    mine = run.devices[run.devices["prosumer"] == owner_of_both]
    assert np.abs(mine["battery_set_point_kw"].fillna(0.0)).max() > 0.5
    assert entries(run.ledger) == entries(base.ledger)


def test_hardware_is_refused_where_time_is_not_real(small_scenario, tmp_path, unused_tcp_port, owner_of_both):
    scenario = with_devices(small_scenario, tmp_path, owner_of_both, unused_tcp_port, clock="real")
    done = subprocess.run(
        [*COMMAND, "run", str(scenario), "--out", str(tmp_path / "run")], capture_output=True, timeout=60
    )
    lines = done.stderr.decode().strip().splitlines()
    assert done.returncode == 2
    assert len(lines) == 1
    assert "lives in real time: add --pace real" in lines[0]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("way", ["command", "key"])
def test_a_running_run_is_stopped(small_scenario, tmp_path, way):
    out = tmp_path / "run"
    near, far = os.openpty()
    options = ["--intervals", "8", "--pace", "900", "--out", str(out)]
    process = subprocess.Popen(
        [*COMMAND, "run", str(small_scenario), *options],
        stdin=far,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        deadline = time.monotonic() + 60
        while not settled(out / "ledger.sqlite"):
            assert time.monotonic() < deadline
            assert process.poll() is None, process.stderr.read().decode()
            time.sleep(0.1)
        assert (out / "live.json").stat().st_mode & 0o077 == 0
        if way == "key":
            os.write(near, b"s")
        else:
            stopped = subprocess.run(
                [*COMMAND, "stop", str(out), "--reason", "smoke"], capture_output=True, timeout=30
            )
            assert stopped.returncode == 0, stopped.stderr.decode()
            assert b"devices are at their safe values" in stopped.stdout
        _, errors = process.communicate(timeout=90)
    finally:
        process.kill()
        process.communicate()
        os.close(near)
        os.close(far)
    assert process.returncode == 0, errors.decode()
    assert errors.decode().splitlines()[0].endswith(f": results go to {out}")
    assert not (out / "live.json").exists()
    run = load(out)
    assert run.summary.set_points.emergency_stops == 1
    (event,) = [event for event in run.events if event["kind"] == "stop"]
    assert ("smoke" if way == "command" else "key s in the terminal") in event["detail"]
    last = run.devices.query("phase == 'measure' and tick == 7")
    assert last["battery_kw"].abs().max() < 1e-6
    assert last["pv_kw"].abs().max() < 1e-6


def test_there_is_nothing_to_stop_where_no_run_goes_on(tmp_path):
    done = subprocess.run([*COMMAND, "stop", str(tmp_path)], capture_output=True, timeout=30)
    assert done.returncode == 2
    assert b"no run goes on here" in done.stderr
