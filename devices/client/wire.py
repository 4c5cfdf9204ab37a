"""One open connection to a link: a request goes out, its reply comes in, or it is said why not.

Where the other side bears several requests at once, they go out together as a `devices.client.batch.Batch`.
"""

import asyncio
from collections.abc import Sequence
from typing import cast

from pymodbus.transport.serialtransport import create_serial_connection

from broker.patience import Patience
from devices.client.batch import Asked, Batch
from devices.client.frames import Frames, NotModbus, OtherMaster, OtherUnit, SerialFrames, TcpFrames
from devices.endpoint import Link


class WireError(Exception):
    """Root of what may become of a request."""


class Closed(WireError):
    """The other side closed the connection, or the line went away."""


class Silent(WireError):
    """No reply in time; ``heard`` is a unit that answered in place of the one that was asked."""

    def __init__(self, heard: int | None, noise: int) -> None:
        super().__init__()
        self.heard = heard
        self.noise = noise


class Garbled(WireError):
    """Bytes came that are no Modbus."""


class Shared(WireError):
    """Somebody else asked the same unit on the line."""


class BrokenOff(WireError):
    """A request with priority came between."""


class Wire(asyncio.Protocol):
    """An open connection, over which one request is made at a time.

    Attributes
    ----------
    is_open
        Whether the other side has not closed it.
    opened
        Set once it is open.
    used_s
        When a reply came last, or when it was opened, by the event loop's clock [s].
    """

    def __init__(self, frames: Frames) -> None:
        self.is_open = False
        self.used_s = 0.0
        self.opened = asyncio.Event()
        self._frames = frames
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.WriteTransport | None = None
        self._reply: asyncio.Future[bytes] | None = None
        self._batch: Batch | None = None
        self._patience_s = 0.0
        # One timer does for many requests, of which nearly all are answered.
        self._patience = Patience(self._time_out)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note that the connection is open."""
        self._transport = cast("asyncio.WriteTransport", transport)
        self.is_open = True
        self.used_s = self._loop.time()
        self.opened.set()

    def data_received(self, data: bytes) -> None:
        """Take bytes in; what nobody has asked for is dropped."""
        if self._reply is None or self._reply.done():
            return
        try:
            pdu = self._frames.take(data) if self._batch is None else self._taken(self._batch, data)
        except NotModbus:
            self._reply.set_exception(Garbled())
        except OtherMaster:
            self._reply.set_exception(Shared())
        except OtherUnit as other:
            self._reply.set_exception(Silent(other.unit, 0))
        else:
            if pdu is not None:
                self._reply.set_result(pdu)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Note that the connection is closed; a request under way has failed."""
        self.is_open = False
        self._fail(Closed())

    async def ask(self, unit: int, pdu: bytes, timeout_s: float) -> bytes:
        """Make one request and wait for its reply.

        Parameters
        ----------
        unit
            Unit id.
        pdu
            Function code and what belongs to it.
        timeout_s
            How long to wait [s].

        Returns
        -------
        bytes
            PDU of the reply.

        Raises
        ------
        WireError
            What became of it instead.
        """
        return await self._answered(self._frames.request(unit, pdu), timeout_s)

    async def _answered(self, request: bytes, timeout_s: float) -> bytes:
        """Send bytes, and wait until what they ask for has come in."""
        if self._transport is None or not self.is_open:
            raise Closed
        self._reply = self._loop.create_future()
        self._patience_s = timeout_s
        self._patience.begin(timeout_s)
        self._transport.write(request)
        try:
            reply = await self._reply
        finally:
            self._reply = None
            self._patience.end()
        self.used_s = self._loop.time()
        return reply

    async def ask_together(self, asked: Sequence[Asked], timeout_s: float) -> list[bytes | None]:
        """Make several requests at once, of a link over TCP that bears them.

        Parameters
        ----------
        asked
            Unit id and PDU of each.
        timeout_s
            How long to wait after each reply for the next one [s].

        Returns
        -------
        list
            PDU of each reply; ``None`` for what has to be asked by itself to learn what becomes of it.
        """
        assert isinstance(self._frames, TcpFrames)
        batch = self._batch = Batch(asked, self._frames.transaction)
        self._frames.transaction = batch.last
        try:
            await self._answered(batch.request(), timeout_s)
        except WireError:
            # Each that is open will be asked by itself on another connection, which tells what becomes of it.
            self.close()
        finally:
            self._batch = None
        return batch.replies

    def _taken(self, batch: Batch, data: bytes) -> bytes | None:
        """Take a part of a batch in; something once all of it is in."""
        batch.take(data)
        if batch.is_over:
            return b"all"
        self._patience.begin(self._patience_s)
        return None

    @property
    def was_held_up(self) -> bool:
        """Whether this process was while the last request was under way, so that its time tells nothing."""
        return self._patience.was_held_up

    def break_off(self) -> None:
        """End the request under way."""
        self._fail(BrokenOff())

    def close(self) -> None:
        """Close the connection."""
        self.is_open = False
        self._patience.close()
        if self._transport is not None:
            self._transport.abort()

    def _time_out(self) -> None:
        self._fail(Silent(self._frames.heard, self._frames.noise))

    def _fail(self, error: WireError) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(error)


async def open_wire(link: Link) -> Wire:
    """Open a connection to a link; raises ``OSError`` where nothing accepts it."""
    loop = asyncio.get_running_loop()
    if link.scheme == "rtu":
        made: tuple[asyncio.Transport, asyncio.BaseProtocol] = await create_serial_connection(
            loop,
            lambda: Wire(SerialFrames()),
            link.place,
            baudrate=link.baud,
            bytesize=8,
            parity=link.parity,
            stopbits=link.stop_bits,
            timeout=0,
        )
        wire = cast("Wire", made[1])
        # The transport says so only with a later turn of the loop.
        await wire.opened.wait()
        return wire
    frames = TcpFrames if link.scheme == "tcp" else SerialFrames
    _, wire = await loop.create_connection(lambda: Wire(frames()), link.place, link.port)
    return wire
