"""Which run commands a piece of hardware: two that share a broker must not command the same one.

A claim is kept by the broker outside the trees of all runs, on a topic that is named after the device's
address; when the process that holds it vanishes, the broker clears it.
"""

import asyncio
import ipaddress
import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec

from broker.client.bus import Will
from broker.client.mqtt import MqttBus, connect
from broker.errors import BrokerError
from devices.endpoint import Endpoint
from devices.errors import AlreadyClaimed

ROOT = "sharegrid/claims/v1"
_WITHIN_S = 10.0
_GOODBYE_S = 2.0


class Claim(msgspec.Struct, frozen=True):
    """Who commands a device: run, process, and a word that no other claim has."""

    run: str
    process: str
    token: str


@asynccontextmanager
async def claimed(url: str, run: str, endpoint: Endpoint) -> AsyncIterator[None]:
    """Hold the claim to a device for the time of a ``with`` block.

    Parameters
    ----------
    url
        Broker that those who could command it share.
    run
        The run that commands it.
    endpoint
        The device.

    Raises
    ------
    AlreadyClaimed
        Another run commands it; names run and process.
    BrokerError
        The broker cannot be reached.
    """
    topic = f"{ROOT}/{await _address(endpoint)}"
    mine = Claim(run, f"{os.getpid()} on {socket.gethostname()}", secrets.token_hex(8))
    back = asyncio.Event()
    async with connect(url, f"claim-{run}", Will(topic, b""), on_reconnect=back.set) as bus:
        await _take(bus, topic, mine, endpoint)
        keeper = asyncio.create_task(_keep(bus, topic, mine, back))
        try:
            yield
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            # Without a broker there is nothing to clear: it does so itself when the connection is gone.
            with suppress(BrokerError, TimeoutError):
                async with asyncio.timeout(_GOODBYE_S):
                    await bus.publish(topic, b"", retain=True)


async def _take(bus: MqttBus, topic: str, mine: Claim, endpoint: Endpoint) -> None:
    """Claim a device: whose claim the broker passes on first has it."""
    probe = f"{topic}/{mine.token}"
    await bus.subscribe(topic, probe)
    # What the broker keeps comes before what is published after a subscription.
    await bus.publish(probe, b"")
    is_asked = False
    async with asyncio.timeout(_WITHIN_S):
        async for received in bus.messages():
            if received.topic == probe:
                is_asked = True
                await bus.publish(topic, msgspec.json.encode(mine), retain=True)
                continue
            if not received.payload:
                continue
            other = _decoded(received.payload)
            if is_asked and other == mine:
                return
            raise AlreadyClaimed(
                f"{endpoint} is commanded by run {other.run} (process {other.process}): end that run first, "
                f"or, if it is gone, clear the retained topic {topic}"
            )


async def _keep(bus: MqttBus, topic: str, mine: Claim, back: asyncio.Event) -> None:
    """Claim again what the last will of a lost connection cleared, or a latecomer wrote over."""

    async def again() -> None:
        # A broker that is away again is reconnected to, which brings us back here.
        with suppress(BrokerError):
            await bus.publish(topic, msgspec.json.encode(mine), retain=True)

    async def again_after_reconnect() -> None:
        while True:
            await back.wait()
            back.clear()
            await again()

    async def again_after_latecomers() -> None:
        async for received in bus.messages():
            if received.topic == topic and received.payload and _decoded(received.payload) != mine:
                await again()

    await asyncio.gather(again_after_reconnect(), again_after_latecomers())


def _decoded(payload: bytes) -> Claim:
    try:
        return msgspec.json.decode(payload, type=Claim)
    except msgspec.DecodeError:
        return Claim("unknown", "unknown", "")


async def _address(endpoint: Endpoint) -> str:
    """Name of a device that is the same from wherever it is reached; serial lines are this computer's."""
    link, host = endpoint.link, socket.gethostname()
    if link.scheme == "rtu":
        # One line has many names: by its number, by what hangs on it.
        path = await asyncio.to_thread(os.path.realpath, link.place)
        place = f"{host}:{path.strip('/').replace('/', ':')}"
    else:
        place = f"{await _resolved(link.place, host)}:{link.port}"
    return f"{place}:{endpoint.unit}"


async def _resolved(name: str, this_host: str) -> str:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return name
    address = found[0][4][0]
    return this_host if ipaddress.ip_address(address).is_loopback else str(address)
