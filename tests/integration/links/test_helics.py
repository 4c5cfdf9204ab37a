"""Runs in a real HELICS federation: broker, another federate, and what both make of each other."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cosim.cli import main
from cosim.results.reader import load
from cosim.study.audit import differences
from tests.broker.door.hostile_run import LAMS, MASTER, SCENARIO
from tests.integration.links.grid import TOLD

pytest.importorskip("helics")
ROOT = Path(__file__).resolve().parents[3]
SHAREGRID = [sys.executable, "-m", "sharegrid"]
TAKES = ("source_pu=grid/v_pu", "load_kw/homes=grid/load", "import_price=grid/price")


@pytest.fixture(scope="module")
def scenario(tmp_path_factory):
    folder = tmp_path_factory.mktemp("federated")
    (folder / "m.dss").write_text(MASTER)
    (folder / "lams.csv").write_text(LAMS)
    text = SCENARIO.format(intervals=4, bidding="curve", horizon=0).replace("per_lam = 2", "per_lam = 0")
    (folder / "s.toml").write_text(text)
    return folder / "s.toml"


def free_port():
    """A port that is free as is the next one, which HELICS takes too, and that no client is given."""
    while True:
        # Below those that systems give to whoever connects.
        port = random.randrange(20_000, 30_000)
        with suppress(OSError), socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", port))
            two.bind(("127.0.0.1", port + 1))
            return port


@contextmanager
def federation(port, intervals, vanishes_at=0):
    """Address of a broker of two federates, and the other federate's process."""
    address = f"127.0.0.1:{port}"
    beside = [
        subprocess.Popen(
            [Path(sys.executable).parent / "helics_broker", "-f2", f"--local_interface=tcp://{address}",
             "--loglevel=no_print"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ),
        subprocess.Popen(
            [sys.executable, Path(__file__).parent / "grid.py", address, str(intervals), str(vanishes_at)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        ),
    ]  # fmt: skip
    try:
        yield address, beside[1]
    finally:
        for process in beside:
            # HELICS's command of the broker is a script that starts the broker itself.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def federated(scenario, out, address, *options, takes=TAKES):
    words = [*SHAREGRID, "helics", str(scenario), "--federation", address, "--out", str(out), *options]
    for each in takes:
        words += ["--take", each]
    return subprocess.run(words, capture_output=True, text=True, cwd=ROOT, timeout=120)


@pytest.mark.slow
def test_a_run_and_a_grid_answer_each_other_interval_by_interval(scenario, tmp_path):
    out = tmp_path / "run"
    with federation(free_port(), intervals=4) as (address, grid):
        done = federated(scenario, out, address, "--record")
        assert done.returncode == 0, done.stderr
        heard = [json.loads(line) for line in grid.communicate(timeout=20)[0].splitlines()]
    run = load(out)
    # What the grid heard is what the run recorded, and each answer stands in the very next interval.
    homes, farm = (run.lams[run.lams["lam"] == name].reset_index() for name in ("homes", "farm"))
    street = run.nodes[run.nodes["node"] == "street.1"].reset_index()
    recorded = (
        run.intervals["grid_actual_kw"],
        run.intervals["grid_kvar"],
        run.intervals["losses_kw"],
        street["v_pu"],
        homes["price"],
        farm["wam_price"],
        run.intervals["bought_kwh"],
    )
    assert len(heard) == 3
    for tick, values in enumerate(heard):
        for key, column in zip(TOLD, recorded, strict=True):
            assert values[key] == column[tick], (tick, key)
    set_pu = [1.0, *(1.0 - 1e-3 * each["head_kw"] for each in heard)]
    np.testing.assert_array_equal(run.intervals["set_pu"], set_pu)
    assert len(set(set_pu)) == 4
    # NaN was refused, and what was before it stood.
    np.testing.assert_allclose(homes["outside_kw"], [0.0, 1.0, 1.0, 3.0], rtol=1e-12)
    assert (farm["outside_kw"] == 0.0).all()
    by_scenario = run.intervals["import_price"][0]
    np.testing.assert_allclose(run.intervals["import_price"], [by_scenario, 0.26, 0.27, 0.28], rtol=1e-12)
    assert by_scenario not in (0.26, 0.27, 0.28)
    assert run.intervals["certified"].all()
    flags = [each["detail"] for each in run.events if each["kind"] == "flag"]
    assert flags == [
        "the federation tells no import_price for this interval: what it told last stands",
        "the federation tells no load_kw/homes for this interval: what it told last stands",
        "load_kw/homes = nan of the federation refused: it is no number; the value before stands",
    ]
    assert max(each.pu for each in differences(run)) < 1e-8
    played = CliRunner().invoke(main, ["replay", str(out)])
    assert played.exit_code == 0
    assert "nothing differs" in played.output


@pytest.mark.slow
def test_a_federate_that_vanishes_ends_the_run_or_leaves_what_it_told(scenario, tmp_path):
    for on_loss, status, settled in (("hold", 0, 4), ("end", 2, 2)):
        out = tmp_path / on_loss
        with federation(free_port(), intervals=4, vanishes_at=2) as (address, _):
            done = federated(scenario, out, address, "--on-loss", on_loss, "--patience", "3")
        assert done.returncode == status, done.stderr
        run = load(out)
        assert run.summary.intervals.settled == settled
        silent = "the federation does not come to time 1800 s within 3 s"
        if on_loss == "hold":
            flags = [each["detail"] for each in run.events if each["kind"] == "flag"]
            assert f"{silent}; the run goes on with what it told last" in flags
            assert flags.count("without the federation: what it told last stands") == 1
            assert run.intervals["set_pu"].tolist()[1:] == [run.intervals["set_pu"][1]] * 3
        else:
            assert done.stderr.splitlines()[-1] == f"sharegrid: {silent}"


def test_what_cannot_be_joined_is_said_in_one_line(scenario, tmp_path):
    port = free_port()
    refusals = {
        ("--patience", "0.2"): f"no HELICS broker answers at 127.0.0.1:{port} within 0.2 s",
        ("--take", "load_kw/hoes=x"): "--take load_kw/hoes=x: no input 'load_kw/hoes'; did you mean",
    }
    for options, said in refusals.items():
        words = ["helics", str(scenario), "--federation", f"127.0.0.1:{port}", *options]
        done = CliRunner().invoke(main, [*words, "--out", str(tmp_path / "never")])
        assert done.exit_code == 2
        assert said in done.stderr.splitlines()[-1]
    with federation(port, intervals=4) as (address, _):
        done = federated(scenario, tmp_path / "no", address, takes=("source_pu=grid/volts",))
    assert done.returncode == 2
    assert "Unable to connect to required Publication target grid/volts" in done.stderr.splitlines()[-1]


def test_hardware_waits_for_no_federation(scenario, tmp_path):
    device = '[[devices]]\nprosumer = "p00001"\nprofile = "sdm630"\nconnect = "tcp://127.0.0.1:1/1"\n'
    own = scenario.with_name("hardware.toml")
    own.write_text(scenario.read_text().replace("per_lam = 0", "per_lam = 14") + device)
    done = CliRunner().invoke(main, ["helics", str(own), "--out", str(tmp_path / "no")])
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1] == (
        "sharegrid: hardware (unit 1 at 127.0.0.1:1) lives in real time and cannot wait for a federation: "
        "leave it out"
    )


def test_time_zones_are_read_after_helics_is_loaded():
    code = "import cosim.links.helics.federate, pyarrow; print(pyarrow.lib.string_to_tzinfo('+01:00'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
