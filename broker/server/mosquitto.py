"""A private Mosquitto: found, configured, started and stopped by us, for this computer only."""

import os
import re
import shutil
import signal
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from broker.address import secure_url
from broker.errors import BrokerStartError
from broker.server.broker_log import BrokerLog
from broker.server.child import Child, ChildFailed, running, with_parent
from broker.server.configuration import open_listener, secured_listener
from broker.server.handle import BrokerHandle
from broker.server.keeper import kept_running

_READY = re.compile(r"mosquitto version (\S+) running")
_BUSY = "Address already in use"
_ATTEMPTS = 5


@dataclass(frozen=True)
class Secured:
    """Files of a secured broker of our own.

    Attributes
    ----------
    broker, clients
        Folders of the broker and of those who speak there (`broker.security.files`).
    log
        File for what the broker refuses.
    """

    broker: Path
    clients: Path
    log: Path | None = None


def find_mosquitto() -> str | None:
    """Path of the mosquitto program, or None; Debian keeps it out of an ordinary user's PATH."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    return shutil.which("mosquitto", path=path)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def mosquitto(port: int = 0, secured: Secured | None = None) -> AsyncIterator[BrokerHandle]:
    """Run a private Mosquitto for the time of a ``with`` block.

    Parameters
    ----------
    port
        Port on 127.0.0.1; 0 takes a free one.
    secured
        Files by which it knows who speaks; without them it does not ask.

    Raises
    ------
    BrokerStartError
        Mosquitto is not installed, the port is taken, or Mosquitto refuses to start.
    """
    program = find_mosquitto()
    if program is None:
        raise BrokerStartError(
            "mosquitto is not in PATH or /usr/sbin; apt-get install mosquitto, or take --broker embedded"
        )
    async with AsyncExitStack() as stack:
        child: Child | None = None
        attempts_left = _ATTEMPTS
        while child is None:
            attempts_left -= 1
            chosen = port or _free_port()
            try:
                child = await stack.enter_async_context(_process(program, chosen, secured))
            except ChildFailed as error:
                # Between our look and its start somebody else may have taken the free port.
                if port or _BUSY not in str(error) or attempts_left == 0:
                    raise BrokerStartError(
                        f"mosquitto on 127.0.0.1:{chosen}: {error}; choose another port or broker"
                    ) from None
        name = f"mosquitto {child.match[1]}"
        again = partial(_process, program, chosen, secured)
        await stack.enter_async_context(kept_running(name, child, again))
        if secured is None:
            yield BrokerHandle(url=f"mqtt://127.0.0.1:{chosen}", name=name)
        else:
            url = secure_url("127.0.0.1", chosen, secured.clients)
            yield BrokerHandle(url=url, name=f"{name} with TLS")


@asynccontextmanager
async def _process(program: str, port: int, secured: Secured | None) -> AsyncIterator[Child]:
    async with AsyncExitStack() as stack:
        # Read before it says that it runs, so that nothing stays behind if we are killed.
        with tempfile.TemporaryDirectory(prefix="sharegrid-mosquitto-") as folder:
            file = Path(folder) / "mosquitto.conf"
            file.write_text(_configuration(port, secured))
            # It cannot notice that we died, and would forget a SIGTERM that comes during its start.
            argv = with_parent([program, "-c", str(file)], signal.SIGKILL)
            on_output = None if secured is None else BrokerLog(secured.log)
            child = await stack.enter_async_context(running(argv, _READY, on_output=on_output))
        yield child


def _configuration(port: int, secured: Secured | None) -> str:
    root = os.geteuid() == 0
    if secured is None:
        return open_listener(port, root=root)
    return secured_listener(port, secured.broker, address="127.0.0.1", root=root)
