import asyncio
import time
from contextlib import asynccontextmanager
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import messages
from broker.client.bus import Received
from broker.client.memory import Delivery, MemoryBroker
from broker.collector import Collector, Late
from broker.door.bounds import Bounds
from broker.errors import BrokerUnreachable
from broker.messages import Availability, Award, Done, Rejected, Step, columns
from broker.participant.availability import offline_will
from broker.participant.node import Node
from broker.participant.reports import MOST_REFUSALS


class Story:
    """A sender and a receiver on one broker whose deliveries the test decides."""

    def __init__(self, broker: MemoryBroker, sender: Node, receiver: Node, got: list[Award]) -> None:
        self.broker, self.sender, self.receiver, self.got = broker, sender, receiver, got

    async def award(self, tick: int, trade_kw: float = 1.0) -> None:
        topic = self.sender.topics.award("47", "p1")
        await self.sender.publish(topic, Award, tick, trade_kw=trade_kw, price=0.1)
        await asyncio.sleep(0.01)


@pytest.fixture
async def story():
    broker = MemoryBroker()
    got: list[Award] = []
    async with broker.connect("a") as a, broker.connect("b") as b:
        sender, receiver = Node(a, "r1", "lams"), Node(b, "r1", "p1")
        receiver.on(receiver.topics.award("+", "p1"), got.append)
        await receiver.open()
        pump = asyncio.create_task(receiver.pump())
        yield Story(broker, sender, receiver, got)
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)


def only(kind: str, delivery: Delivery, numbers: set[int]):
    """Delivery of the messages of one kind with these sequence numbers."""

    def decide(received: Received) -> Delivery:
        message = messages.decode(received.payload)
        return delivery if f"/{kind}/" in received.topic and message.seq in numbers else Delivery.DELIVER

    return decide


async def test_a_dropped_message_is_a_gap_and_a_flag(story):
    story.broker.delivery = only("award", Delivery.DROP, {1})
    for tick in range(3):
        await story.award(tick)
    assert [award.tick for award in story.got] == [0, 2]
    assert story.receiver.traffic().gaps == 1
    assert story.receiver.traffic().received == 3  # With its own word that it is online.


async def test_a_message_of_another_kind_is_refused_however_well_it_is_formed(story):
    topic = story.sender.topics.award("47", "p1")
    await story.sender.publish(topic, Rejected, 0, topic="x", reason="y")
    await asyncio.sleep(0.01)
    assert story.got == []
    assert story.receiver.traffic().rejected == 1
    await story.award(1)
    assert [award.tick for award in story.got] == [1]


async def test_a_duplicate_is_counted_and_handled_once(story):
    story.broker.delivery = only("award", Delivery.DUPLICATE, {0})
    await story.award(0)
    assert len(story.got) == 1
    assert story.receiver.traffic().duplicates == 1


async def test_a_held_message_is_a_gap_first_and_late_when_it_comes(story):
    story.broker.delivery = only("award", Delivery.HOLD, {0})
    await story.award(0)
    await story.award(1)
    assert story.broker.release() == 1
    await asyncio.sleep(0.01)
    traffic = story.receiver.traffic()
    assert (traffic.gaps, traffic.late) == (1, 1)
    assert sorted(award.tick for award in story.got) == [0, 1]


async def test_a_message_of_a_past_tick_is_late_and_not_handled(story):
    story.receiver.tick = 5
    await story.award(4)
    assert story.got == []
    assert story.receiver.traffic().late == 1


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"{", "truncated"),
        (b'{"kind":"award","run":"r1","tick":0,"sender":"x","seq":0,"price":0.1}', "trade_kw"),
        (b'{"kind":"award","run":"r1","tick":0,"sender":"x","seq":0,"price":0.1,"trade_kw":"1"}', "trade_kw"),
        (b'{"kind":"award","run":"r2","tick":0,"sender":"x","seq":0,"price":0.1,"trade_kw":1}', "r2"),
    ],
)
async def test_what_cannot_be_read_is_refused_with_a_reason(story, payload, reason):
    refused: list[Rejected] = []
    async with story.broker.connect("c") as bus:
        watcher = Node(bus, "r1", "watcher")
        watcher.on(watcher.topics.rejected("+"), refused.append)
        await watcher.open()
        pump = asyncio.create_task(watcher.pump())
        story.broker.publish(story.sender.topics.award("47", "p1"), payload)
        await asyncio.sleep(0.02)
        pump.cancel()
    assert story.receiver.traffic().rejected == 1
    assert story.got == []
    assert refused[0].topic == story.sender.topics.award("47", "p1")
    assert reason in refused[0].reason


async def test_a_command_that_arrives_retained_is_refused():
    broker = MemoryBroker()
    async with broker.connect("a") as a, broker.connect("b") as b:
        sender, receiver = Node(a, "r1", "lams"), Node(b, "r1", "p1")
        got: list[Award] = []
        receiver.on(receiver.topics.award("+", "p1"), got.append)
        topic = sender.topics.award("47", "p1")
        award = sender.stamp(topic, Award, 0, trade_kw=1.0, price=0.1)
        await a.publish(topic, messages.encode(award), retain=True)
        await receiver.open()
        pump = asyncio.create_task(receiver.pump())
        await asyncio.sleep(0.02)
        pump.cancel()
        assert got == []
        assert receiver.traffic().rejected == 1


async def test_the_last_will_says_offline():
    broker = MemoryBroker()
    seen: list[Availability] = []
    async with broker.connect("w") as w:
        watcher = Node(w, "r1", "watcher")
        watcher.on(watcher.topics.availability("+"), seen.append)
        await watcher.open()
        pump = asyncio.create_task(watcher.pump())
        async with broker.connect("a", offline_will("r1", "wam")) as bus:
            await Node(bus, "r1", "wam").open()
            broker.kill("a")
            await asyncio.sleep(0.01)
        pump.cancel()
    assert [m.online for m in seen if m.sender == "wam"] == [True, False]


async def test_a_collector_waits_for_all_or_for_the_gate():
    collector: Collector[str] = Collector(["a", "b"])
    collector.add("b", 0, "B")

    async def later() -> None:
        await asyncio.sleep(0.01)
        collector.add("a", 0, "A")

    task = asyncio.create_task(later())
    assert list(await collector.wait(0, time.time() + 5)) == ["a", "b"]
    await task
    collector.add("a", 1, "A")
    assert await collector.wait(1, time.time() + 0.02) == {"a": "A"}
    with pytest.raises(Late):
        collector.add("b", 1, "B")
    with pytest.raises(ValueError, match="not expected"):
        collector.add("c", 2, "C")


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=20))
def test_columns_keep_every_bit(values):
    assert columns.unpack(columns.pack(values)).tolist() == values


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_columns_refuse_what_json_would_lose(bad):
    with pytest.raises(ValueError, match="not finite"):
        columns.pack([1.0, bad])
    with pytest.raises(ValueError, match="not finite"):
        columns.column_list([bad])


def test_a_message_of_another_version_is_refused():
    step = messages.encode(
        Step(run="r", tick=0, sender="clock", seq=0, step="bid", opened=0.0, deadline=1.0, interval_s=900.0)
    )
    assert messages.decode(step).tick == 0
    with pytest.raises(Exception, match="v"):
        messages.decode(step.replace(b'"v":1', b'"v":2'))


async def test_a_flood_of_refusals_is_told_as_a_number(story):
    told: list[Rejected] = []
    reports: list[Done] = []
    async with story.broker.connect("c") as bus:
        watcher = Node(bus, "r1", "watcher")
        watcher.on(watcher.topics.rejected("+"), told.append)
        watcher.on(watcher.topics.done("+"), reports.append)
        await watcher.open()
        pump = asyncio.create_task(watcher.pump())
        story.receiver.tick = 0
        for _ in range(500):
            story.broker.publish(story.sender.topics.award("47", "p1"), b"{")
        await asyncio.sleep(0.05)
        await story.receiver.done("bid", 0)
        await asyncio.sleep(0.02)
        pump.cancel()
    assert story.receiver.traffic().rejected == 500
    assert len(told) == MOST_REFUSALS + 1
    assert sum(refusal.count for refusal in told) == 500
    (report,) = reports
    assert len(report.flags) == MOST_REFUSALS + 1
    assert report.flags[-1] == f"p1 refused {500 - MOST_REFUSALS} more messages"


async def test_a_report_has_room_for_a_number_where_it_has_none_for_all_flags(story):
    bounds = Bounds(prosumers=("p1",), lams=("47",))
    async with story.broker.connect("c") as bus:
        node = Node(bus, "r1", "c", bounds=bounds)
        for at in range(100_000):
            node.flag(f"\x00 something {at} went wrong" * 50)
        flags = node._flags.take()
        assert flags[-1].endswith("more flags")
        done = node.stamp(node.topics.done("c"), Done, 0, step="bid", flags=flags)
        assert len(messages.encode(done)) < bounds.most_bytes("batch")
        assert node._flags.take() == []


async def test_a_message_that_a_handler_fails_on_is_set_aside_and_the_service_goes_on(story):
    def fail(award):
        if award.tick == 0:
            raise KeyError("no such device")

    story.receiver.on(story.receiver.topics.award("+", "p1"), fail)
    for tick in range(2):
        await story.award(tick)
    assert [award.tick for award in story.got] == [0, 1]
    (kept,) = story.receiver.quarantine.kept
    assert messages.decode(kept.payload).tick == 0
    assert kept.error == "KeyError: 'no such device'"
    assert story.receiver.traffic().quarantined == 1
    assert any("p1 failed on a message" in flag for flag in story.receiver._flags.take())


async def test_a_service_whose_answer_cannot_be_sent_does_not_go_on():
    broker = MemoryBroker()
    async with broker.connect("a") as a, broker.connect("b") as b:
        sender, receiver = Node(a, "r1", "lams"), Node(b, "r1", "p1")

        async def answer(award):
            raise BrokerUnreachable("the broker has been away for 30 s")

        receiver.on(receiver.topics.award("+", "p1"), answer)
        await receiver.open()
        await sender.publish(sender.topics.award("47", "p1"), Award, 0, trade_kw=1.0, price=0.1)
        with pytest.raises(BrokerUnreachable):
            await receiver.pump()


async def test_a_service_that_is_said_to_be_offline_says_that_it_is_not_once(story):
    said: list[Availability] = []
    topics = story.receiver.topics
    async with story.broker.connect("c") as bus:
        watcher = Node(bus, "r1", "watcher")
        watcher.on(topics.availability("p1"), said.append)
        await watcher.open()
        pump = asyncio.create_task(watcher.pump())
        await asyncio.sleep(0.01)
        for _ in range(200):
            story.broker.publish(topics.availability("p1"), offline_will("r1", "p1").payload, retain=True)
        await asyncio.sleep(0.3)
        pump.cancel()
    assert [each.online for each in said] == [True, *[False] * 200, True]
    assert messages.decode(story.broker.retained[topics.availability("p1")]).online


async def test_a_topic_that_nobody_asked_for_is_not_counted(story):
    story.broker.publish(story.sender.topics.award("47", "p2"), b"{")
    await story.award(0)
    assert story.receiver.traffic().rejected == 0


async def test_an_item_is_not_replaced_by_a_second_one():
    collector: Collector[str] = Collector(["a"])
    collector.add("a", 0, "first")
    with pytest.raises(ValueError, match="has spoken already"):
        collector.add("a", 0, "second")
    assert await collector.wait(0, time.time()) == {"a": "first"}


@asynccontextmanager
async def crowd(broker, bundle_from):
    """A sender of many awards and a receiver that waits for them all."""
    async with broker.connect("a") as a, broker.connect("b") as b:
        sender, receiver = Node(a, "r1", "lams", bundle_from=bundle_from), Node(b, "r1", "live")
        names = [f"p{k}" for k in range(50)]
        got = receiver.collector({name: receiver.topics.award("47", name) for name in names})
        for name in names:
            topic = receiver.topics.award("47", name)
            take = partial(lambda key, award: got.add(key, award.tick, award), name)
            receiver.on(topic, take, through=receiver.topics.award("+", "+"))
        pumps = []
        for node in (sender, receiver):
            await node.open()
            pumps.append(asyncio.create_task(node.pump()))

        async def send(tick):
            topics = [(sender.topics.award("47", name), k) for k, name in enumerate(names)]
            await sender.publish_all(
                (topic, sender.stamp(topic, Award, tick, trade_kw=float(k), price=0.1)) for topic, k in topics
            )

        yield send, got, receiver
        for each in (sender, receiver):
            each.close()
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


@pytest.mark.parametrize(("bundle_from", "packets"), [(0, 50), (51, 50), (50, 1)])
async def test_very_many_messages_go_in_bundles_and_arrive_each_by_itself(bundle_from, packets):
    published = []
    broker = MemoryBroker(lambda received: published.append(received.topic) or Delivery.DELIVER)
    async with crowd(broker, bundle_from) as (send, got, receiver):
        for tick in range(2):
            published.clear()
            await send(tick)
            awards = await got.wait(tick, time.time() + 5.0)
            assert sorted(award.trade_kw for award in awards.values()) == [float(k) for k in range(50)]
            assert len([topic for topic in published if "/award/" in topic]) == packets
        traffic = receiver.traffic()
        assert (traffic.gaps, traffic.duplicates, traffic.rejected) == (0, 0, 0)


async def test_a_bundle_that_is_lost_is_asked_for_again():
    lost = []

    def lose_first(received):
        if received.topic.endswith("/~") and not lost:
            lost.append(received)
            return Delivery.DROP
        return Delivery.DELIVER

    async with crowd(MemoryBroker(lose_first), 50) as (send, got, _):
        await send(0)
        awards = await got.wait(0, time.time() + 3.0)
        assert lost
        assert len(awards) == 50


async def test_what_is_still_coming_in_is_not_asked_for_again():
    asked = []
    collector = Collector([str(k) for k in range(40)], lambda _, keys: asked.append(list(keys)))

    async def speak():
        for k in range(40):
            collector.add(str(k), 0, k)
            await asyncio.sleep(0.05)

    speaking = asyncio.create_task(speak())
    found = await collector.wait(0, time.time() + 4.0)
    await speaking
    assert (len(found), asked) == (40, [])


async def test_where_nobody_has_spoken_a_few_are_asked_first_and_then_all():
    asked = []
    collector = Collector([f"p{k:02}" for k in range(40)], lambda _, keys: asked.append(list(keys)))
    waiting = asyncio.create_task(collector.wait(0, time.time() + 2.0))
    await asyncio.sleep(0.7)
    assert [len(keys) for keys in asked] == [16]
    for key in asked[0]:
        collector.add(key, 0, key)
    await waiting
    assert len(asked[1]) == 24


def test_a_wildcard_comes_through_no_wider_filter():
    node = Node(MemoryBroker().connect("b"), "r1", "p1")
    with pytest.raises(ValueError, match="is a wildcard below"):
        node.on(node.topics.award("+", "p1"), print, through=node.topics.award("+", "+"))
