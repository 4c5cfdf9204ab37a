"""Several requests under way at once on one Modbus TCP connection, and the replies by transaction number.

The Messaging on TCP/IP Implementation Guide V1.0b lets a client have several transactions open where the
server takes them. Whatever does not come in plainly is left open here, to be asked for by itself.
"""

import struct
from collections.abc import Sequence

from devices.client.frames import EXCEPTION, NotModbus

_HEADER = struct.Struct(">HHHB")
_UNIT_BYTES = 1
_LONGEST_BODY = 254
_MOST_NUMBERS = 0xFFFF

Asked = tuple[int, bytes]
"""Unit id and PDU of a request."""


class Batch:
    """Requests that go out together.

    Parameters
    ----------
    asked
        Unit and PDU of each, at most some hundred.
    last
        Transaction number before the first.

    Attributes
    ----------
    replies
        PDU of each reply; ``None`` where none came yet, another unit answered, or a request was refused.
    """

    def __init__(self, asked: Sequence[Asked], last: int) -> None:
        self.replies: list[bytes | None] = [None] * len(asked)
        self._asked = asked
        self._last = last
        self._open = {(last + k) % _MOST_NUMBERS + 1: k for k in range(len(asked))}
        self._pending = b""

    @property
    def last(self) -> int:
        """Transaction number of the last request."""
        return (self._last + len(self._asked) - 1) % _MOST_NUMBERS + 1

    @property
    def is_over(self) -> bool:
        """Whether something came in for every request."""
        return not self._open

    def request(self) -> bytes:
        """Bytes of all requests."""
        parts: list[bytes] = []
        for number, (unit, pdu) in zip(self._open, self._asked, strict=True):
            parts += (_HEADER.pack(number, 0, len(pdu) + _UNIT_BYTES, unit), pdu)
        return b"".join(parts)

    def take(self, data: bytes) -> None:
        """Take bytes in; raises `NotModbus` where nothing behind them can be read."""
        pending = self._pending + data if self._pending else data
        at, end = 0, len(pending)
        while end - at >= _HEADER.size:
            number, protocol, length, unit = _HEADER.unpack_from(pending, at)
            if protocol != 0 or not 2 < length <= _LONGEST_BODY:
                raise NotModbus
            begin, after = at + _HEADER.size, at + _HEADER.size + length - _UNIT_BYTES
            if after > end:
                break
            at = after
            # What answers no open request is late, and nobody waits for it.
            place = self._open.pop(number, None)
            if place is None:
                continue
            asked_unit, pdu = self._asked[place]
            if unit == asked_unit and pending[begin] == pdu[0] and not pending[begin] & EXCEPTION:
                self.replies[place] = pending[begin:after]
        self._pending = pending[at:]
