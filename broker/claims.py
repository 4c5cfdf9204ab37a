"""Claims to what only one process may have: whoever comes second on the same broker learns who has it.

A claim is kept by the broker outside the trees of all runs; when the process that holds it vanishes, the
broker clears it. Any message may be lost on its way, so what the broker keeps is asked for, and the claim
is said, several times over: each time again until it is heard. Of two who claim at once, the broker passes
on one first; the other hears it and gives way.
"""

import asyncio
import math
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import msgspec
from msgspec.structs import replace

from broker.address import parse_address
from broker.client.bus import Received, Will
from broker.client.mqtt import connect
from broker.client.mqtt_bus import MqttBus
from broker.errors import BrokerError, BrokerUnreachable
from broker.patience import within
from sharegrid.decoding import decode_json

ROOT = "sharegrid/claims/v1"
_WITHIN_S = 15.0
_AGAIN_S = 0.3
_CLOSING_S = 2.0
_TIMES = 3
"""How often the broker is asked, and a claim said, before it is held."""

_ANSWER_PAUSE_S = 0.1
_LOOK_AGAIN_S = 2.0


def of_run(run: str) -> str:
    """Claim to the id of a run."""
    return f"run/{run}"


def of_role(run: str, party: str, role: str) -> str:
    """Claim to a role of a run, in the name of the one party that may hold it: no other may write there."""
    return f"role/{run}/{party}/{role}"


def of_device(place: str) -> str:
    """Claim to command a device at a place."""
    return f"device/{place}"


def topic_of(claim: str) -> str:
    """Topic on which a claim is kept; whoever may hold it writes there and on one level below."""
    return f"{ROOT}/{claim}"


def probe(name: str) -> str:
    """Topic on which a client hears itself, and by then whatever the broker keeps: ``name`` is its own."""
    return topic_of(f"probe/{name}")


class Claim(msgspec.Struct, frozen=True):
    """Who holds it: run, process, a word that no other claim has, and how often it was said before."""

    run: str
    process: str
    token: str
    said: int = _TIMES


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
        What is claimed: `of_run`, `of_role` or `of_device`.
    identity
        Party whose certificate is shown to a broker that wants one.

    Raises
    ------
    Claimed
        Another process has it; names run and process.
    BrokerError
        The broker cannot be reached, or passes nothing on.
    """
    topic = topic_of(name)
    mine = Claim(run, f"{os.getpid()} on {socket.gethostname()}", secrets.token_hex(8))
    back = asyncio.Event()
    async with connect(
        url, f"claim-{run}", Will(topic, b""), identity=identity, on_reconnect=back.set
    ) as bus:
        await _take(bus, topic, mine, str(parse_address(url)))
        keeper = asyncio.create_task(_keep(bus, topic, mine, back))
        try:
            yield
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            # Without a broker there is nothing to clear: it does so itself when the connection is gone.
            if bus.is_connected:
                with suppress(BrokerError, TimeoutError):
                    async with asyncio.timeout(_CLOSING_S):
                        await bus.publish(topic, b"", retain=True)


@asynccontextmanager
async def claimed_in_turn(url: str, run: str, name: str, *, identity: str = "") -> AsyncIterator[None]:
    """Hold a claim once nobody else does, however long that takes; as `claimed` in all else."""
    async with AsyncExitStack() as stack:
        while True:
            await until_free(url, run, name, identity)
            with suppress(Claimed):
                await stack.enter_async_context(claimed(url, run, name, identity=identity))
                break
        yield


async def until_free(url: str, run: str, name: str, identity: str) -> None:
    """Wait until nobody holds a claim, on a connection whose end clears nobody's; else as `claimed`."""
    topic = topic_of(name)
    probe = f"{topic}/{secrets.token_hex(8)}"
    async with connect(url, f"turn-{run}", identity=identity, patience_s=math.inf) as bus:
        await bus.subscribe(probe)
        while True:
            heard: list[Received] = []
            for _ in range(_TIMES):
                await bus.subscribe(topic)
                await _say(bus, probe, b"", heard.append, retain=False)
            claims = [each.payload for each in heard if each.topic == topic]
            if not claims or not claims[-1]:
                return
            with suppress(TimeoutError):
                # The word that clears it may be lost: so long, and the broker is asked again.
                async with asyncio.timeout(_LOOK_AGAIN_S):
                    async for received in bus.messages():
                        if received.topic == topic and not received.payload:
                            break


async def _take(bus: MqttBus, topic: str, mine: Claim, url: str) -> None:
    """Claim a topic; nobody else may have it, or be ahead in claiming it."""
    probe = f"{topic}/{mine.token}"
    said = -1

    def look(received: Received) -> None:
        if received.topic != topic or not received.payload:
            return
        other = _decoded(received.payload)
        if other.token != mine.token and other.said >= said:
            raise Claimed(other, topic)

    try:
        async with within(_WITHIN_S):
            await bus.subscribe(probe)
            for _ in range(_TIMES):
                # What the broker keeps comes with every subscription, and before what is published after it.
                await bus.subscribe(topic)
                await _say(bus, probe, b"", look, retain=False)
            for said in range(1, _TIMES + 1):
                await _say(bus, topic, _encoded(replace(mine, said=said)), look, retain=True)
    except TimeoutError:
        raise BrokerUnreachable(
            f"{url} does not pass on a claim to {topic} in {_WITHIN_S:g} s; see that it lets us read there"
        ) from None
    except Claimed as error:
        if said > 0:  # Ours may stand over theirs, and they may not have heard it.
            await bus.publish(topic, _encoded(error.holder), retain=True)
        raise


async def _say(
    bus: MqttBus, topic: str, payload: bytes, look: Callable[[Received], None], *, retain: bool
) -> None:
    """Publish something until it is heard; ``look`` sees what else is heard until then."""
    while True:
        await bus.publish(topic, payload, retain=retain)
        with suppress(TimeoutError):
            async with asyncio.timeout(_AGAIN_S):
                async for received in bus.messages():
                    if (received.topic, received.payload) == (topic, payload):
                        return
                    look(received)


async def _keep(bus: MqttBus, topic: str, mine: Claim, back: asyncio.Event) -> None:
    """Claim again what the last will of a lost connection cleared, or a latecomer wrote over."""

    async def again() -> None:
        # A broker that is away again is reconnected to, which brings us back here.
        with suppress(BrokerError):
            await bus.publish(topic, _encoded(mine), retain=True)

    async def again_after_reconnect() -> None:
        while True:
            await back.wait()
            back.clear()
            await again()

    async def repeat_for_later_claims() -> None:
        async for received in bus.messages():
            is_claim = received.topic == topic and received.payload
            if is_claim and _decoded(received.payload).token != mine.token:
                await again()
                await asyncio.sleep(_ANSWER_PAUSE_S)

    await asyncio.gather(again_after_reconnect(), repeat_for_later_claims())


def _encoded(claim: Claim) -> bytes:
    return msgspec.json.encode(claim)


def _decoded(payload: bytes) -> Claim:
    try:
        return decode_json(payload, Claim)
    except msgspec.DecodeError:
        return Claim("unknown", "unknown", "")
