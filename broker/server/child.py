"""A program of ours that runs beside this one and never outlives it.

Used for the brokers we run ourselves: start, wait until it says it is ready, keep the end of its
output for an error of one line, stop it whatever happens.
"""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from broker.patience import within

_KEPT_BYTES = 4096
_CLOSING_S = 3.0


# A small program asks before it becomes the child: a hook of subprocess, between fork and exec, is unsafe
# where there are threads.
_WITH_PARENT = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, int(sys.argv[2]))
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[3], sys.argv[3:])
"""


class ChildFailed(Exception):
    """The program ended, or stayed silent, before it was ready; the text is its last line."""


@dataclass
class Child:
    """A program that runs: what it said when it was ready, whether it has ended, and with what status."""

    match: re.Match[str]
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    status: int | None = None


def with_parent(argv: Sequence[str], number: signal.Signals) -> list[str]:
    """Command to run a program that the kernel sends a signal when this process dies, however it dies."""
    return [sys.executable, "-ISc", _WITH_PARENT, str(os.getpid()), str(int(number)), *argv]


@asynccontextmanager
async def running(
    argv: Sequence[str],
    ready: re.Pattern[str],
    *,
    env: Mapping[str, str] | None = None,
    patience_s: float = 15.0,
    closing_s: float = _CLOSING_S,
    on_output: Callable[[bytes], None] | None = None,
) -> AsyncIterator[Child]:
    """Run a program for the time of a ``with`` block.

    Its standard input is a pipe that closes when this process dies, however it dies. It gets a session
    of its own, so that an interrupt at the terminal lets us stop it in order.

    Parameters
    ----------
    argv
        Program and arguments.
    ready
        Text in its output that says that it is ready; the block gets what matched.
    env
        Environment; None passes ours on.
    patience_s
        How long it may take to get ready [s].
    closing_s
        How long it may take to end when it is asked to [s]; then it is killed.
    on_output
        Called with what it says once it is ready, in pieces as they come.

    Raises
    ------
    ChildFailed
        It ended or stayed silent before it was ready.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=env,
            start_new_session=True,
        )
    except OSError as error:
        raise ChildFailed(str(error)) from None
    drain: asyncio.Task[None] | None = None
    try:
        assert process.stdout is not None
        child = Child(await _wait_ready(process.stdout, ready, patience_s))
        # Unread output would fill the pipe and stop the program.
        drain = asyncio.create_task(_follow(child, process, on_output))
        yield child
    finally:
        await _stop(process, closing_s)
        if drain is not None:
            await drain


async def _wait_ready(
    output: asyncio.StreamReader, ready: re.Pattern[str], patience_s: float
) -> re.Match[str]:
    said = ""
    with suppress(TimeoutError):
        async with within(patience_s):
            while chunk := await output.read(_KEPT_BYTES):
                said = (said + chunk.decode(errors="replace"))[-2 * _KEPT_BYTES :]
                if match := ready.search(said):
                    return match
    lines = said.split("\n")
    raise ChildFailed(next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing"))


async def _follow(
    child: Child, process: asyncio.subprocess.Process, on_output: Callable[[bytes], None] | None
) -> None:
    """Hand on what a child says until it ends."""
    assert process.stdout is not None
    while chunk := await process.stdout.read(1 << 16):
        if on_output is not None:
            on_output(chunk)
    child.status = await process.wait()
    child.ended.set()


async def _stop(process: asyncio.subprocess.Process, closing_s: float) -> None:
    try:
        with suppress(ProcessLookupError):
            process.terminate()
        with suppress(TimeoutError):
            async with within(closing_s):
                await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
