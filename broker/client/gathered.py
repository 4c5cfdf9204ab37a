"""System calls of an MQTT connection, gathered: one for what is written in a turn of the event loop.

paho asks the system for each byte of a packet's head and for each packet that it sends, confirmations
included: on busy brokers a third of all work. Its socket is replaced here by one that keeps what was received
for it and hands on what it sends all at once.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Any

import aiomqtt

from broker.tls_socket import TlsSocket

_CHUNK_BYTES = 2**16


class GatheredSocket:
    """A socket that reads ahead, and sends when it is told to.

    Parameters
    ----------
    wrapped
        A connected socket that does not block.
    """

    def __init__(self, wrapped: socket.socket | TlsSocket) -> None:
        self._wrapped = wrapped
        self._received = b""
        self._at = 0
        self._waiting = bytearray()

    @property
    def is_blocked(self) -> bool:
        """Whether something waits that the system did not take."""
        return bool(self._waiting)

    def recv(self, most: int) -> bytes:
        """Receive at most so many bytes; raises as the socket does where there are none."""
        if self._at == len(self._received):
            self._received, self._at = self._wrapped.recv(_CHUNK_BYTES), 0
        piece = self._received[self._at : self._at + most]
        self._at += len(piece)
        return piece

    def pending(self) -> int:
        """Bytes that were received and not handed on."""
        inside = self._wrapped.pending() if isinstance(self._wrapped, TlsSocket) else 0
        return len(self._received) - self._at + inside

    def send(self, data: bytes) -> int:
        """Take all that is to be sent, until `flush`."""
        self._waiting += data
        return len(data)

    def flush(self) -> None:
        """Send what the system takes; what it does not stays."""
        with suppress(BlockingIOError):
            while self._waiting:
                del self._waiting[: self._wrapped.send(self._waiting)]

    def close(self) -> None:
        """Send the rest, as far as the system takes it, and close."""
        with suppress(OSError):
            self.flush()
        self._waiting.clear()
        self._wrapped.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)


class _Writer:
    """Writes of one client, once for each turn of the event loop, or when the system takes more."""

    def __init__(self, client: Any, gathered: GatheredSocket) -> None:
        self._client = client
        self._gathered = gathered
        self._loop = asyncio.get_running_loop()
        self._is_due = False
        self._watched: int | None = None

    def wanted(self, *_: object) -> None:
        """Something waits to be written."""
        if not self._is_due and self._watched is None:
            self._is_due = True
            self._loop.call_soon(self._write)

    def close(self, *_: object) -> None:
        """Watch the socket no longer."""
        if self._watched is not None:
            self._loop.remove_writer(self._watched)
            self._watched = None

    def _write(self) -> None:
        self._is_due = False
        if self._client.socket() is not self._gathered:
            return
        self._client.loop_write()
        # A connection that is gone shows when it is read.
        with suppress(OSError):
            self._gathered.flush()
        if not self._gathered.is_blocked:
            self.close()
        elif self._watched is None and (place := self._gathered.fileno()) >= 0:
            self._watched = place
            self._loop.add_writer(place, self._write)


def gather_system_calls(client: aiomqtt.Client) -> None:
    """Let a connected client read ahead, and write once for each turn of this event loop."""
    inner: Any = client._client
    gathered = GatheredSocket(inner.socket())
    inner._sock = gathered
    # Small messages answer each other here; waiting to fill a segment would cost 40 ms a time.
    gathered.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # It would make a line of every packet, which nobody reads.
    inner.disable_logger()
    writer = _Writer(inner, gathered)
    closed = inner.on_socket_close
    inner.on_socket_register_write = writer.wanted
    inner.on_socket_unregister_write = lambda *_: None

    def on_close(*words: object) -> None:
        writer.close()
        closed(*words)

    inner.on_socket_close = on_close


def drop(client: aiomqtt.Client) -> None:
    """Close the connection of a client whose broker says nothing; aiomqtt leaves it open, and listens."""
    inner: Any = client._client
    inner._sock_close()
