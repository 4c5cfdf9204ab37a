"""Which run commands a piece of hardware: two that share a broker must not command the same one."""

import asyncio
import ipaddress
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from broker import claims
from devices.endpoint import Endpoint
from devices.errors import AlreadyClaimed


@asynccontextmanager
async def claimed(url: str, run: str, endpoint: Endpoint, *, identity: str = "") -> AsyncIterator[None]:
    """Hold the claim to a device for the time of a ``with`` block.

    Parameters
    ----------
    url
        Broker that those who could command it share.
    run
        The run that commands it.
    endpoint
        The device.
    identity
        Party whose certificate is shown to a broker that wants one.

    Raises
    ------
    AlreadyClaimed
        Another run commands it; names run and process.
    BrokerError
        The broker cannot be reached.
    """
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(
                claims.claimed(url, run, await _address(endpoint), identity=identity)
            )
        except claims.Claimed as error:
            raise AlreadyClaimed(f"{endpoint} is commanded by another: {error}") from None
        yield


async def _address(endpoint: Endpoint) -> str:
    """Name of a device that is the same from wherever it is reached; serial lines are this computer's."""
    link, host = endpoint.link, socket.gethostname()
    if link.scheme == "rtu":
        # One line has many names: by its number, by what hangs on it.
        path = await asyncio.to_thread(os.path.realpath, link.place)
        place = f"{host}:{path.strip('/').replace('/', ':')}"
    else:
        place = f"{await _resolved(link.place, host)}:{link.port}"
    return f"{place}:{endpoint.name.replace('/', ':') or endpoint.unit}"


async def _resolved(name: str, this_host: str) -> str:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return name
    address = found[0][4][0]
    return this_host if ipaddress.ip_address(address).is_loopback else str(address)
