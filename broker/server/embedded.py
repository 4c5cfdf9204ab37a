"""The broker that needs nothing installed: amqtt in a process of its own, on this computer only."""

import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from broker.errors import BrokerStartError
from broker.server.child import Child, ChildFailed, running
from broker.server.handle import BrokerHandle
from broker.server.keeper import kept_running

_HOME = str(Path(__file__).resolve().parent.parent)
_READY = re.compile(r"ready (\d+)\n")


@asynccontextmanager
async def embedded(port: int = 0) -> AsyncIterator[BrokerHandle]:
    """Run the embedded broker for the time of a ``with`` block.

    Parameters
    ----------
    port
        Port on 127.0.0.1; 0 takes a free one.

    Raises
    ------
    BrokerStartError
        amqtt is not installed, or the port is taken.
    """
    try:
        name = f"embedded amqtt {version('amqtt')}"
    except PackageNotFoundError:
        raise BrokerStartError(
            "embedded broker: amqtt is not installed; pip install 'sharegrid[cosim]', or name a broker mqtt://..."
        ) from None
    try:
        async with _process(port) as child:
            own = int(child.match[1])
            async with kept_running(name, child, lambda: _process(own)):
                yield BrokerHandle(url=f"mqtt://127.0.0.1:{own}", name=name)
    except ChildFailed as error:
        raise BrokerStartError(
            f"embedded broker on 127.0.0.1:{port}: {error}; choose another port or broker"
        ) from None


def _process(port: int) -> AbstractAsyncContextManager[Child]:
    path = os.pathsep.join(filter(None, [_HOME, os.environ.get("PYTHONPATH", "")]))
    argv = [sys.executable, "-P", "-W", "ignore", "-m", "broker.server.amqtt_process", str(port)]
    return running(argv, _READY, env={**os.environ, "PYTHONPATH": path})
