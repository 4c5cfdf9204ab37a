"""Real processes, killed by the system: what they leave, and what comes of the run that goes on."""

import asyncio
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from broker import messages
from broker.server.mosquitto import mosquitto
from cosim.replay.replay import Recorded, replay
from cosim.report import report_command
from cosim.results.comparison import compare
from cosim.results.ledger_reader import LedgerReader
from cosim.results.reader import load
from cosim.traffic.entries import EntryKind
from cosim.traffic.file import TrafficReader, TrafficWriter
from tests.integration.run.conftest import VILLAGE_INTERVALS as INTERVALS

COMMAND = [sys.executable, "-c", "from cosim.cli import main; main()"]
ROLES = ("market", "feeder", "devices")


def settled(out):
    """How many intervals the ledger has, or none while there is no ledger."""
    try:
        with closing(sqlite3.connect(f"file:{out}/ledger.sqlite?mode=ro", uri=True)) as ledger:
            return ledger.execute("SELECT COUNT(*) FROM interval").fetchone()[0]
    except sqlite3.Error:
        return 0


def wait_until_settled(out, count, process, within_s=180.0):
    deadline = time.monotonic() + within_s
    while settled(out) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"{settled(out)} of {count} intervals"
        time.sleep(0.01)


def bookings(run):
    return [
        (account, entry)
        for account in sorted(run.ledger.balances())
        for entry in run.ledger.statement(account)
    ]


def same_but_for_times_and_flags(run, other):
    """Whether all tables hold the same bits, but for wall time and what is said of disturbances."""
    for name in ("intervals", "lams", "nodes", "devices", "prosumers"):
        one, two = getattr(run, name), getattr(other, name)
        kept = [column for column in one if not column.endswith("_s") and column != "flags"]
        assert one[kept].equals(two[kept]), name


def is_told_so_far(out, whole, how, at_least):
    """A run that is not over has the whole one's values, summary and ledger up to where it is."""
    run = load(out)
    count = run.summary.intervals.settled
    assert at_least <= count < INTERVALS
    assert run.summary.incomplete.startswith(f"{how} {count} of {INTERVALS} intervals")
    run.check_whole()
    for name in ("intervals", "lams", "nodes", "devices"):
        ours, theirs = getattr(run, name), getattr(whole, name)
        theirs = theirs[theirs["tick"] < count].reset_index(drop=True)
        kept = [column for column in ours if not column.endswith("_s") and column != "flags"]
        assert ours[kept].equals(theirs[kept]), name
    assert run.prosumers["prosumer"].tolist() == whole.prosumers["prosumer"].tolist()
    assert run.prosumers["saving_usd"].sum() == pytest.approx(run.intervals["saving_usd"].sum())
    paid = run.paid.filter(like="prosumer/", axis=0)["energy_usd"].sum()
    assert paid == pytest.approx(run.intervals["energy_usd"].sum(), abs=1e-5)
    assert run.summary.messages.received > 0
    assert f"This run is {how} {count} of" in report_command(out).read_text()
    return run


def counts_it_all(run, whole):
    """The summary counts what all processes of the run did; some was done twice.

    What a process sent behind the checkpoint that it left, as its interval ended, nobody can count.
    """
    ours, theirs = run.summary, whole.summary
    assert (1.0 - 1.0 / INTERVALS) * theirs.messages.sent <= ours.messages.sent < 1.5 * theirs.messages.sent
    assert theirs.modbus.reads <= ours.modbus.reads < 1.5 * theirs.modbus.reads
    assert theirs.modbus.writes <= ours.modbus.writes
    assert ours.set_points.limited >= theirs.set_points.limited
    assert ours.seconds.total >= run.intervals["interval_s"].sum()


def plays_again(out, next_tick):
    """Market and feeder compute again what they did before a kill, and from ``next_tick`` on behind it."""
    account = replay(Recorded(out))
    assert [str(each) for each in account.differences] == []
    assert account.remarks[0] == f"the run was taken up again with interval {next_tick}"
    # A control that is killed takes the last words with it that it recorded.
    unplayed = sorted(set(range(INTERVALS)) - set(account.intervals))
    assert unplayed == list(range(next_tick - len(unplayed), next_tick)), account.remarks
    return unplayed


def forget_from(out, tick):
    """Cut off what the first session of a record has from a tick on, as a kill does with what waits."""
    path = out / "traffic.record"
    entries = list(TrafficReader(path))
    path.unlink()
    sessions, is_lost = 0, False
    with TrafficWriter(path, 2**30) as writer:
        for entry in entries:
            sessions += entry.kind is EntryKind.SESSION
            if entry.topic.endswith("/clock/step"):
                is_lost = is_lost or messages.decode(entry.body).tick >= tick
            if sessions > 1 or not is_lost:
                writer.add(entry)


def test_a_run_that_is_killed_and_taken_up_again_has_the_same_bits(village, whole, tmp_path):
    out = tmp_path / "run"
    command = [*COMMAND, "run", str(village), "--run-id", "village", "--out", str(out), "--record"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        wait_until_settled(out, 3, process)
        # It is there, and does not get on while it is looked at.
        process.send_signal(signal.SIGSTOP)
        is_told_so_far(out, whole, "not over: goes on, with", at_least=3)
    finally:
        process.kill()
        process.communicate()
    left = settled(out)
    assert 3 <= left < INTERVALS
    killed = is_told_so_far(out, whole, "not complete: killed, or failed, after", at_least=left)
    assert (killed.summary.intervals.settled, killed.summary.provenance.world) == (left, killed.ledger.world)
    beside = compare(killed, whole)
    assert beside.loc["incomplete"].tolist() == [killed.summary.incomplete, ""]
    assert report_command(whole.path, out).read_text().count('class="incomplete"') == 1
    again = [*COMMAND, "run", "--resume", str(out)]
    done = subprocess.run(again, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    run = load(out)
    assert run.ledger.ticks() == list(range(INTERVALS))
    assert bookings(run) == bookings(whole)
    same_but_for_times_and_flags(run, whole)
    counts_it_all(run, whole)
    assert run.intervals["flags"].gt(0).sum() == 1
    assert run.intervals.set_index("tick")["flags"][left] > 0
    refused = subprocess.run(again, capture_output=True, timeout=60)
    assert refused.returncode == 2
    assert b"that run is complete" in refused.stderr
    plays_again(out, left)
    # However much of the record is lost, what goes on behind it plays.
    forget_from(out, left - 2)
    assert plays_again(out, left) == [left - 2, left - 1]


class Processes:
    """Control and roles of one run as processes over one broker."""

    def __init__(self, scenario, url, out):
        self.out = out
        self.common = [str(scenario), "--broker", url, "--run-id", "village"]
        self.url = url
        self.running = {}

    def start(self, role, *more, name=None):
        words = [*COMMAND, "serve", role, *self.common, *more]
        started = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.running[name or role] = started

    def control(self, *arguments, elsewhere=ROLES):
        words = [*COMMAND, "run", *arguments, "--elsewhere", ",".join(elsewhere)]
        self.running["control"] = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def kill(self, name):
        process = self.running.pop(name)
        process.send_signal(signal.SIGKILL)
        process.communicate()


@pytest.fixture
def processes(village, tmp_path):
    with asyncio.Runner() as runner:
        broker = mosquitto()
        handle = runner.run(broker.__aenter__())
        made = Processes(village, handle.url, tmp_path / "run")
        yield made
        for process in made.running.values():
            process.kill()
            process.communicate()
        runner.run(broker.__aexit__(None, None, None))


@pytest.mark.skipif(shutil.which("mosquitto") is None, reason="needs Mosquitto")
def test_each_process_is_killed_in_turn_and_no_bit_changes(processes, whole):
    out = processes.out
    for role in ROLES:
        processes.start(role)
    processes.control(*processes.common, "--out", str(out), "--record")
    for role in ROLES:
        wait_until_settled(out, settled(out) + 2, processes.running["control"])
        processes.kill(role)
        processes.start(role)
    wait_until_settled(out, settled(out) + 2, processes.running["control"])
    processes.kill("control")
    left = settled(out)
    processes.control("--resume", str(out), "--broker", processes.url)
    _, said = processes.running["control"].communicate(timeout=120)
    assert processes.running["control"].returncode == 0, said.decode()
    assert [processes.running[role].wait(30) for role in ROLES] == [0, 0, 0]
    run = load(out)
    assert bookings(run) == bookings(whole)
    same_but_for_times_and_flags(run, whole)
    flagged = run.intervals["flags"].gt(0).sum()
    assert 1 <= flagged <= 4
    with LedgerReader.open(out / "ledger.sqlite") as ledger:
        assert ledger.head == whole.ledger.head
    plays_again(out, left)


@pytest.mark.skipif(shutil.which("mosquitto") is None, reason="needs Mosquitto")
def test_a_spare_takes_the_place_of_a_process_that_is_killed_and_no_bit_changes(processes, whole):
    out = processes.out
    for role in ROLES:
        processes.start(role)
    assert b"serving market" in processes.running["market"].stderr.readline()
    processes.start("market", "--spare", name="spare")
    assert b"ready to serve market" in processes.running["spare"].stderr.readline()
    processes.control(*processes.common, "--out", str(out))
    wait_until_settled(out, 2, processes.running["control"])
    processes.kill("market")
    _, said = processes.running["control"].communicate(timeout=120)
    assert processes.running["control"].returncode == 0, said.decode()
    assert [processes.running[name].wait(30) for name in ("spare", "feeder", "devices")] == [0, 0, 0]
    run = load(out)
    assert bookings(run) == bookings(whole)
    assert run.intervals["flags"].gt(0).sum() == 1


def test_an_emergency_stop_stays_in_force_over_a_run_that_is_taken_up_again(village, tmp_path):
    out = tmp_path / "run"
    command = [*COMMAND, "run", str(village), "--run-id", "village", "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        wait_until_settled(out, 1, process)
        stop = subprocess.run([*COMMAND, "stop", str(out)], capture_output=True, timeout=60)
        assert stop.returncode == 0, stop.stderr.decode()
        left = settled(out)
    finally:
        process.kill()
        process.communicate()
    done = subprocess.run([*COMMAND, "run", "--resume", str(out)], capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    assert b"the emergency stop of this run is still in force" in done.stderr
    ends = load(out).devices.query("phase == 'meter'").groupby("tick")["acknowledged"].sum()
    assert ends[0] > 0
    assert (ends[ends.index > left] == 0).all()
