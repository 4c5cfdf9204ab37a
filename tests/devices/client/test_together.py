"""Requests that are under way at once: plain replies count, and everything else is asked for once more."""

import asyncio
import struct
from contextlib import asynccontextmanager

import pytest

from devices.client.batch import Batch
from devices.client.connection import Connection
from devices.client.frames import NotModbus, read_pdu
from devices.endpoint import Link
from devices.errors import DeviceError, DeviceTimeout, IllegalAddress
from devices.registers.schema import Access
from tests.devices.link_faults import faulty_link
from tests.integration.plain_modbus import Registers

UNITS = range(1, 21)
ABSENT = 99


def reply_to(number, unit, value, function=3):
    return struct.pack(">HHHBBBH", number, 0, 5, unit, function, 2, value)


def asked(*units):
    return [(unit, read_pdu(3, 0, 1)) for unit in units]


def test_replies_are_told_apart_by_their_numbers_whatever_their_order_and_parts():
    batch = Batch(asked(1, 2, 3), 0xFFFE)
    assert batch.request()[:2] == b"\xff\xff"
    assert batch.last == 2
    data = reply_to(2, 3, 30) + reply_to(77, 1, 99) + reply_to(0xFFFF, 1, 10) + reply_to(1, 2, 20)
    for k in range(0, len(data), 5):
        assert not batch.is_over
        batch.take(data[k : k + 5])
    assert batch.is_over
    assert [struct.unpack(">BBH", each)[2] for each in batch.replies] == [10, 20, 30]


def test_what_another_unit_says_and_what_is_refused_counts_as_no_reply():
    batch = Batch(asked(1, 2, 3), 0)
    batch.take(reply_to(1, 9, 10) + struct.pack(">HHHBBB", 2, 0, 3, 2, 0x83, 2) + reply_to(3, 3, 30))
    assert batch.is_over
    assert [each is None for each in batch.replies] == [True, True, False]


def test_garbage_ends_a_batch():
    with pytest.raises(NotModbus):
        Batch(asked(1), 0).take(b"\x00\x01\x12\x34\x00\x05\x01\x03\x02\x00\x01")


class Meters(Registers):
    """Says nothing in the name of units that are not there."""

    def answer(self, unit, pdu):
        return super().answer(unit, pdu) if unit in self.units else None


@asynccontextmanager
async def connected(timeout_s=0.3):
    registers = Meters({unit: {0: 1000 + unit} for unit in UNITS})
    async with faulty_link(registers) as link:
        connection = Connection(Link("tcp", "127.0.0.1", link.port, at_once=8), timeout_s, retry_after_s=0.0)
        try:
            await connection.read(1, 0, 1)
            yield link, connection
        finally:
            await connection.close()


def value(data):
    return None if data is None else int.from_bytes(data, "big")


async def read_one_by_one(connection, units):
    return [value(each) for each in await asyncio.gather(*(connection.read(unit, 0, 1) for unit in units))]


async def test_many_wait_together_and_each_has_its_own_reply():
    async with connected() as (link, connection):
        assert await read_one_by_one(connection, UNITS) == [1000 + unit for unit in UNITS]
        replies = await connection.read_many([(unit, 0, 1, 3) for unit in UNITS])
        assert [value(each) for each in replies] == [1000 + unit for unit in UNITS]
        await asyncio.gather(*(connection.write(unit, 0, [2000 + unit]) for unit in UNITS))
        assert [link.registers.units[unit][0] for unit in UNITS] == [2000 + unit for unit in UNITS]
        assert (connection.counts.reads, connection.counts.writes) == (1 + 2 * len(UNITS), len(UNITS))
        assert connection.connects == 1


async def test_eight_go_out_before_the_first_answer():
    async with connected() as (link, connection):
        link.delay_s = 0.02
        loop = asyncio.get_running_loop()
        began = loop.time()
        replies = await connection.read_many([(1, 0, 1, 3)] * 8)
        # One server answers one after the other; nothing waits for the way there and back.
        assert None not in replies
        assert loop.time() - began < 0.3
        assert connection.counts.reads == 9


async def test_a_refusal_and_a_silence_are_those_of_one_unit():
    async with connected() as (_, connection):
        replies = await connection.read_many([(1, 0, 1, 3), (2, 500, 1, 3), (3, 0, 1, 3)])
        assert [value(each) for each in replies] == [1001, None, 1003]
        with pytest.raises(IllegalAddress):
            await connection.read(2, 500, 1)
        found = await asyncio.gather(
            *(connection.read(unit, 0, 1) for unit in (1, ABSENT, 2)), return_exceptions=True
        )
        assert [value(found[0]), value(found[2])] == [1001, 1002]
        assert isinstance(found[1], DeviceTimeout)
        assert connection.silent(ABSENT) == 1
        # Who is silent holds up the others no more.
        began = asyncio.get_running_loop().time()
        replies = await connection.read_many([(unit, 0, 1, 3) for unit in (1, ABSENT, 2)])
        assert [value(each) for each in replies] == [1001, None, 1002]
        assert asyncio.get_running_loop().time() - began < 0.25


async def test_units_that_are_silent_cost_the_others_neither_time_nor_the_connection():
    async with connected() as (_, connection):
        with pytest.raises(DeviceTimeout):
            await connection.read(ABSENT, 0, 1)
        await connection.read(1, 0, 1)
        connects = connection.connects
        began = asyncio.get_running_loop().time()
        assert await connection.read_many([(ABSENT, 0, 1, 3)] * 2) == [None, None]
        assert await connection.read_many([]) == []
        assert asyncio.get_running_loop().time() - began < 0.25
        assert connection.connects == connects


async def test_what_a_closed_connection_loses_is_asked_for_on_another_one():
    async with connected() as (link, connection):
        link.answers_per_connection = 4
        assert await read_one_by_one(connection, UNITS[:6]) == [1000 + unit for unit in UNITS[:6]]
        assert connection.connects >= 2


async def test_behind_garbage_nothing_is_believed_and_the_connection_is_made_anew():
    async with connected() as (link, connection):
        link.in_place = b"\x00\x01\x12\x34\x00\x05\x01\x03\x02\x00\x01"
        assert await connection.read_many([(unit, 0, 1, 3) for unit in UNITS[:6]]) == [None] * 6
        link.in_place = None
        assert await read_one_by_one(connection, UNITS[:6]) == [1000 + unit for unit in UNITS[:6]]
        assert connection.connects == 2


async def test_a_unit_with_priority_passes_all_that_waits():
    async with connected(timeout_s=5.0) as (link, connection):
        link.delay_s = 0.1
        others = asyncio.gather(*(connection.read(unit, 0, 1) for unit in UNITS), return_exceptions=True)
        await asyncio.sleep(0.05)
        began = asyncio.get_running_loop().time()
        connection.begin_priority(1)
        await connection.write(1, 0, [7])
        assert asyncio.get_running_loop().time() - began < 0.5
        connection.end_priority(1)
        assert link.registers.units[1][0] == 7
        link.delay_s = 0.0
        assert all(isinstance(each, bytes | DeviceError) for each in await others)


async def test_a_unit_with_priority_passes_what_goes_out_after_another_had_it():
    async with connected(timeout_s=5.0) as (link, connection):
        connection.begin_priority(1)
        await connection.write(1, 0, [7])
        connection.end_priority(1)
        link.delay_s = 0.1
        others = asyncio.create_task(connection.read_many([(3, 0, 1, 3)] * 8))
        await asyncio.sleep(0.05)
        began = asyncio.get_running_loop().time()
        connection.begin_priority(2)
        await connection.write(2, 0, [8])
        assert asyncio.get_running_loop().time() - began < 0.5
        assert link.registers.units[2][0] == 8
        assert None in await others


async def test_a_unit_with_priority_passes_what_waits_for_a_device_to_be_ready():
    async with connected(timeout_s=5.0) as (link, connection):
        connection.serve(Access(connect_delay_s=0.1))
        link.close_connections()
        await asyncio.sleep(0.01)
        others = asyncio.create_task(connection.read_many([(3, 0, 1, 3)] * 8))
        await asyncio.sleep(0.05)
        connection.begin_priority(2)
        write = asyncio.create_task(connection.write(2, 0, [8]))
        assert await others == [None] * 8
        await write
        assert link.registers.units[2][0] == 8
        assert connection.counts.reads == 1


async def test_a_write_that_nobody_waits_for_any_more_never_goes_out():
    async with connected(timeout_s=5.0) as (link, connection):
        link.delay_s = 0.05
        first = asyncio.create_task(connection.read_many([(1, 0, 1, 3)] * 8))
        await asyncio.sleep(0.01)
        write = asyncio.create_task(connection.write(2, 0, [7]))
        await asyncio.sleep(0.01)
        write.cancel()
        await first
        await connection.read(2, 0, 1)
        assert link.registers.units[2][0] == 1002
