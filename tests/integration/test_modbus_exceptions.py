"""Inverters that answer with exceptions although they work, or whose scale changes while they are written."""

import asyncio

import pytest

from devices.client.connection import Connection
from devices.endpoint import Link
from devices.errors import MalformedReply
from tests.integration.plain_modbus import crc
from tests.integration.sunspec_images import Inverter, pv_image
from tests.integration.test_modbus_field_cases import ENABLE, LIMIT, LIMIT_SF, ask, connected


class Excepting(Inverter):
    """Answers some requests of some functions with an exception; it may do what they ask all the same."""

    def __init__(self, code, functions, times=10**6, does=False):
        super().__init__(pv_image())
        self.code, self.functions, self.times, self.does = code, functions, times, does

    def answer(self, unit, pdu):
        if pdu[0] not in self.functions or not self.times:
            return super().answer(unit, pdu)
        self.times -= 1
        if self.does:
            super().answer(unit, pdu)
        return bytes([pdu[0] | 0x80, self.code])


async def test_one_that_needs_a_while_for_each_write_obeys_and_is_safe_after_a_stop():
    device = Excepting(5, (6, 16), does=True)
    async with connected(device) as gateway:
        outcome = await ask(gateway, 2.0)
        assert outcome.ok, outcome.detail
        assert (device.at(123, LIMIT), device.at(123, ENABLE)) == (4000, 1)
        assert await gateway.stop("fire") == []
        assert (device.at(123, LIMIT), device.at(123, ENABLE)) == (0, 1)


async def test_one_that_needs_a_while_and_then_does_nothing_is_not_safe():
    device = Excepting(5, (6, 16))
    async with connected(device) as gateway:
        assert not (await ask(gateway, 2.0)).ok
        assert await gateway.stop("fire") != []


async def test_one_that_is_busy_is_not_said_to_have_no_sunspec():
    device = Excepting(6, (3,), times=3)
    async with connected(device) as gateway:
        outcome = await ask(gateway, 2.0)
        assert "is busy; try again later" in outcome.detail
        assert "SunSpec" not in outcome.detail


@pytest.mark.parametrize("changes", [1, 10**6])
async def test_a_scale_that_changes_while_it_is_written_to_is_not_taken_for_a_power(changes):
    """A write brings about another scale factor, by which the same words are another power."""

    class Restless(Inverter):
        left = changes

        def answer(self, unit, pdu):
            reply = super().answer(unit, pdu)
            if pdu[0] in (6, 16) and self.left:
                self.left -= 1
                self.put(123, LIMIT_SF, -1 if self.at(123, LIMIT_SF) == 0xFFFE else -2)
            return reply

    device = Restless(pv_image())
    async with connected(device) as gateway:
        outcome = await ask(gateway, 2.0)
        assert outcome.ok == (changes == 1)
        if outcome.ok:
            assert (device.at(123, LIMIT), device.at(123, LIMIT_SF)) == (400, 0xFFFF)
        else:
            assert "changes its scale factors while it is written to" in outcome.detail


async def test_an_answer_to_another_master_on_the_line_is_not_taken_for_ones_own():
    """Another master asks the same unit for other registers, just before it answers us."""
    theirs = bytes([1, 4]) + (72).to_bytes(2, "big") + (2).to_bytes(2, "big")
    answer = bytes([1, 4, 4, 66, 200, 0, 0])

    async def serve(reader, writer):
        while await reader.read(100):
            writer.write(theirs + crc(theirs))
            await asyncio.sleep(0.05)
            writer.write(answer + crc(answer))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        place = Link("rtu+tcp", "127.0.0.1", server.sockets[0].getsockname()[1])
        connection = Connection(place, timeout_s=0.5)
        with pytest.raises(MalformedReply, match="another master"):
            await connection.read(1, 52, 2, 4)
        await connection.close()
        await asyncio.sleep(0.1)
