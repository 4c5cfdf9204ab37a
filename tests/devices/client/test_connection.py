"""A connection on links that misbehave: what is lost, what is not, and what is said of it."""

import asyncio
import contextlib
import time
from contextlib import asynccontextmanager

import pytest

from devices.client.connection import Connection
from devices.endpoint import Link
from devices.errors import (
    DeviceTimeout,
    DeviceUnreachable,
    GatewayNoResponse,
    IllegalAddress,
    MalformedReply,
    WrongUnit,
)
from devices.registers.schema import Access
from tests.devices.link_faults import faulty_link
from tests.integration.plain_modbus import Registers, tcp_server

CELLS = dict(enumerate(range(1000, 1200)))


@asynccontextmanager
async def connected(*, serial=False, units=(1,), habits=None, **options):
    registers = Registers({unit: dict(CELLS) for unit in units})
    async with faulty_link(registers, serial=serial) as link:
        where = Link("rtu+tcp" if serial else "tcp", "127.0.0.1", link.port)
        connection = Connection(where, **{"timeout_s": 0.2, "retry_after_s": 0.0, "idle_s": 0.1} | options)
        connection.serve(habits or Access())
        try:
            yield link, connection
        finally:
            await connection.close()


async def first(connection, unit=1):
    return int.from_bytes(await connection.read(unit, 5, 1), "big")


@pytest.mark.parametrize("serial", [False, True])
async def test_registers_are_read_and_written(serial):
    async with connected(serial=serial) as (link, connection):
        assert await connection.read(1, 10, 2) == (1010).to_bytes(2, "big") + (1011).to_bytes(2, "big")
        assert await connection.read(1, 0, 100, 4) == b"".join(
            n.to_bytes(2, "big") for n in range(1000, 1100)
        )
        await connection.write(1, 3, [7, 8])
        await connection.write(1, 5, [9], 6)
        assert [link.registers.units[1][k] for k in (3, 4, 5)] == [7, 8, 9]
        with pytest.raises(IllegalAddress):
            await connection.read(1, 500, 1)
        assert (connection.counts.reads, connection.counts.writes, connection.connects) == (3, 2, 1)


@pytest.mark.parametrize("how", ["closed", "forgotten", "restarted"])
async def test_a_connection_that_died_while_it_was_idle_costs_no_request(how):
    async with connected() as (link, connection):
        assert await first(connection) == 1005
        await asyncio.sleep(0.15)
        if how == "closed":
            link.close_connections()
        elif how == "forgotten":
            link.forget_connections()
        else:
            await link.restart()
        assert await first(connection) == 1005
        assert connection.connects == 2
        assert connection.counts.errors == {}


@pytest.mark.parametrize("function", [16, 6])
async def test_a_write_on_a_connection_that_died_while_it_was_idle_is_made_anew(function):
    async with connected() as (link, connection):
        await first(connection)
        await asyncio.sleep(0.15)
        link.forget_connections()
        await connection.write(1, 5, [42], function)
        assert await first(connection) == 42


async def test_a_server_that_ends_each_connection_with_its_answer_loses_nothing():
    async with connected() as (link, connection):
        link.answers_per_connection = 1
        assert [await first(connection) for _ in range(5)] == [1005] * 5
        assert connection.counts.errors == {}


async def test_a_unit_that_is_dead_itself_is_asked_twice_once():
    async with connected(units=(1, 2)) as (link, connection):
        await first(connection)
        await asyncio.sleep(0.15)
        link.registers.silent.add(2)
        for _ in range(3):
            with pytest.raises(DeviceTimeout):
                await first(connection, 2)
        assert [unit for unit, *_ in link.registers.asked].count(2) == 4
        assert await first(connection) == 1005


async def test_a_link_that_closes_whatever_is_asked_is_unreachable_and_says_so():
    async with connected() as (link, connection):
        link.clients = 0
        with pytest.raises(DeviceUnreachable, match="closed the connection when unit 1"):
            await first(connection)


async def test_a_device_gets_its_time_after_connecting_and_between_requests():
    habits = Access(connect_delay_s=0.15, pause_s=0.05)
    async with connected(habits=habits) as (link, connection):
        link.deaf_after_connect_s, link.deaf_after_answer_s = 0.12, 0.04
        assert [await first(connection) for _ in range(3)] == [1005] * 3
        assert connection.counts.errors == {}
        assert connection.connects == 1


async def test_devices_on_one_link_get_the_most_that_one_of_them_needs():
    async with connected(habits=Access(pause_s=0.05)) as (link, connection):
        connection.serve(Access(connect_delay_s=0.05))
        link.deaf_after_connect_s, link.deaf_after_answer_s = 0.04, 0.04
        assert [await first(connection) for _ in range(2)] == [1005] * 2


async def test_a_connection_that_a_device_does_not_keep_is_given_back_between_polls():
    async with connected(habits=Access(keep_open=False)) as (link, connection):
        link.clients = 1
        for _ in range(3):
            assert [await first(connection), await first(connection)] == [1005] * 2
            assert link.open_connections == 1
            await asyncio.sleep(0.3)
            assert link.open_connections == 0
        assert connection.connects == 3


@pytest.mark.parametrize("serial", [False, True])
async def test_an_answer_in_the_name_of_another_unit_is_said_to_be_one(serial):
    async with connected(serial=serial) as (link, connection):
        link.answers_as[1] = 7
        with pytest.raises(WrongUnit, match=r"unit 1 at .* answered as unit 7; correct the unit id"):
            await first(connection)


@pytest.mark.parametrize("unit", [0, 255])
async def test_units_0_and_255_may_answer_in_their_own_name(unit):
    async with connected(units=(unit,)) as (link, connection):
        link.answers_as[unit] = 1
        assert await first(connection, unit) == 1005


@pytest.mark.parametrize("noise", [b"\x00", b"\xff\xff\xff", b"\x01\x03", b"\x01\x03\x02\x07\xd0\xff\xff"])
async def test_noise_before_a_serial_answer_does_no_harm(noise):
    async with connected(serial=True) as (link, connection):
        link.noise = noise
        assert await first(connection) == 1005
        assert await first(connection) == 1005
        assert connection.counts.errors == {}


@pytest.mark.parametrize("address", [5, 0x300])
async def test_an_echo_on_a_serial_line_is_no_answer(address):
    async with connected(serial=True) as (link, connection):
        link.registers.units[1][0x300] = 1005
        link.echoes = True
        assert await connection.read(1, address, 1) == (1005).to_bytes(2, "big")
        await connection.write(1, address, [3, 4])
        assert link.registers.units[1][address] == 3


async def test_bytes_that_are_no_modbus_are_said_to_be_such():
    async with connected() as (link, connection):
        link.in_place = b"HTTP/1.1 400 Bad Request\r\n"
        with pytest.raises(MalformedReply, match="sent no Modbus answer"):
            await first(connection)
        link.in_place = None
        assert await first(connection) == 1005


async def test_noise_alone_on_a_serial_line_is_said_to_be_such():
    async with connected(serial=True) as (link, connection):
        link.in_place = b"\x00\x5a\xa5\x5a"
        with pytest.raises(DeviceTimeout, match="4 bytes that are no Modbus; check baud rate"):
            await first(connection)


@pytest.mark.parametrize("serial", [False, True])
async def test_half_an_answer_is_none(serial):
    async with connected(serial=serial) as (link, connection):
        link.cut_to = 6
        with pytest.raises(DeviceTimeout):
            await first(connection)
        link.cut_to = None
        assert await first(connection) == 1005


async def test_a_late_answer_is_not_taken_for_the_next_one():
    async with connected() as (link, connection):
        link.delay_s = 0.3
        with pytest.raises(DeviceTimeout):
            await connection.read(1, 90, 1)
        link.delay_s = 0.0
        assert await first(connection) == 1005


async def test_a_unit_with_priority_does_not_wait_for_the_others():
    async with connected(units=(1, 2), timeout_s=2.0, idle_s=60.0) as (link, connection):
        await first(connection)
        link.registers.silent.add(2)
        slow = asyncio.create_task(first(connection, 2))
        await asyncio.sleep(0.05)
        began = time.monotonic()
        connection.begin_priority(1)
        assert await first(connection) == 1005
        assert time.monotonic() - began < 0.1
        with pytest.raises(DeviceTimeout, match="gave way"):
            await slow


async def test_a_unit_with_priority_is_not_held_up_by_an_attempt_to_connect(monkeypatch):
    async with connected(units=(1, 2), timeout_s=2.0) as (_, connection):
        calls = []
        real = asyncio.get_running_loop().create_connection

        async def create_connection(*args, **options):
            calls.append(args)
            if len(calls) == 1:
                await asyncio.sleep(5.0)
            return await real(*args, **options)

        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", create_connection)
        slow = asyncio.create_task(first(connection, 2))
        await asyncio.sleep(0.05)
        began = time.monotonic()
        connection.begin_priority(1)
        assert await first(connection) == 1005
        assert time.monotonic() - began < 0.1
        with pytest.raises(DeviceTimeout, match="gave way"):
            await slow


class Refuses(Registers):
    """Answers requests of some functions with an exception, of which it may do what it was asked."""

    def __init__(self, code, functions, times, does=False):
        super().__init__({1: dict(CELLS)})
        self.code, self.functions, self.times, self.does = code, functions, times, does

    def answer(self, unit, pdu):
        if pdu[0] not in self.functions or not self.times:
            return super().answer(unit, pdu)
        self.times -= 1
        if self.does:
            super().answer(unit, pdu)
        return bytes([pdu[0] | 0x80, self.code])


@pytest.mark.parametrize("function", [16, 6])
async def test_a_write_that_needs_a_while_is_no_refusal(function):
    registers = Refuses(5, (6, 16), 1, does=True)
    async with tcp_server(registers) as port:
        connection = Connection(Link("tcp", "127.0.0.1", port), timeout_s=0.5)
        await connection.write(1, 5, [42], function)
        assert await first(connection) == 42
        await connection.close()


async def test_a_gateway_without_a_way_to_a_unit_says_nothing_of_the_unit():
    async with tcp_server(Refuses(10, (3,), 1)) as port:
        connection = Connection(Link("tcp", "127.0.0.1", port), timeout_s=0.5)
        with pytest.raises(GatewayNoResponse, match="check the gateway's settings"):
            await first(connection)
        await connection.close()


async def test_who_answers_other_requests_alone_is_not_said_to_be_without_power():
    async def serve(reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError):
            while request := await reader.readexactly(12):
                number = (int.from_bytes(request[:2], "big") + 7) & 0xFFFF
                writer.write(number.to_bytes(2, "big") + bytes((0, 0, 0, 5, 1, 3, 2, 3, 237)))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        connection = Connection(Link("tcp", "127.0.0.1", server.sockets[0].getsockname()[1]), timeout_s=0.3)
        with pytest.raises(DeviceTimeout, match="numbers of other requests") as found:
            await first(connection)
        assert "power" not in str(found.value)
        await connection.close()
        # Its other end sees that with a later turn of the loop.
        await asyncio.sleep(0.05)
