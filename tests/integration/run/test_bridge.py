"""A run whose devices speak at a Mosquitto of their site, which a bridge joins to the run's secured one."""

import os
import socket
import sqlite3
import subprocess
import time
from contextlib import ExitStack

import pytest
from click.testing import CliRunner

from broker.server.configuration import open_listener
from broker.server.mosquitto import find_mosquitto
from cosim.cli import main
from tests.broker.door.hostile_run import written_scenario
from tests.integration.run.conftest import COMMAND

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.usefixtures("mosquitto_installed")]


def said(*words):
    result = CliRunner().invoke(main, [*map(str, words)])
    assert result.exit_code == 0, result.output
    return result.output


def rows(folder):
    with sqlite3.connect(folder / "ledger.sqlite") as ledger:
        return ledger.execute("SELECT * FROM entry ORDER BY tick, kind, account").fetchall()


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_devices_behind_a_bridge_give_the_ledger_of_one_process(tmp_path, unused_tcp_port_factory):
    scenario = written_scenario(tmp_path / "scenario", intervals=3)
    common = [str(scenario), "--run-id", "bridged"]
    said("run", *common, "--broker", "mosquitto", "--out", tmp_path / "alone")
    run_port, site_port = unused_tcp_port_factory(), unused_tcp_port_factory()
    site, security = tmp_path / "site.conf", tmp_path / "security"
    files = ["--out", security, "--host", "localhost", "--port", run_port, "--bridge", "devices"]
    said("broker", "files", scenario, *files)
    to = ["--to", f"localhost:{run_port}", "--credentials", security / "clients/bridge-devices"]
    bridge = said("broker", "bridge", "devices", scenario, *to)
    site.write_text(open_listener(site_port, root=os.geteuid() == 0) + bridge)
    secured = security / "broker" / "mosquitto.conf"
    with ExitStack() as stack:

        def start(*words):
            # A secured broker says so much that a pipe which nobody reads would halt it.
            process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            return process

        for file in (secured, site):
            start(find_mosquitto(), "-c", str(file))
        ends = time.monotonic() + 30
        while not (listens(run_port) and listens(site_port)):
            assert time.monotonic() < ends
            time.sleep(0.05)
        devices = start(*COMMAND, "serve", "devices", *common, "--broker", f"mqtt://127.0.0.1:{site_port}")
        broker = f"mqtts://localhost:{run_port}?credentials={security / 'clients'}"
        address = f"{broker}/control"
        market, feeder = (
            start(*COMMAND, "serve", role, *common, "--broker", f"{broker}/{role}")
            for role in ("market", "feeder")
        )
        control = ["run", *common, "--elsewhere", "market,feeder,devices", "--broker", address]
        done = subprocess.run(
            [*COMMAND, *control, "--out", str(tmp_path / "bridged")], capture_output=True, timeout=240
        )
        assert done.returncode == 0, done.stderr.decode()
        assert [process.wait(20) for process in (devices, market, feeder)] == [0, 0, 0]
    assert rows(tmp_path / "bridged") == rows(tmp_path / "alone")
    assert (tmp_path / "bridged" / "events.jsonl").read_text() == ""
