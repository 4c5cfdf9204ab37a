"""The emulators' Modbus TCP server, by the bytes of the standard and by a client of a library."""

import asyncio
import struct
from contextlib import asynccontextmanager

import pytest
from pymodbus.client import AsyncModbusTcpClient

from devices.emulation.fleet import EmulatedProsumer, Fleet

HOME = EmulatedProsumer(id="home", import_kwh=1234.5, pv_kw=6.0, battery_kw=4.0, battery_kwh=10.0)


@asynccontextmanager
async def served():
    fleet = Fleet([HOME])
    fleet.begin([1.0], [0.2], [4.0])
    async with fleet.serving() as live:
        yield fleet, live["home"]


@asynccontextmanager
async def opened(endpoint):
    reader, writer = await asyncio.open_connection(endpoint.link.place, endpoint.link.port)
    try:
        yield reader, writer
    finally:
        writer.close()


def request(transaction, unit, *pdu):
    body = struct.pack(">BHH", *pdu)
    return struct.pack(">HHHB", transaction, 0, len(body) + 1, unit) + body


async def reply(reader):
    head = await reader.readexactly(7)
    transaction, protocol, length, unit = struct.unpack(">HHHB", head)
    assert protocol == 0
    return transaction, unit, await reader.readexactly(length - 1)


async def test_requests_that_come_together_are_answered_in_their_order():
    async with served() as (_, live), opened(live.meter) as (reader, writer):
        writer.write(b"".join(request(k, live.meter.unit, 4, 0x48, 2) for k in range(5)))
        for k in range(5):
            transaction, unit, pdu = await asyncio.wait_for(reply(reader), 5.0)
            assert (transaction, unit) == (k, live.meter.unit)
            assert struct.unpack(">BBf", pdu) == (4, 4, 1234.5)


async def test_a_request_in_pieces_is_answered_once_it_is_whole():
    async with served() as (_, live), opened(live.meter) as (reader, writer):
        for byte in request(7, live.meter.unit, 4, 0x48, 2):
            writer.write(bytes([byte]))
            await asyncio.sleep(0.002)
        assert (await asyncio.wait_for(reply(reader), 5.0))[2][:2] == b"\x04\x04"


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", struct.pack(">HHHB", 1, 0, 1, 1) + b"\x03"])
async def test_what_is_no_modbus_ends_the_connection_alone(garbage):
    async with served() as (_, live):
        async with opened(live.meter) as (reader, writer):
            writer.write(garbage)
            assert await asyncio.wait_for(reader.read(), 5.0) == b""
        async with opened(live.meter) as (reader, writer):
            writer.write(request(1, live.meter.unit, 4, 0x48, 2))
            assert (await asyncio.wait_for(reply(reader), 5.0))[2][:2] == b"\x04\x04"


@pytest.mark.parametrize(
    ("pdu", "code"),
    [
        (b"\x03\x9c\x40\x00\x00", 3),  # no register
        (b"\x03\x9c\x40\x00\x7e", 3),  # more than 125
        (b"\x03\x9c\x40\x00", 3),  # cut
        (b"\x03\x00\x00\x00\x02", 2),
        (b"\x03\xff\xff\x00\x02", 2),
        (b"\x04\x9c\x40\x00\x02", 1),
        (b"\x2b\x0e\x01\x00", 1),
        (b"\x10\x9c\x40\x00\x01\x02\x00", 3),  # a byte is missing
        (b"\x10\x9c\x40\x00\x02\x02\x00\x00", 3),  # counts that disagree
        (b"\x10\x9c\x40\x00\x01\x02\x00\x00", 2),  # the marker cannot be written
        (b"\x06\x9c\x40\x00", 3),
    ],
)
async def test_a_wrong_request_gets_the_exception_of_the_standard(pdu, code):
    async with served() as (_, live), opened(live.pv) as (reader, writer):
        writer.write(struct.pack(">HHHB", 1, 0, len(pdu) + 1, live.pv.unit) + pdu)
        assert (await asyncio.wait_for(reply(reader), 5.0))[2] == bytes((pdu[0] | 0x80, code))


async def test_a_librarys_client_reads_and_writes_it():
    async with served() as (fleet, live):
        pv, link = fleet.unit("home", "pv"), live.pv.link
        layout = pv.bank.layout
        limit, enable = (
            layout.base + layout.points[f"123.{name}"].at for name in ("WMaxLimPct", "WMaxLim_Ena")
        )
        client = AsyncModbusTcpClient(link.place, port=link.port)
        assert await client.connect()
        try:
            read = await client.read_input_registers(0x48, count=2, device_id=live.meter.unit)
            assert struct.unpack(">f", struct.pack(">2H", *read.registers)) == (1234.5,)
            assert not (await client.write_registers(limit, [5000], device_id=live.pv.unit)).isError()
            assert not (await client.write_register(enable, 1, device_id=live.pv.unit)).isError()
            back = await client.read_holding_registers(limit, count=1, device_id=live.pv.unit)
            assert back.registers == [5000]
            assert (await client.read_coils(0, count=1, device_id=live.pv.unit)).exception_code == 1
            assert (await client.read_holding_registers(40_000, count=2, device_id=200)).exception_code == 4
        finally:
            client.close()
        fleet.advance([[1.0]], [[0.2]], [[4.0]], dt_s=600.0)
        assert fleet.pv.p_kw[0] == pytest.approx(3.0, abs=0.01)


async def test_closing_it_ends_its_connections():
    async with served() as (fleet, live), opened(live.meter) as (reader, _):
        await asyncio.sleep(0.05)
        await fleet.stop()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await asyncio.wait_for(reader.readexactly(1), 5.0)
