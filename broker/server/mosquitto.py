"""A private Mosquitto: found, configured, started and stopped by us, for this computer only."""

import os
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from broker.errors import BrokerStartError
from broker.server.child import ChildFailed, running
from broker.server.handle import BrokerHandle

_READY = re.compile(r"mosquitto version (\S+) running")
_BUSY = "Address already in use"
_ATTEMPTS = 5

# Mosquitto cannot notice that we died, so the kernel is asked to kill it then; it would forget a SIGTERM that
# comes during its start. A small program asks before it becomes Mosquitto: a hook of subprocess, between fork
# and exec, is unsafe where there are threads.
_WITH_PARENT = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


def find_mosquitto() -> str | None:
    """Path of the mosquitto program, or None; Debian keeps it out of an ordinary user's PATH."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    return shutil.which("mosquitto", path=path)


def config(port: int, *, root: bool) -> str:
    """Text of the configuration file.

    Past ``max_queued_messages`` (1000 unless said) Mosquitto drops in silence what it has confirmed to the
    publisher: a burst of one message per prosumer must fit many times.
    """
    lines = [
        f"listener {port} 127.0.0.1",
        "allow_anonymous true",
        "persistence false",
        "max_queued_messages 1000000",
        "max_queued_bytes 1000000000",
        "max_inflight_messages 1000",
        "max_packet_size 67108864",
        "set_tcp_nodelay true",
        "sys_interval 0",
        "connection_messages false",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        "log_type information",
    ]
    if root:
        # Otherwise it becomes another user, who may not read the private folder.
        lines.append("user root")
    return "\n".join(lines) + "\n"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def mosquitto(port: int = 0) -> AsyncIterator[BrokerHandle]:
    """Run a private Mosquitto for the time of a ``with`` block.

    Parameters
    ----------
    port
        Port on 127.0.0.1; 0 takes a free one.

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
        attempts_left = _ATTEMPTS
        match: re.Match[str] | None = None
        while match is None:
            attempts_left -= 1
            chosen = port or _free_port()
            # Read before it says that it runs, so that nothing stays behind if we are killed.
            with tempfile.TemporaryDirectory(prefix="sharegrid-mosquitto-") as folder:
                file = Path(folder) / "mosquitto.conf"
                file.write_text(config(chosen, root=os.geteuid() == 0))
                argv = [sys.executable, "-ISc", _WITH_PARENT, str(os.getpid()), program, "-c", str(file)]
                try:
                    match = await stack.enter_async_context(running(argv, _READY))
                except ChildFailed as error:
                    # Between our look and its start somebody else may have taken the free port.
                    if port or _BUSY not in str(error) or attempts_left == 0:
                        raise BrokerStartError(
                            f"mosquitto on 127.0.0.1:{chosen}: {error}; choose another port or broker"
                        ) from None
        yield BrokerHandle(url=f"mqtt://127.0.0.1:{chosen}", name=f"mosquitto {match[1]}")
