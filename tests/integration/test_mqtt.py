"""The bus over real brokers, when all goes well."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from broker.client.bus import Bus, Received, Will
from broker.client.mqtt import connect
from broker.errors import BrokerRefused
from broker.server import mosquitto
from broker.server.choose import open_broker
from broker.server.handle import BrokerHandle


@pytest.fixture
async def broker(kind: str) -> AsyncIterator[BrokerHandle]:
    async with open_broker(kind) as handle:
        yield handle


async def read(bus: Bus, count: int, patience_s: float = 20.0) -> list[Received]:
    found = []
    async with asyncio.timeout(patience_s):
        async for message in bus.messages():
            found.append(message)
            if len(found) == count:
                break
    return found


async def test_names_say_what_runs(broker: BrokerHandle, kind: str) -> None:
    assert broker.name.startswith("mosquitto 2" if kind == "mosquitto" else "embedded amqtt 0.12")
    assert broker.url.startswith("mqtt://127.0.0.1:")


async def test_round_trip_in_order(broker: BrokerHandle) -> None:
    async with connect(broker.url, "one") as one, connect(broker.url, "two") as two:
        await two.subscribe("a/+/x", "b/#")
        for number in range(50):
            await one.publish(f"a/{number}/x", b"%d" % number, qos=number % 2)
        await one.publish("c", b"not for two")
        await one.publish("b", b"last")
        messages = await read(two, 51)
        assert [message.payload for message in messages] == [*(b"%d" % n for n in range(50)), b"last"]
        assert not any(message.retained for message in messages)
        assert messages[7].topic == "a/7/x"
        assert one.counts.published == 52
        assert (two.counts.received, two.counts.waiting) == (51, 0)


async def test_retained_reaches_those_who_subscribe_and_only_them(broker: BrokerHandle) -> None:
    async with connect(broker.url, "one") as one:
        await one.subscribe("state/#")
        await one.publish("state/a", b"1", retain=True)
        await one.publish("state/b", b"2", retain=True)
        await one.publish("state/b", b"", retain=True)
        assert not any(message.retained for message in await read(one, 3))
        async with connect(broker.url, "two") as two:
            await two.subscribe("end")
            await one.publish("end", b"")
            assert await read(two, 1) == [Received("end", b"", retained=False)]
            await two.subscribe("state/+")
            assert await read(two, 1) == [Received("state/a", b"1", retained=True)]


async def test_no_will_after_a_goodbye(broker: BrokerHandle) -> None:
    async with connect(broker.url, "watcher") as watcher:
        await watcher.subscribe("online/#", "end")
        async with connect(broker.url, "polite", Will("online/polite", b"no")):
            pass
        await watcher.publish("end", b"")
        assert [message.topic for message in await read(watcher, 1)] == ["end"]


@pytest.fixture
async def narrow(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[[int], Awaitable[str]]]:
    """Starts a Mosquitto that takes packets of a size and no larger."""
    async with AsyncExitStack() as stack:

        async def start(most_bytes: int) -> str:
            def listener(port: int, *, root: bool) -> str:
                return re.sub(r"max_packet_size \d+", f"max_packet_size {most_bytes}", wide(port, root=root))

            wide = mosquitto.open_listener
            monkeypatch.setattr(mosquitto, "open_listener", listener)
            return (await stack.enter_async_context(mosquitto.mosquitto())).url

        yield start


@pytest.mark.usefixtures("mosquitto_installed")
async def test_large_messages_pass_a_broker_of_small_packets_in_parts(narrow) -> None:
    url, payload = await narrow(600_000), os.urandom(5_000_000)
    async with connect(url, "one") as one, connect(url, "two") as two:
        await two.subscribe("big", "small")
        await one.publish("big", payload)
        await one.publish("small", b"after")
        assert [message.payload for message in await read(two, 2)] == [payload, b"after"]
        assert (one.counts.published, one.counts.reconnects, two.counts.received) == (2, 0, 2)


@pytest.mark.usefixtures("mosquitto_installed")
async def test_a_packet_that_a_broker_drops_again_and_again_is_an_error(narrow) -> None:
    async with connect(await narrow(100_000), "one") as one:
        with pytest.raises(BrokerRefused, match="connection 5 times at a packet of 200,000 bytes on big"):
            await one.publish("big", bytes(200_000))
        await one.publish("small", b"still here")


async def test_five_megabytes(broker: BrokerHandle) -> None:
    payload = os.urandom(5_000_000)
    async with connect(broker.url, "one") as one, connect(broker.url, "two") as two:
        await two.subscribe("big")
        await asyncio.gather(*(one.publish("big", payload) for _ in range(3)))
        assert [message.payload == payload for message in await read(two, 3)] == [True] * 3


async def test_one_bid_of_each_prosumer_none_lost(broker: BrokerHandle) -> None:
    count = 11_250
    async with connect(broker.url, "population") as one, connect(broker.url, "lam") as two:
        await two.subscribe("bid/+")
        reading = asyncio.create_task(read(two, count, 60.0))
        await asyncio.gather(*(one.publish(f"bid/{n}", b"%d" % n) for n in range(count)))
        assert [int(message.payload) for message in await reading] == list(range(count))
        assert one.counts.repeated == 0


async def test_many_come_while_retained_messages_go_out(broker: BrokerHandle) -> None:
    """amqtt by itself loses clients here: what it walks through changes under its feet."""
    async with connect(broker.url, "early") as early:
        await early.subscribe("online/#")
        for number in range(60):
            await early.publish(f"online/early-{number}", bytes(20_000), retain=True)

        async def client(number: int) -> int:
            async with connect(broker.url, f"client-{number}", patience_s=5.0) as bus:
                for topic in range(10):
                    await bus.subscribe(f"to/{number}/{topic}")
                return bus.counts.reconnects + bus.counts.received

        for _ in range(3):
            assert await asyncio.gather(*(client(number) for number in range(40))) == [0] * 40


async def test_twenty_clients_come_at_once(broker: BrokerHandle) -> None:
    count = 20

    async def client(number: int, ready: asyncio.Barrier) -> set[str]:
        will = Will(f"online/{number}", b"no")
        async with connect(broker.url, f"client-{number}", will) as bus:
            await bus.subscribe(f"to/{number}", "online/#", "all/+")
            await bus.publish(f"online/{number}", b"yes", retain=True)
            await ready.wait()
            await bus.publish(f"to/{(number + 1) % count}", b"")
            await bus.publish(f"all/{number}", b"")
            topics: set[str] = set()
            async with asyncio.timeout(20):
                async for message in bus.messages():
                    topics.add(message.topic)
                    if len(topics) == 1 + 2 * count:
                        break
            await ready.wait()
            return topics

    barrier = asyncio.Barrier(count)
    heard = await asyncio.gather(*(client(number, barrier) for number in range(count)))
    for number, topics in enumerate(heard):
        assert f"to/{number}" in topics
        assert {f"all/{n}" for n in range(count)} <= topics
        assert {f"online/{n}" for n in range(count)} <= topics


async def test_clients_of_one_name_do_not_evict_each_other(broker: BrokerHandle) -> None:
    async with connect(broker.url, "same") as one, connect(broker.url, "same") as two:
        assert one.client_id != two.client_id
        await two.subscribe("x")
        await one.publish("x", b"1")
        assert len(await read(two, 1)) == 1
        assert (one.counts.reconnects, two.counts.reconnects) == (0, 0)


def children() -> set[int]:
    """Processes that this one has started."""
    return set(map(int, Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()))


async def test_a_broker_of_our_own_that_is_killed_is_started_again(kind: str, caplog) -> None:
    before = children()
    async with AsyncExitStack() as stack:
        url = (await stack.enter_async_context(open_broker(kind))).url
        one, two = [await stack.enter_async_context(connect(url, name)) for name in ("one", "two")]
        await two.subscribe("here")
        await one.publish("here", b"first")
        assert [message.payload for message in await read(two, 1)] == [b"first"]
        (own,) = children() - before
        os.kill(own, signal.SIGKILL)
        async with asyncio.timeout(20.0):
            while two.counts.reconnects == 0:  # noqa: ASYNC110  # it tells nobody
                await asyncio.sleep(0.05)
        await one.publish("here", b"second")
        assert [message.payload for message in await read(two, 1)] == [b"second"]
        assert "ended by itself; it is started again" in caplog.text
    assert children() == before
