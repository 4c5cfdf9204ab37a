"""What ends a run: signals, and a terminal that is lost."""

import asyncio
import os
import signal
import sys

import pytest

from cosim.terminal import TerminalStream

WAIT = """
import asyncio, signal, sys
from cosim.safety import on_signals

async def main():
    signal.signal(signal.SIGHUP, signal.{handler})
    with on_signals(lambda number: print(int(number), file=sys.stderr, flush=True)):
        print("ready", file=sys.stderr, flush=True)
        await asyncio.sleep(2.0)

asyncio.run(main())
"""


BUSY = """
import asyncio, os, sys, time
from cosim.safety import on_signals

async def main():
    took = []

    def at_once(number):
        # The signal may come while the line before is being written, which another print must not enter.
        os.write(2, b"at once\\n")

    with on_signals(took.append, at_once):
        print("ready", file=sys.stderr, flush=True)
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            sum(range(1000))
        print("idle", file=sys.stderr, flush=True)
        await asyncio.sleep(0.1)
        print(*map(int, took), file=sys.stderr, flush=True)

asyncio.run(main())
"""


async def test_what_must_not_wait_is_called_while_the_loop_is_busy():
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", BUSY, stderr=asyncio.subprocess.PIPE)
    assert await process.stderr.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    _, rest = await asyncio.wait_for(process.communicate(), 20.0)
    assert rest.decode().splitlines() == ["at once", "idle", "15"]


async def taken(handler, give):
    """Signals taken by a process on a terminal of its own, of which ``give`` makes what it likes."""
    window, slave = os.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        WAIT.format(handler=handler),
        stdin=slave,
        stdout=slave,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    os.close(slave)
    assert await process.stderr.readline() == b"ready\n"
    closes = give(process)
    if closes:
        os.close(window)
    _, rest = await asyncio.wait_for(process.communicate(), 20.0)
    if not closes:
        os.close(window)
    return rest.decode().split()


async def test_a_lost_terminal_counts_as_one_sighup_however_many_come_with_it():
    assert await taken("SIG_DFL", lambda _: True) == ["1"]
    assert await taken("SIG_DFL", lambda process: process.send_signal(signal.SIGHUP) or True) == ["1"]


async def test_a_terminal_that_stays_ends_nothing():
    assert await taken("SIG_DFL", lambda _: False) == []


async def test_where_sighup_is_ignored_a_lost_terminal_ends_nothing():
    assert await taken("SIG_IGN", lambda _: True) == []


async def test_a_pipe_that_is_closed_is_no_lost_terminal():
    read, write = os.pipe()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WAIT.format(handler="SIG_DFL"), stdin=read, stderr=asyncio.subprocess.PIPE
    )
    os.close(read)
    os.close(write)
    _, rest = await asyncio.wait_for(process.communicate(), 20.0)
    assert rest.split() == [b"ready"]


def test_writing_to_a_lost_terminal_is_no_error_and_to_a_closed_pipe_is_one():
    window, slave = os.openpty()
    os.close(window)
    with os.fdopen(slave, "w", closefd=False) as terminal:
        stream = TerminalStream(terminal)
        assert stream.write("anything") == len("anything")
        stream.flush()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, slave)
        os.close(null)
    os.close(slave)
    read, write = os.pipe()
    os.close(read)
    pipe = os.fdopen(write, "w")
    TerminalStream(pipe).write("anything")
    with pytest.raises(BrokenPipeError):
        TerminalStream(pipe).flush()
    with pytest.raises(BrokenPipeError):
        pipe.close()
