"""A Dask scheduler that dies in the middle of a study: one line, what is done is kept, and it goes on."""

import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager

import pytest

from cosim.market_studies.running import study
from tests.cosim.market_studies.test_catalogue import parquet_of

pytest.importorskip("distributed")

SIZE = {"members": [4, 6], "lams": 2, "factors": [0.8, 1.2], "tried": 6, "seeds": 3}
TASKS = 12

pytestmark = pytest.mark.slow


@contextmanager
def process(*words):
    """A process of Python that is ended behind."""
    child = subprocess.Popen(
        [sys.executable, "-m", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def start_cluster(stack, port):
    """A scheduler and one worker, as processes of their own; the scheduler is returned."""
    address = f"tcp://127.0.0.1:{port}"
    scheduler = stack.enter_context(
        process(
            "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"
        )
    )
    stack.enter_context(
        process(
            "distributed.cli.dask_worker",
            address,
            *("--no-nanny", "--no-dashboard", "--nthreads", "1", "--host", "127.0.0.1"),
            *("--death-timeout", "60"),
        )
    )
    return scheduler


def begin(out, port, *more):
    """`sharegrid study` on the scheduler, as a user begins it."""
    sizes = [word for key, value in SIZE.items() for word in ("--set", f"{key}={value}")]
    where = ["--scheduler", f"tcp://127.0.0.1:{port}", "--out", str(out)]
    return subprocess.Popen(
        [sys.executable, "-m", "sharegrid", "study", "behaviour", *sizes, *where, *more],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "MPLCONFIGDIR": str(out.parent)},
    )


def kept(out):
    return len(list(out.glob("parts/*")))


def test_a_lost_scheduler_costs_what_was_not_done_and_resume_goes_on(tmp_path):
    out = tmp_path / "out"
    with ExitStack() as stack:
        port = free_port()
        scheduler = start_cluster(stack, port)
        begun = begin(out, port)
        stack.callback(begun.kill)
        deadline = time.monotonic() + 60.0
        while kept(out) < 2:
            assert begun.poll() is None, begun.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        scheduler.kill()
        said = begun.communicate(timeout=60.0)[1]
    done = kept(out)
    assert begun.returncode == 2
    assert 2 <= done < TASKS
    (line,) = [each for each in said.splitlines() if each.strip() and "━" not in each]
    assert line == (
        "sharegrid: the scheduler is lost: start one again; "
        f"{done} of {TASKS} tasks are done and kept in {out}, --resume goes on"
    )
    with ExitStack() as stack:
        port = free_port()
        start_cluster(stack, port)
        again = begin(out, port, "--resume")
        stack.callback(again.kill)
        said = again.communicate(timeout=120.0)[1]
        assert again.returncode == 0, said
    here = tmp_path / "here"
    study("behaviour", out=here, jobs=1, changes=SIZE)
    assert parquet_of(out) == parquet_of(here)
