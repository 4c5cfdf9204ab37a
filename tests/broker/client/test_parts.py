"""Large messages in parts: taken apart, put together, bounded."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.client import parts
from broker.client.memory import MemoryBroker
from broker.client.parts import Assembler, check_size, packets
from broker.errors import MessageTooLarge

LARGE = bytes(range(1, 256)) * 5000


def together(assembler, topic, pieces):
    return [whole for piece in pieces if (whole := assembler.take(topic, piece)) is not None]


def test_a_small_message_is_one_packet_as_it_is():
    assert list(packets(b'{"kind": "step"}')) == [b'{"kind": "step"}']
    assert Assembler().take("t", b'{"kind": "step"}') == b'{"kind": "step"}'


@settings(max_examples=25)
@given(order=st.permutations(range(3)), again=st.lists(st.integers(0, 2), max_size=4))
def test_parts_in_any_order_and_repeated_make_one_message(order, again):
    pieces = list(packets(LARGE))
    assert len(pieces) == 3
    assert max(map(len, pieces)) <= parts.PART_BYTES + 24
    assembler = Assembler()
    assert together(assembler, "t", [pieces[i] for i in [*order, *again]]) == [LARGE]
    assert together(assembler, "t", list(packets(LARGE))) == [LARGE]


def test_parts_of_several_messages_and_topics_keep_apart():
    assembler = Assembler()
    one, other = list(packets(LARGE)), list(packets(LARGE[::-1]))
    mixed = [piece for pair in zip(one, other, strict=True) for piece in pair]
    assert together(assembler, "t", mixed) == [LARGE, LARGE[::-1]]
    pieces = list(packets(LARGE))
    assert together(assembler, "a", pieces[:2]) == together(assembler, "b", pieces[2:]) == []


def test_what_begins_as_a_part_does_is_still_sent_whole():
    strange = parts._MARK + b"but no part"
    assert together(Assembler(), "t", packets(strange)) == [strange]


@pytest.mark.parametrize(
    "head", [(0, 0), (3, 3), (0, 2**20), (2**32 - 1, 2**32 - 1)], ids=["none", "behind", "many", "most"]
)
def test_what_is_no_part_is_handed_on_to_be_refused(head):
    packet = parts._HEAD.pack(parts._MARK, b"12345678", *head) + b"x"
    assert Assembler().take("t", packet) == packet


def test_unfinished_messages_do_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(parts, "LARGEST_BYTES", 4 * parts.PART_BYTES)
    assembler = Assembler()
    for _ in range(20):
        pieces = list(packets(LARGE))
        assert together(assembler, "t", pieces[:2]) == []
        assert assembler._held_bytes <= parts.LARGEST_BYTES
    assert len(assembler._open) <= 4
    assert together(assembler, "t", pieces[2:]) == [LARGE]


def test_unfinished_messages_without_content_do_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(parts, "LARGEST_BYTES", 4 * parts.PART_BYTES)
    assembler = Assembler()
    for number in range(20_000):
        assembler.take("t", parts._HEAD.pack(parts._MARK, number.to_bytes(8, "big"), 0, 2))
    assert len(assembler._open) < 5000
    while assembler._open:
        assembler._drop(next(iter(assembler._open)))
    assert assembler._held_bytes == 0


def test_a_message_too_large_is_an_error_that_names_topic_and_size(monkeypatch):
    monkeypatch.setattr(parts, "LARGEST_BYTES", 1_000_000)
    check_size("feeder/reply", bytes(1_000_000), retain=False)
    with pytest.raises(MessageTooLarge, match="on feeder/reply has 1,000,001 bytes where"):
        check_size("feeder/reply", bytes(1_000_001), retain=False)
    # A broker would keep the last part only.
    with pytest.raises(MessageTooLarge, match="524,289 bytes where at most 524,288"):
        check_size("t", bytes(parts.PART_BYTES + 1), retain=True)


async def test_the_bus_in_memory_refuses_it_as_well(monkeypatch):
    monkeypatch.setattr(parts, "LARGEST_BYTES", 100)
    async with MemoryBroker().connect("a") as bus:
        with pytest.raises(MessageTooLarge):
            await bus.publish("t", bytes(101))
        await bus.publish("t", bytes(100))
