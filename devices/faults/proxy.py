"""A TCP proxy in front of a Modbus server that swallows or delays the requests to some units.

Answers pass as they are. A delayed request holds up those behind it on its connection, as on a slow bus; the
server itself never waits, because a server that waits inside an answer mixes transactions up.
"""

import asyncio
import contextlib

_HEADER_BYTES = 7
_LENGTH = slice(4, 6)


class FaultProxy:
    """Proxy to one port.

    Parameters
    ----------
    host, port
        The Modbus server.

    Attributes
    ----------
    silent
        Units whose requests are swallowed.
    delay_s
        Seconds by which requests to a unit are delayed, by unit.
    """

    def __init__(self, host: str, port: int) -> None:
        self.silent: set[int] = set()
        self.delay_s: dict[int, float] = {}
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None
        self._sessions: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        """Listen on a free port of the same host and return it."""
        self._server = await asyncio.start_server(self._session, self._host, 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Close the port and all connections."""
        if self._server is not None:
            self._server.close()
        for session in self._sessions:
            session.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._sessions.add(task)
        try:
            there, back = await asyncio.open_connection(self._host, self._port)
            try:
                answers = asyncio.create_task(_copy(there, writer))
                await self._requests(reader, back)
                answers.cancel()
            finally:
                back.close()
        except OSError:
            # Either side hung up: the client sees its own connection end, which is all there is to tell.
            pass
        except asyncio.CancelledError:
            # `stop` ends sessions; the server's own callback would log the cancellation as an error.
            pass
        finally:
            writer.close()
            self._sessions.discard(task)

    async def _requests(self, reader: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                header = await reader.readexactly(_HEADER_BYTES)
                # The length counts the unit id, which stands in the header.
                body = await reader.readexactly(int.from_bytes(header[_LENGTH], "big") - 1)
                unit = header[-1]
                if unit in self.silent:
                    continue
                if unit in self.delay_s:
                    await asyncio.sleep(self.delay_s[unit])
                server.write(header + body)
                await server.drain()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(4096):
        writer.write(data)
        await writer.drain()
