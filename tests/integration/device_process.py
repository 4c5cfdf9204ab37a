"""``sharegrid device`` as a process of its own, for tests."""

import asyncio
import os
import re
import signal
import sys
import time
from contextlib import asynccontextmanager

from devices.endpoint import LiveProsumer
from devices.gateway.gateway import Gateway

DEVICE = (sys.executable, "-W", "error", "-c", "from cosim.cli import main; main()", "device")


@asynccontextmanager
async def running(*options, **environment):
    """A device process; gives it and its first line."""
    process = await asyncio.create_subprocess_exec(
        *DEVICE,
        *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | environment,
    )
    try:
        line = await asyncio.wait_for(process.stdout.readline(), 20.0)
        yield process, line.decode()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ended(process, number=signal.SIGTERM):
    process.send_signal(number)
    _, errors = await asyncio.wait_for(process.communicate(), 10.0)
    return process.returncode, errors.decode()


def port_in(line):
    return int(re.search(r"127\.0\.0\.1:(\d+)", line)[1])


async def read_once(**places):
    gateway = Gateway([LiveProsumer(id="home", **places)], timeout_s=2.0)
    try:
        (reading,) = await gateway.poll()
        return reading
    finally:
        await gateway.close()


async def until(check, seconds=5.0):
    """Wait until a coroutine function gives something true, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := await check()):
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.1)
    return found
