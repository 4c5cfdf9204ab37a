"""Claims to what only one process may have: whoever comes second on the same broker learns who has it.

A claim is kept by the broker outside the trees of all runs; when the process that holds it vanishes, the
broker clears it.
"""

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec

from broker.client.bus import Will
from broker.client.mqtt import connect
from broker.client.mqtt_bus import MqttBus
from broker.errors import BrokerError

ROOT = "sharegrid/claims/v1"
_WITHIN_S = 10.0
_CLOSING_S = 2.0


def probe(name: str) -> str:
    """Topic on which a client hears itself, and by then whatever the broker keeps: ``name`` is its own."""
    return f"{ROOT}/probe/{name}"


class Claim(msgspec.Struct, frozen=True):
    """Who holds it: run, process, and a word that no other claim has."""

    run: str
    process: str
    token: str


class Claimed(BrokerError):
    """Another process holds the claim.

    Attributes
    ----------
    holder
        The claim that stands.
    """

    def __init__(self, holder: Claim, topic: str) -> None:
        super().__init__(
            f"run {holder.run} (process {holder.process}) has it: end that run first, or, if it is gone, "
            f"clear the retained topic {topic}"
        )
        self.holder = holder


@asynccontextmanager
async def claimed(url: str, run: str, name: str, *, identity: str = "") -> AsyncIterator[None]:
    """Hold a claim for the time of a ``with`` block.

    Parameters
    ----------
    url
        Broker that those who could hold it share.
    run
        Run that holds it.
    name
        What is claimed, as levels of a topic.
    identity
        Party whose certificate is shown to a broker that wants one.

    Raises
    ------
    Claimed
        Another process has it; names run and process.
    BrokerError
        The broker cannot be reached.
    """
    topic = f"{ROOT}/{name}"
    mine = Claim(run, f"{os.getpid()} on {socket.gethostname()}", secrets.token_hex(8))
    back = asyncio.Event()
    async with connect(
        url, f"claim-{run}", Will(topic, b""), identity=identity, on_reconnect=back.set
    ) as bus:
        await _take(bus, topic, mine)
        keeper = asyncio.create_task(_keep(bus, topic, mine, back))
        try:
            yield
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            # Without a broker there is nothing to clear: it does so itself when the connection is gone.
            with suppress(BrokerError, TimeoutError):
                async with asyncio.timeout(_CLOSING_S):
                    await bus.publish(topic, b"", retain=True)


async def _take(bus: MqttBus, topic: str, mine: Claim) -> None:
    """Claim a topic: whose claim the broker passes on first has it."""
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
            raise Claimed(other, topic)


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

    async def repeat_for_later_claims() -> None:
        async for received in bus.messages():
            if received.topic == topic and received.payload and _decoded(received.payload) != mine:
                await again()

    await asyncio.gather(again_after_reconnect(), repeat_for_later_claims())


def _decoded(payload: bytes) -> Claim:
    try:
        return msgspec.json.decode(payload, type=Claim)
    except msgspec.DecodeError:
        return Claim("unknown", "unknown", "")
