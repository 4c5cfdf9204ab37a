"""Modbus requests and replies as bytes: behind a header over TCP, with a checksum on a serial line.

After the MODBUS Application Protocol Specification V1.1b3, the Messaging Implementation Guide for TCP and the
specification for serial lines, V1.02. A request or reply without header and checksum is a PDU: its function
code and what belongs to that.
"""

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

EXCEPTION = 0x80
READ_BITS = (1, 2)
_OF_REGISTERS = (3, 4)
READS = (*READ_BITS, *_OF_REGISTERS)
WRITE_COIL, WRITE_ONE, WRITE_MANY = 5, 6, 16
# Functions whose reply begins as the request does, and may be the same.
_ECHOED = (WRITE_COIL, WRITE_ONE)
_COIL_ON = 0xFF00
# Devices behind TCP answer to these in their own name.
_ANY_UNIT = (0, 255)
_HEADER = 7
_LONGEST_BODY = 254
_LONGEST_NOISE = 4096
_CHECKSUM = 2
_READ_REQUEST = 8


class NotModbus(Exception):
    """Bytes that cannot be a reply, so that nothing behind them on this connection can be read."""


class OtherMaster(Exception):
    """A request of somebody else to the same unit, so that nobody can tell whose answer comes next."""


class OtherUnit(Exception):
    """A reply to the request in the name of another unit."""

    def __init__(self, unit: int) -> None:
        super().__init__(unit)
        self.unit = unit


class Frames(Protocol):
    """How PDUs are packed on one connection.

    Attributes
    ----------
    heard
        Unit whose answer came in the place of the one that was asked, or ``None``.
    noise
        Bytes since the last request that were no answer.
    """

    heard: int | None
    noise: int

    def request(self, unit: int, pdu: bytes) -> bytes:
        """Bytes of a request; what has come in before it is forgotten."""

    def take(self, data: bytes) -> bytes | None:
        """PDU of the reply once it is complete; raises `NotModbus`, `OtherUnit` or `OtherMaster`."""


@lru_cache(maxsize=10_000)
def read_pdu(function: int, address: int, count: int) -> bytes:
    """Request for registers by function 3 or 4, or for bits by function 1 or 2."""
    return struct.pack(">BHH", function, address, count)


def registers_in(reply: bytes, count: int, function: int) -> bytes | None:
    """Registers, or bits as a register each, in the reply to `read_pdu`; ``None`` for another number."""
    size = (count + 7) // 8 if function in READ_BITS else 2 * count
    if len(reply) != 2 + size or reply[1] != size:
        return None
    return _bits(reply[2:], count) if function in READ_BITS else reply[2:]


def _bits(data: bytes, count: int) -> bytes:
    """Bits, the lowest of each byte first, as a register each."""
    return b"".join(((data[k // 8] >> k % 8) & 1).to_bytes(2, "big") for k in range(count))


def write_pdu(function: int, address: int, words: Sequence[int]) -> bytes:
    """Request to write holding registers, one by function 6 and up to 123 by function 16, or a coil by 5."""
    if function == WRITE_COIL:
        return struct.pack(">BHH", function, address, _COIL_ON if words[0] else 0)
    if function == WRITE_ONE:
        return struct.pack(">BHH", function, address, words[0])
    return struct.pack(f">BHHB{len(words)}H", function, address, len(words), 2 * len(words), *words)


class TcpFrames:
    """Frames of Modbus TCP; one that answers an earlier request is passed over.

    Attributes
    ----------
    transaction
        Number of the last request.
    """

    def __init__(self) -> None:
        self.heard: int | None = None
        self.noise = 0
        self.transaction = 0
        self._unit = 0
        self._pending = b""

    def request(self, unit: int, pdu: bytes) -> bytes:
        """Bytes of a request, as `Frames` has it."""
        self.transaction = self.transaction % 0xFFFF + 1
        self._unit, self._pending, self.heard, self.noise = unit, b"", None, 0
        return struct.pack(">HHHB", self.transaction, 0, len(pdu) + 1, unit) + pdu

    def take(self, data: bytes) -> bytes | None:
        """PDU of the reply, as `Frames` has it."""
        pending = self._pending + data if self._pending else data
        while len(pending) >= _HEADER:
            transaction, protocol, length, unit = struct.unpack_from(">HHHB", pending)
            if protocol != 0 or not 2 < length <= _LONGEST_BODY:
                raise NotModbus
            end = _HEADER + length - 1
            if len(pending) < end:
                break
            frame, pending = pending[_HEADER:end], pending[end:]
            # Some devices answer with transaction 0, whatever they were asked with.
            if transaction not in (self.transaction, 0):
                self.noise += end
                continue
            if unit != self._unit and self._unit not in _ANY_UNIT:
                raise OtherUnit(unit)
            return frame
        self._pending = pending
        return None


class SerialFrames:
    """Frames of serial lines, found among whatever else comes in by function code and checksum.

    So noise before a reply does no harm, nor the echo of the request that some converters send.
    """

    def __init__(self) -> None:
        self.heard: int | None = None
        self.noise = 0
        self._unit = 0
        self._function = 0
        self._sent = b""
        self._pending = b""

    def request(self, unit: int, pdu: bytes) -> bytes:
        """Bytes of a request, as `Frames` has it."""
        self._unit, self._function, self._pending, self.heard, self.noise = unit, pdu[0], b"", None, 0
        frame = bytes([unit]) + pdu
        self._sent = frame + checksum(frame)
        return self._sent

    def take(self, data: bytes) -> bytes | None:
        """PDU of the reply, as `Frames` has it; of another unit's answer only its number is kept."""
        self._pending = (self._pending + data)[-_LONGEST_NOISE:]
        for start in range(len(self._pending)):
            frame = self._frame_at(start)
            if frame is None:
                if self._is_of_another_master(start):
                    raise OtherMaster
                continue
            if frame[0] == self._unit:
                return frame[1:]
            self.heard = frame[0]
        self.noise = len(self._pending)
        return None

    def _frame_at(self, start: int) -> bytes | None:
        """Unit and PDU of a whole reply that begins there; ``None`` where there is none."""
        head = self._pending[start : start + 3]
        if len(head) < 3 or head[1] & ~EXCEPTION != self._function:
            return None
        end = start + _reply_bytes(head)
        body, check = self._pending[start:end], self._pending[end : end + _CHECKSUM]
        if len(check) < _CHECKSUM or checksum(body) != check:
            return None
        return None if self._is_echo(start) else body

    def _is_of_another_master(self, start: int) -> bool:
        """Whether a request begins there that would be answered as ours is, and is not ours."""
        found = self._pending[start : start + _READ_REQUEST]
        return (
            self._function in _OF_REGISTERS
            and len(found) == _READ_REQUEST
            and found[:2] == self._sent[:2]
            and found != self._sent
            # The beginning of our answer has its number of bytes there.
            and found[2] != 2 * self._sent[5]
            and checksum(found[:-_CHECKSUM]) == found[-_CHECKSUM:]
        )

    def _is_echo(self, start: int) -> bool:
        """Whether it is our own request; a reply to functions 5 and 6 looks the same, so an echo counts."""
        return self._function not in _ECHOED and self._pending[start:].startswith(self._sent)


def _reply_bytes(head: bytes) -> int:
    """Bytes of unit and PDU of a reply that begins so."""
    if head[1] & EXCEPTION:
        return 3
    return 3 + head[2] if head[1] in READS else 6


def _checksums() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
        table.append(value)
    return table


_TABLE = _checksums()


def checksum(frame: bytes) -> bytes:
    """Cyclic redundancy check of a serial frame (CRC-16/MODBUS), low byte first."""
    value = 0xFFFF
    for byte in frame:
        value = (value >> 8) ^ _TABLE[(value ^ byte) & 0xFF]
    return value.to_bytes(2, "little")
