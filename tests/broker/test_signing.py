import asyncio

import msgspec
import pytest

from broker import messages
from broker.client.bus import Received
from broker.client.memory import MemoryBroker
from broker.door.admission import Door
from broker.door.refusal import Refused
from broker.messages import DeviceSetPoint, SetPoint, Stop
from broker.participant.node import Node
from broker.signing import CommandKey
from broker.topics import Topics

TOPICS = Topics("r")
KEY = CommandKey(b"k" * 32, "r")


def set_point(**changes):
    given = {"run": "r", "tick": 3, "sender": "live-0", "seq": 0, "valid_s": 900.0}
    return SetPoint(**given | changes, devices=[DeviceSetPoint(device="battery", power_kw=-1.1)])


def test_a_signed_command_passes_as_it_came_over_the_wire():
    sent = KEY.signed(TOPICS.set_point("a"), set_point())
    KEY.check(TOPICS.set_point("a"), messages.decode(messages.encode(sent)))
    assert KEY.signed(TOPICS.step, sent) != sent


@pytest.mark.parametrize(
    "change",
    [
        {"tick": 4},
        {"seq": 1},
        {"sender": "live-1"},
        {"valid_s": 9000.0},
        {"devices": [DeviceSetPoint(device="battery", power_kw=-1.2)]},
        {"devices": []},
        {"run": "q"},
        {"signature": ""},
        {"signature": "0" * 64},
        {"signature": "é"},
    ],
)
def test_no_part_of_a_signed_command_can_be_changed(change):
    signed = KEY.signed(TOPICS.set_point("a"), set_point())
    changed = msgspec.structs.replace(signed, **change)
    with pytest.raises(ValueError, match="not that of who may command devices"):
        KEY.check(TOPICS.set_point("a"), changed)


def test_it_holds_for_one_topic_one_run_and_one_key():
    signed = KEY.signed(TOPICS.set_point("a"), set_point())
    with pytest.raises(ValueError, match="signature"):
        KEY.check(TOPICS.set_point("b"), signed)
    for other in (CommandKey(b"k" * 32, "q"), CommandKey(b"l" * 32, "r")):
        with pytest.raises(ValueError, match="signature"):
            other.check(TOPICS.set_point("a"), signed)


def test_the_key_is_not_shown():
    assert "k" * 8 not in repr(KEY)
    assert not hasattr(KEY, "__dict__")


def test_other_messages_carry_none():
    step = messages.Done(run="r", tick=0, sender="wam", seq=0, step="bid")
    assert KEY.signed(TOPICS.done("wam"), step) is step
    KEY.check(TOPICS.done("wam"), step)


def test_the_door_lets_in_only_signed_commands():
    topic = TOPICS.stop("operator-1")
    stop = Stop(run="r", tick=-1, sender="operator-1", seq=0, reason="smoke")
    body = messages.encode(stop)
    assert Door("r").admit(Received(topic, body, retained=True)).message == stop
    door = Door("r", commands=KEY)
    with pytest.raises(Refused, match="its signature"):
        door.admit(Received(topic, body, retained=True))
    signed = messages.encode(KEY.signed(topic, stop))
    assert door.admit(Received(topic, signed, retained=True)).message is not None


async def test_nodes_sign_and_check():
    broker = MemoryBroker()
    taken = []
    async with broker.connect("a") as one, broker.connect("b") as two, broker.connect("c") as three:
        sender, forger = Node(one, "r", "a", commands=KEY), Node(three, "r", "c")
        receiver = Node(two, "r", "b", commands=KEY)
        receiver.on(receiver.topics.set_point("+"), taken.append)
        await receiver.open()
        pump = asyncio.create_task(receiver.pump())
        for node, name in ((sender, "p"), (forger, "q")):
            topic = node.topics.set_point(name)
            await node.publish(topic, SetPoint, 0, valid_s=1.0, devices=[])
        await asyncio.sleep(0.01)
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)
    assert [message.sender for message in taken] == ["a"]
    assert receiver.traffic().rejected == 1
