"""What is there once for each run: its roles and its broker, which may be away."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from contextlib import AsyncExitStack

import pytest

from broker.server.configuration import open_listener
from broker.server.mosquitto import find_mosquitto, mosquitto
from cosim.options import RunError
from cosim.results.ledger_reader import LedgerReader
from cosim.results.reader import load
from cosim.security.opening import claim_roles
from cosim.world.names import Role
from tests.integration.run.test_recovery import COMMAND, bookings, settled, wait_until_settled

pytestmark = pytest.mark.usefixtures("mosquitto_installed")
AWAY_S = 3.0
MARKET = [(Role.MARKET, "wam")]


async def test_a_role_is_served_once():
    async with mosquitto() as broker, AsyncExitStack() as first, AsyncExitStack() as second:
        await claim_roles(first, broker.url, "r1", MARKET)
        await claim_roles(second, broker.url, "r2", MARKET)
        with pytest.raises(RunError, match="role market of run r1 is served already"):
            await claim_roles(second, broker.url, "r1", MARKET)
        await first.aclose()
        await claim_roles(second, broker.url, "r1", MARKET)


@contextlib.contextmanager
def run_at_a_broker(village, folder):
    """A run, and what starts its broker again at the same port; the first one is there already."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    configuration, out = folder / "mosquitto.conf", folder / "run"
    configuration.write_text(open_listener(port, root=os.geteuid() == 0))
    serving = []

    def start_broker():
        command = [find_mosquitto(), "-c", str(configuration)]
        serving.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
        return serving[-1]

    words = ["run", str(village), "--run-id", "village", "--broker", f"mqtt://127.0.0.1:{port}"]
    broker = start_broker()
    time.sleep(0.5)
    run = subprocess.Popen([*COMMAND, *words, "--out", str(out)], stderr=subprocess.PIPE)
    try:
        wait_until_settled(out, 2, run)
        broker.kill()
        broker.wait()
        yield run, out, start_broker
    finally:
        for process in (run, *serving):
            process.kill()
            process.wait()


@pytest.mark.slow
def test_a_broker_that_is_away_costs_no_interval_and_no_bit(village, whole, tmp_path):
    with run_at_a_broker(village, tmp_path) as (run, out, start_broker):
        time.sleep(AWAY_S)
        left = settled(out)
        shutil.copy(out / "ledger.sqlite", tmp_path / "copy.sqlite")
        with LedgerReader.open(tmp_path / "copy.sqlite") as ledger:
            assert len(ledger.ticks()) == left
        start_broker()
        _, said = run.communicate(timeout=100)
    assert run.returncode == 0, said.decode()
    assert b"the broker was away" in said
    assert bookings(load(out)) == bookings(whole)


@pytest.mark.slow
def test_a_run_that_is_to_end_does_so_although_its_broker_never_comes_back(village, whole, tmp_path):
    with run_at_a_broker(village, tmp_path) as (run, out, start_broker):
        run.send_signal(signal.SIGTERM)
        _, said = run.communicate(timeout=60)
        assert run.returncode == 2, said.decode()
        assert re.search(rb"the broker was away within interval \d+, in which the run was to end", said)
        # All that was settled is complete, and the rest can follow.
        start_broker()
        assert settled(out) >= 2
        taken_up = subprocess.run(
            [*COMMAND, "run", "--resume", str(out)], capture_output=True, text=True, timeout=100
        )
    assert taken_up.returncode == 0, taken_up.stderr
    assert bookings(load(out)) == bookings(whole)
