"""Modbus servers written from the specification alone, with plain sockets: what the gateway must get on with.

They share no code with the project or its library, so an error in either cannot hide on both sides.
"""

import asyncio
import inspect
import os
import struct
import tty
from contextlib import asynccontextmanager


class Registers:
    """Registers of some units; those in ``silent`` never answer."""

    def __init__(self, units, silent=()):
        self.units = units
        self.silent = set(silent)
        self.asked = []

    def answer(self, unit, pdu):
        """Reply to a request, ``None`` for silence."""
        function, address, count = struct.unpack_from(">BHH", pdu)
        self.asked.append((unit, function, address, count))
        if unit in self.silent:
            return None
        cells = self.units[unit]
        if function in (3, 4):
            if any(address + k not in cells for k in range(count)):
                return bytes([function | 0x80, 2])
            return struct.pack(
                f">BB{count}H", function, 2 * count, *(cells[address + k] for k in range(count))
            )
        if function == 6:
            cells[address] = count
            return pdu
        assert function == 16
        for k, word in enumerate(struct.unpack_from(f">{count}H", pdu, 6)):
            cells[address + k] = word
        return pdu[:5]


@asynccontextmanager
async def tcp_server(registers):
    """Port of a Modbus TCP server; a connection serves one request at a time, as a serial line behind it.

    Answers that take their time are awaited.
    """
    connections = set()

    async def serve(reader, writer):
        connections.add(writer)
        try:
            while True:
                head = await reader.readexactly(7)
                transaction, _, length, unit = struct.unpack(">HHHB", head)
                reply = registers.answer(unit, await reader.readexactly(length - 1))
                if inspect.isawaitable(reply):
                    reply = await reply
                if reply is not None:
                    writer.write(struct.pack(">HHHB", transaction, 0, len(reply) + 1, unit) + reply)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in connections:
            writer.close()
        await asyncio.sleep(0.01)


def crc(frame):
    """Checksum of a serial frame, low byte first."""
    value = 0xFFFF
    for byte in frame:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
    return struct.pack("<H", value)


class SerialSide:
    """The far end of a serial line: takes frames out of a stream of bytes and answers them."""

    def __init__(self, registers, send):
        self.registers = registers
        self.send = send
        self.pending = b""

    def take(self, data):
        self.pending += data
        while len(self.pending) >= 8:
            size = 8 if self.pending[1] != 16 else 9 + self.pending[6]
            if len(self.pending) < size:
                return
            frame, self.pending = self.pending[:size], self.pending[size:]
            assert crc(frame[:-2]) == frame[-2:]
            reply = self.registers.answer(frame[0], frame[1:-2])
            if reply is not None:
                body = frame[:1] + reply
                self.send(body + crc(body))


@asynccontextmanager
async def serial_line(registers):
    """Path of a pseudo-terminal that serves units as a serial line does."""
    near, far = os.openpty()
    tty.setraw(near)
    tty.setraw(far)
    side = SerialSide(registers, lambda data: os.write(near, data))
    loop = asyncio.get_running_loop()
    loop.add_reader(near, lambda: side.take(os.read(near, 1000)))
    try:
        yield os.ttyname(far)
    finally:
        loop.remove_reader(near)
        os.close(near)
        os.close(far)


@asynccontextmanager
async def serial_over_tcp(registers):
    """Port at which serial frames are answered over TCP, as plain RS-485 converters do."""

    async def serve(reader, writer):
        side = SerialSide(registers, writer.write)
        while data := await reader.read(1000):
            side.take(data)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.sleep(0.01)
