"""A Modbus TCP server whose link misbehaves on demand, written from the specification alone on plain sockets.

What a link can do wrong is switched on and off while it is used; the registers behind it stay right. Serial
frames over TCP are served as well, as plain RS-485 converters speak.
"""

import asyncio
import contextlib
import struct
from contextlib import asynccontextmanager

from tests.integration.plain_modbus import crc


class FaultyLink:
    """Server of some registers, with the habits of its link.

    Attributes
    ----------
    registers
        Anything with ``answer(unit, pdu)``, as `tests.integration.plain_modbus.Registers`.
    idle_close_s
        Closes a connection on which nothing was asked for so long [s].
    answers_per_connection
        Closes a connection after so many answers.
    deaf_after_connect_s, deaf_after_answer_s
        Ignores requests that come sooner than this after a connection was made or an answer was sent [s].
    delay_s
        Answers later by this [s].
    noise
        Bytes before each answer.
    in_place
        Bytes in place of each answer, or ``None``.
    cut_to
        Sends only so many bytes of each answer, or ``None``.
    answers_as
        Unit in whose name another one is answered.
    echoes
        Sends back what it gets before it answers, as some converters do.
    clients
        Closes further connections at once while so many are open, or ``None``.
    functions
        Functions that are known; all others get exception 1.
    longest_read
        Reads of more registers get an exception.
    refuses_with
        That exception.
    connections
        How many were made so far.
    """

    def __init__(self, registers, *, serial=False):
        self.registers = registers
        self.serial = serial
        self.connections = 0
        self.idle_close_s = None
        self.answers_per_connection = None
        self.deaf_after_connect_s = 0.0
        self.deaf_after_answer_s = 0.0
        self.delay_s = 0.0
        self.noise = b""
        self.in_place = None
        self.cut_to = None
        self.answers_as = {}
        self.echoes = False
        self.clients = None
        self.functions = {3, 4, 6, 16}
        self.longest_read = 125
        self.refuses_with = 2
        self.port = 0
        self._server = None
        self._open = {}
        self._dead = set()

    async def start(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self):
        """Take the device off the link: its port is closed, and so are all connections."""
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.sleep(0.01)

    async def restart(self, away_s=0.0):
        """Restart the device at the same port."""
        await self.stop()
        await asyncio.sleep(away_s)
        await self.start()

    def forget_connections(self):
        """Let all that is open die unnoticed: the other side hears nothing any more, not even an end."""
        self._dead.update(self._open)

    def close_connections(self):
        """Close what is open, in order."""
        for writer in list(self._open):
            writer.close()

    @property
    def open_connections(self):
        return len(self._open)

    async def _serve(self, reader, writer):
        self.connections += 1
        if self.clients is not None and len(self._open) >= self.clients:
            writer.close()
            return
        loop = asyncio.get_running_loop()
        self._open[writer] = loop.time()
        answered, deaf_until = 0, loop.time() + self.deaf_after_connect_s
        try:
            while True:
                async with asyncio.timeout(self.idle_close_s):
                    unit, pdu, pack = await (self._serial_request if self.serial else self._request)(reader)
                if writer in self._dead or loop.time() < deaf_until:
                    continue
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                reply = self._reply(unit, pdu)
                if reply is not None and writer not in self._dead:
                    writer.write(self._bytes(pack(self.answers_as.get(unit, unit), reply)))
                    answered += 1
                    deaf_until = loop.time() + self.deaf_after_answer_s
                if answered == self.answers_per_connection:
                    break
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            pass
        finally:
            self._open.pop(writer, None)
            self._dead.discard(writer)
            writer.close()

    def _reply(self, unit, pdu):
        function, _, count = struct.unpack_from(">BHH", pdu)
        if function not in self.functions:
            return bytes([function | 0x80, 1])
        if function in (3, 4) and count > self.longest_read:
            return bytes([function | 0x80, self.refuses_with])
        return self.registers.answer(unit, pdu)

    def _bytes(self, frame):
        if self.in_place is not None:
            return self.in_place
        return self.noise + frame[: self.cut_to]

    async def _request(self, reader):
        transaction, _, length, unit = struct.unpack(">HHHB", await reader.readexactly(7))
        pdu = await reader.readexactly(length - 1)
        return (
            unit,
            pdu,
            lambda name, reply: struct.pack(">HHHB", transaction, 0, len(reply) + 1, name) + reply,
        )

    async def _serial_request(self, reader):
        head = await reader.readexactly(7)
        frame = head + await reader.readexactly(1 if head[1] != 16 else 2 + head[6])
        assert crc(frame[:-2]) == frame[-2:]
        echo = frame if self.echoes else b""

        def pack(name, reply):
            answer = bytes([name]) + reply
            return echo + answer + crc(answer)

        return frame[0], frame[1:-2], pack


@asynccontextmanager
async def faulty_link(registers, *, serial=False):
    """A `FaultyLink` that serves for the time of a ``with`` block."""
    link = FaultyLink(registers, serial=serial)
    await link.start()
    try:
        yield link
    finally:
        with contextlib.suppress(OSError):
            await link.stop()
