import asyncio

import pytest

from broker.client.bus import Bus, Received, Will
from broker.client.memory import Delivery, MemoryBroker, MemoryBus
from broker.errors import BrokerRefused, BusClosed


def waiting(bus: MemoryBus) -> list[tuple[str, bytes, bool]]:
    found = []
    while not bus.inbox.empty():
        message = bus.inbox.get_nowait()
        assert message is not None
        found.append((message.topic, message.payload, message.retained))
    return found


async def test_a_publisher_is_heard_in_order_once_by_each_subscriber() -> None:
    broker = MemoryBroker()
    async with broker.connect("pub") as pub, broker.connect("one") as one, broker.connect("two") as two:
        await one.subscribe("a/#", "a/+")
        await two.subscribe("b")
        for number in range(5):
            await pub.publish(f"a/{number}", b"%d" % number)
        assert waiting(one) == [(f"a/{n}", b"%d" % n, False) for n in range(5)]
        assert waiting(two) == []


async def test_messages_end_with_the_bus_and_what_came_before_is_read() -> None:
    broker = MemoryBroker()

    async def read(bus: Bus) -> list[bytes]:
        return [message.payload async for message in bus.messages()]

    async with broker.connect("one") as one:
        await one.subscribe("#")
        reader = asyncio.create_task(read(one))
        await one.publish("x", b"last")
    assert await reader == [b"last"]
    with pytest.raises(BusClosed, match="one in memory is closed"):
        await one.publish("x", b"too late")
    with pytest.raises(BusClosed):
        await one.subscribe("x")


async def test_retained_messages_meet_later_subscribers_and_can_be_deleted() -> None:
    broker = MemoryBroker()
    async with broker.connect("one") as one, broker.connect("two") as two:
        await one.subscribe("state/+")
        await one.publish("state/a", b"1", retain=True)
        await one.publish("state/b", b"2", retain=True)
        await one.publish("state/b", b"", retain=True)
        assert [retained for _, _, retained in waiting(one)] == [False, False, False]
        await two.subscribe("state/+", "#")
        assert waiting(two) == [("state/a", b"1", True)]


async def test_will_only_when_killed() -> None:
    broker = MemoryBroker()
    async with broker.connect("watcher") as watcher:
        await watcher.subscribe("online/#")
        async with broker.connect("polite", Will("online/polite", b"no")):
            pass
        assert waiting(watcher) == []
        async with broker.connect("victim", Will("online/victim", b"no")) as victim:
            broker.kill("victim")
            with pytest.raises(BusClosed):
                await victim.publish("x", b"")
            async with broker.connect("victim"):
                assert waiting(watcher) == [("online/victim", b"no", False)]
    assert broker.retained == {"online/victim": b"no"}


async def test_deliveries() -> None:
    deliveries = {"drop": Delivery.DROP, "twice": Delivery.DUPLICATE, "later": Delivery.HOLD}
    broker = MemoryBroker(lambda message: deliveries.get(message.topic, Delivery.DELIVER))
    async with broker.connect("one") as one:
        await one.subscribe("#")
        for topic in ("later", "drop", "plain", "twice"):
            await one.publish(topic, b"")
        assert [topic for topic, _, _ in waiting(one)] == ["plain", "twice", "twice"]
        assert broker.release() == 1
        assert waiting(one) == [("later", b"", False)]
        assert broker.release() == 0


async def test_restart_forgets_and_calls_back() -> None:
    broker = MemoryBroker()
    back = asyncio.Event()
    async with broker.connect("one", on_reconnect=back.set) as one, broker.connect("two"):
        await one.subscribe("x")
        await one.publish("x", b"1", retain=True)
        broker.restart()
        assert back.is_set()
        assert broker.retained == {}
        await one.publish("x", b"2")
        assert [payload for _, payload, _ in waiting(one)] == [b"1", b"2"]


async def test_one_name_one_client() -> None:
    broker = MemoryBroker()
    async with broker.connect("one"):
        with pytest.raises(BrokerRefused, match="client one is connected"):
            async with broker.connect("one"):
                pass


@pytest.mark.parametrize(("topic", "qos"), [("a/+", 1), ("#", 0), ("a", 2)])
async def test_what_cannot_be_published(topic: str, qos: int) -> None:
    async with MemoryBroker().connect("one") as one:
        with pytest.raises(ValueError, match="cannot publish"):
            await one.publish(topic, b"", qos=qos)


def test_received_is_a_value() -> None:
    assert Received("a", b"1", retained=False) == Received("a", b"1", retained=False)
