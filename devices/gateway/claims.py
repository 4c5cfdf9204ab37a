"""Which run commands a piece of hardware: two that share a broker must not command the same one."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from broker import claims
from devices.endpoint import Endpoint
from devices.errors import AlreadyClaimed
from devices.gateway.identity import name_anywhere


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
            claim = claims.of_device(await name_anywhere(endpoint))
            await stack.enter_async_context(claims.claimed(url, run, claim, identity=identity))
        except claims.Claimed as error:
            raise AlreadyClaimed(f"{endpoint} is commanded by another: {error}") from None
        yield
