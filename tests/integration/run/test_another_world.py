"""Runs that are to be taken up again, whose world is another by now: what changed is said."""

import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from broker.snapshot import pack, unpack
from cosim.results.beginning import read_beginning
from tests.integration.run.test_recovery import wait_until_settled

COMMAND = [sys.executable, "-c", "from cosim.cli import main; main()"]


@pytest.fixture(scope="module")
def killed(village, tmp_path_factory):
    folder = tmp_path_factory.mktemp("another-world") / "mine"
    shutil.copytree(village.parent, folder)
    scenario, out = folder / village.name, folder / "run"
    process = subprocess.Popen(
        [*COMMAND, "run", scenario.name, "--out", str(out)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        wait_until_settled(out, 1, process)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    return scenario, out


def refusal(out):
    done = subprocess.run([*COMMAND, "run", "--resume", str(out)], capture_output=True, timeout=120)
    assert done.returncode == 2
    return done.stderr.decode()


def test_a_run_knows_the_scenario_that_it_was_started_from(killed):
    scenario, out = killed
    assert read_beginning(out).scenario_file == str(scenario)


def test_a_checkpoint_of_another_commit_is_named_with_its_remedy(killed, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(killed[1], out)
    with closing(sqlite3.connect(out / "ledger.sqlite")) as ledger:
        (content,) = ledger.execute("SELECT content FROM checkpoint WHERE service = 'recorder'").fetchone()
        kept = unpack(content)
        del kept["counts"]["traffic_by_process"]
        ledger.execute("UPDATE checkpoint SET content = ? WHERE service = 'recorder'", (pack(kept),))
        ledger.commit()
    said = refusal(out)
    assert "its checkpoint, by commit " in said
    assert (
        "does not fit this one (the snapshot has no traffic_by_process): go on with that commit, or" in said
    )
    assert len(said.splitlines()) == 1


def test_an_edited_scenario_is_named(killed, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(killed[1], out)
    file = out / "scenario.toml"
    text = file.read_text()
    assert "lam_sensitivity" in text
    file.write_text(text.replace("lam_sensitivity = ", "lam_sensitivity = 1"))
    said = refusal(out)
    assert "its scenario.toml was edited since it began, and a run goes on as it began: undo that, or" in said


def test_a_file_that_changed_is_named(killed):
    scenario, out = killed
    table = scenario.with_name("lams.csv")
    before = table.read_text()
    table.write_text(before.rstrip("\n") + "\n\n")
    try:
        said = refusal(out)
    finally:
        table.write_text(before)
    assert "the file that its scenario names changed since it began (tables.lams): put back what was" in said
