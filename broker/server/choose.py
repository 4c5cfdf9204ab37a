"""Which broker a run uses: one of ours or one that is already there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from broker.address import parse_address
from broker.errors import BrokerAddressError, BrokerStartError, BrokerUnreachable
from broker.patience import within
from broker.server.embedded import embedded
from broker.server.handle import BrokerHandle
from broker.server.mosquitto import Secured, find_mosquitto, mosquitto

_ANSWER_S = 3.0


@asynccontextmanager
async def open_broker(
    choice: str = "auto", *, port: int = 0, secured: Secured | None = None
) -> AsyncIterator[BrokerHandle]:
    """Have a broker for the time of a ``with`` block.

    Parameters
    ----------
    choice
        ``auto`` (Mosquitto where it is installed, else the embedded one), ``embedded``, ``mosquitto``, or the
        address of a broker that runs already (`broker.address`).
    port
        Port on 127.0.0.1 for a broker of our own; 0 takes a free one.
    secured
        Files by which a Mosquitto of our own knows who speaks.

    Raises
    ------
    BrokerStartError
        The broker of our own does not start: not installed, port taken.
    BrokerUnreachable
        Nothing listens at the address.
    BrokerAddressError
        ``choice`` is none of these.
    """
    if choice == "auto":
        choice = "mosquitto" if secured or find_mosquitto() else "embedded"
    if choice == "embedded" and secured is not None:
        raise BrokerStartError("the embedded broker knows no certificates; take --broker mosquitto")
    if choice == "embedded":
        async with embedded(port) as handle:
            yield handle
    elif choice == "mosquitto":
        async with mosquitto(port, secured) as handle:
            yield handle
    elif "://" in choice:
        yield await _reach(choice)
    else:
        raise BrokerAddressError(
            f"broker {choice!r} is not known; choose auto, embedded, mosquitto, mqtt://host:port or mqtts://host:port"
        )


async def _reach(url: str) -> BrokerHandle:
    address = parse_address(url)
    try:
        async with within(_ANSWER_S):
            _, writer = await asyncio.open_connection(address.host, address.port)
    except (OSError, TimeoutError) as error:
        reason = str(error) or f"no answer in {_ANSWER_S:g} s"
        raise BrokerUnreachable(
            f"no MQTT broker answers at {address} ({reason}); start one there or choose another"
        ) from None
    writer.close()
    await writer.wait_closed()
    return BrokerHandle(url=url, name=str(address))
