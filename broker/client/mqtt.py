"""Connecting to a broker over MQTT: `connect` gives a `broker.client.mqtt_bus.MqttBus`."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiomqtt
from aiomqtt.exceptions import MqttConnectError

from broker.address import parse_address
from broker.client.bus import Will
from broker.client.link import Link
from broker.client.mqtt_bus import MqttBus
from broker.errors import BrokerRefused, BrokerUnreachable
from broker.patience import Patience


async def _first_link(bus: MqttBus, patience_s: float) -> Link:
    is_over = asyncio.Event()
    patience = Patience(is_over.set)
    patience.begin(patience_s)
    try:
        while True:
            try:
                return await bus.open()
            except MqttConnectError as error:
                raise BrokerRefused(
                    f"{bus.address} refuses the connection ({error}); check user and password in the address"
                ) from None
            except aiomqtt.MqttError as error:
                if is_over.is_set():
                    remedy = "see that it speaks TLS and knows this certificate" if bus.address.tls else ""
                    raise BrokerUnreachable(
                        f"no MQTT broker answers at {bus.address} ({error}); "
                        f"{remedy or 'start one there or choose another'}"
                    ) from None
            await asyncio.sleep(0.1)
    finally:
        patience.close()


@asynccontextmanager
async def connect(
    url: str,
    client_id: str,
    will: Will | None = None,
    *,
    identity: str = "",
    on_reconnect: Callable[[], None] | None = None,
    first_patience_s: float = 2.0,
    patience_s: float = 30.0,
) -> AsyncIterator[MqttBus]:
    """Connect to a broker for the time of a ``with`` block.

    Parameters
    ----------
    url
        ``mqtt://[user:password@]host[:port]`` or ``mqtts://host[:port]?credentials=DIR``.
    client_id
        Name in the broker's log; made unique by a suffix.
    will
        What the broker publishes when this process vanishes; leaving the block is a goodbye, without will.
    identity
        Party whose certificate is shown to a broker that wants one; without it that of ``client_id``.
    on_reconnect
        Called, in the event loop, each time the connection is back and the subscriptions are renewed:
        messages may have been missed, so this is when to ask for state.
    first_patience_s
        How long to try again when nothing answers at first [s].
    patience_s
        How long a publish or subscribe may wait for a lost or silent broker [s].

    Raises
    ------
    BrokerUnreachable
        Nothing answers at the address.
    BrokerRefused
        The broker refuses user, password or certificate, or is not the one that its authority vouches for.
    CredentialsError
        Certificate or key cannot be used.
    BrokerAddressError
        ``url`` is not an address.
    """
    bus = MqttBus(parse_address(url), client_id, identity or client_id, will, on_reconnect, patience_s)
    link = await _first_link(bus, first_patience_s)
    keeper = asyncio.create_task(bus.keep(link), name=f"keep {bus.client_id}")
    keeper.add_done_callback(lambda _: bus.close())
    try:
        # The keeper takes the link over in its first step; cancelled before, it would leave it open.
        await asyncio.sleep(0)
        yield bus
    finally:
        bus.close()
        keeper.cancel()
        await asyncio.wait({keeper})
        if not keeper.cancelled():
            keeper.result()
