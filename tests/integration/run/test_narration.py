"""What a run says while it goes on: on a terminal, in its log, on the bus and to a web address."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.integration.happenings import SILENT, happening_scenario

COMMAND = [sys.executable, "-m", "sharegrid", "run"]
EVENT = "line m is out"


@pytest.fixture
def webhook():
    """A web address, and what it was sent."""
    sent = []

    class Taker(BaseHTTPRequestHandler):
        def do_POST(self):
            sent.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Taker)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/a-secret", sent
    server.shutdown()
    server.server_close()
    thread.join()


def read_terminal(near):
    """Everything that was written to a terminal until its other end was closed."""
    said = b""
    try:
        while piece := os.read(near, 1 << 16):
            said += piece
    except OSError:
        pass
    return said.decode(errors="replace")


def test_a_terminal_hears_what_goes_wrong_as_it_happens_and_alarms_go_out(tmp_path, webhook):
    address, sent = webhook
    scenario = happening_scenario(tmp_path / "s", f'\n[alarms]\nwebhook = "{address}"\nleast = "note"\n')
    near, far = os.openpty()
    out = tmp_path / "run"
    process = subprocess.Popen(
        [*COMMAND, str(scenario), "--out", str(out)], stderr=far, stdout=subprocess.DEVNULL,
        env={**os.environ, "COLUMNS": "200", "TERM": "xterm"},
    )  # fmt: skip
    os.close(far)
    said = read_terminal(near)
    os.close(near)
    assert process.wait(60) == 0
    assert EVENT in said
    assert said.count(f"{SILENT} does not answer") == 1
    log = (out / "run.log").read_text()
    assert EVENT in log
    assert f"alarm   12:30  {SILENT} does not answer" in log
    alarms = [each for each in sent if each["weight"] == "alarm"]
    assert [(each["text"], each["interval"]) for each in alarms] == [(f"{SILENT} does not answer", "12:30")]
    assert any(EVENT in each["text"] for each in sent)
    kept = (out / "scenario.toml").read_text()
    assert "a-secret" not in kept
    assert 'webhook = "http://127.0.0.1:' in kept


def test_without_a_terminal_it_is_quiet_and_an_address_that_takes_nothing_is_said_once(tmp_path):
    scenario = happening_scenario(tmp_path / "s", '\n[alarms]\nleast = "warning"\n')
    out = tmp_path / "run"
    done = subprocess.run(
        [*COMMAND, str(scenario), "--out", str(out), "--intervals", "4"],
        capture_output=True,
        text=True,
        timeout=90,
        env={**os.environ, "SHAREGRID_WEBHOOK": "http://127.0.0.1:9/a-secret"},
    )
    assert done.returncode == 0
    assert EVENT not in done.stderr
    assert done.stderr.count("an alarm was not taken by alarms.webhook") == 1
    assert "a-secret" not in done.stderr
    assert EVENT in (out / "run.log").read_text()
