"""A socket whose encryption (TLS) happens in memory, so that one system call carries many records.

`ssl.SSLSocket` asks the system twice for each record and hands it on before it looks for the next one.
Brokers send each packet in a record of its own, so each message would cost these calls, a turn of the event
loop, and a confirmation that is written by itself.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress

_CHUNK_BYTES = 2**16
_RECORD_BYTES = 2**14
# Bounds what is held twice, plain and encrypted.
_SEALED_AT_ONCE = 2**18


class TlsSocket:
    """A client's end of an encrypted connection, with those methods of a socket that an MQTT client calls.

    Parameters
    ----------
    connected
        A connected socket, which is taken over.
    context
        Settings of the encryption.
    server_hostname
        Name or address that the other side's certificate has to be for.
    """

    def __init__(self, connected: socket.socket, context: ssl.SSLContext, server_hostname: str) -> None:
        self._socket = connected
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_hostname)
        # Encrypted and not yet taken by the system; how many bytes of the caller's data that is.
        self._sealed = memoryview(b"")
        self._held = 0
        self.fileno = connected.fileno
        self.setblocking = connected.setblocking
        self.settimeout = connected.settimeout
        self.setsockopt = connected.setsockopt
        self.shutdown = connected.shutdown
        self.close = connected.close

    def do_handshake(self) -> None:
        """Agree on keys, while the socket blocks; does nothing a second time.

        Raises
        ------
        ssl.SSLError
            The other side cannot be trusted, or refuses.
        OSError
            The connection breaks, or nothing comes in time.
        """
        is_agreed = False
        while not is_agreed:
            try:
                self._tls.do_handshake()
                is_agreed = True
                self._say()
            except ssl.SSLWantReadError:
                self._say()
                self._receive()
            except ssl.SSLError:
                # The other side shall hear why.
                with suppress(OSError):
                    self._say()
                raise

    def recv(self, most: int) -> bytes:
        """Receive at most so many bytes; none where the connection has ended.

        Raises
        ------
        BlockingIOError
            Nothing is there, or not the whole of a record.
        OSError
            The connection broke, or what came was changed on the way.
        """
        if not self.pending():
            self._receive()
        pieces: list[bytes] = []
        missing = most
        while missing and (not pieces or self.pending()):
            try:
                piece = self._tls.read(min(missing, _RECORD_BYTES))
            except ssl.SSLWantReadError:
                if pieces:
                    break
                self._receive()
                continue
            except ssl.SSLEOFError:
                # An end without a word is one, as in the standard library: MQTT has its own goodbye.
                break
            if not piece:
                break
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def send(self, data: bytes | bytearray) -> int:
        """Send some of the data; how many bytes.

        Raises
        ------
        BlockingIOError
            The system takes no more now. Try again with the same data, for they are encrypted already.
        OSError
            The connection broke.
        """
        if not self._held:
            with memoryview(data) as plain:
                most = min(len(plain), _SEALED_AT_ONCE)
                while self._held < most:
                    self._held += self._tls.write(plain[self._held : most])
            self._sealed = memoryview(self._outgoing.read())
        while self._sealed:
            self._sealed = self._sealed[self._socket.send(self._sealed) :]
        taken, self._held = self._held, 0
        return taken

    def pending(self) -> int:
        """Bytes that came and were not handed on, some of them perhaps still encrypted."""
        return self._tls.pending() + self._incoming.pending

    def _say(self) -> None:
        """Send what the encryption has to say by itself, if anything."""
        if self._outgoing.pending:
            self._socket.sendall(self._outgoing.read())

    def _receive(self) -> None:
        """Take in what has come."""
        if chunk := self._socket.recv(_CHUNK_BYTES):
            self._incoming.write(chunk)
        else:
            self._incoming.write_eof()
