"""A Modbus TCP server in front of many units: requests are taken out of what comes in, and answered at once.

After the MODBUS Messaging on TCP/IP Implementation Guide V1.0b. Many requests may be under way on one
connection; they are answered in their order.
"""

import asyncio
import struct
from collections.abc import Mapping
from typing import cast

from devices.emulation.answers import Unit, answer

_HEADER = struct.Struct(">HHHB")
# The length counts the unit id, which the header holds.
_BEFORE_UNIT = 6
_SHORTEST, _LONGEST = 2, 254


class TcpServer:
    """Serves units at one port; made by `listen`.

    Parameters
    ----------
    units
        Registers by unit id.
    """

    def __init__(self, units: Mapping[int, Unit]) -> None:
        self.units = units
        self.connections: set[asyncio.Transport] = set()
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> None:
        """Open the port, or a free one for 0; raises ``OSError``."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), host, port)

    @property
    def port(self) -> int:
        """Port that it listens at."""
        assert self._server is not None
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    def close(self) -> None:
        """Close the port and all connections."""
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.abort()


class _Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, server: TcpServer) -> None:
        self._server = server
        self._pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._server.connections.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._server.connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        """Answer all requests that are complete; what is no Modbus ends the connection."""
        replies: list[bytes] = []
        pending, at = self._pending + data, 0
        while len(pending) - at > _HEADER.size:
            transaction, protocol, length, number = _HEADER.unpack_from(pending, at)
            if protocol != 0 or not _SHORTEST <= length <= _LONGEST:
                self._transport.close()
                return
            end = at + _BEFORE_UNIT + length
            if end > len(pending):
                break
            reply = answer(self._server.units.get(number), pending[at + _HEADER.size : end])
            replies += (_HEADER.pack(transaction, 0, len(reply) + 1, number), reply)
            at = end
        self._pending = pending[at:]
        if replies:
            self._transport.write(b"".join(replies))
