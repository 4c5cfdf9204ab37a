"""At which port a view listens: the one that is given, or else a free one."""

import socket
import sys

import pytest
from click.testing import CliRunner

from broker.server.child import running
from cosim.cli import main
from cosim.processes import _VIEW_READY
from cosim.view import command
from cosim.view.command import _listener

TAKEN = "Address already in use; choose another port, or leave it out for a free one"


@pytest.fixture
def taken():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


def said_of(*words):
    done = CliRunner().invoke(main, list(words))
    assert done.exit_code == 2
    return done.output


def test_a_port_that_is_given_and_taken_is_refused(taken, tmp_path):
    out = tmp_path / "run"
    assert said_of("run", "--view", str(taken), "--out", str(out)) == (
        f"sharegrid: --view {taken}: 127.0.0.1:{taken}: {TAKEN}\n"
    )
    assert not out.exists()
    assert said_of("view", str(tmp_path), "--port", str(taken)) == (
        f"sharegrid: --port {taken}: 127.0.0.1:{taken}: {TAKEN}\n"
    )
    assert "--host 203.0.113.9: " in said_of("view", str(tmp_path), "--host", "203.0.113.9")


def test_where_no_port_is_given_a_free_one_is_taken(taken, monkeypatch):
    monkeypatch.setattr(command, "_USUAL_PORT", taken)
    with _listener("127.0.0.1", None) as found:
        assert found.getsockname()[1] != taken


async def test_the_run_passes_on_where_its_view_is():
    line = "view: http://127.0.0.1:40001/ (port 8050 is in use)"
    words = [
        sys.executable,
        "-c",
        f"import time; print({line!r}, flush=True); time.sleep(60)",
    ]
    async with running(words, _VIEW_READY) as child:
        assert f"view: {child.match[1]}" == line
