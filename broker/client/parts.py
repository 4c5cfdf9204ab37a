"""Large messages in parts: what goes over a network in one packet is bounded, whatever a message holds.

Brokers refuse packets beyond a size of their own by dropping the connection, so that the message would be
lost again and again. Messages beyond ``PART_BYTES`` therefore travel as parts on their own topic, each with a
head of 24 bytes: a mark that no JSON begins with, the message's id, the part's number and how many there are.
"""

import secrets
import struct
from collections import OrderedDict, deque
from collections.abc import Iterator

from broker.errors import MessageTooLarge

LARGEST_BYTES = 64 * 2**20
"""No message is larger, however large the run."""

PART_BYTES = 512 * 2**10
"""Most bytes of one packet's content; common brokers take a million."""

_HEAD = struct.Struct(">8s8sII")
_MARK = b"\x00part\x00\x00\x01"
_REMEMBERED = 64
# What a part takes beside its content and topic, so that many without content do not count as nothing.
_HOLDING_BYTES = 512


def check_size(topic: str, payload: bytes, *, retain: bool) -> None:
    """Refuse to send a message that is too large; raises `MessageTooLarge`, which names topic and size."""
    # Of a retained message in parts a broker would keep the last part.
    most = PART_BYTES if retain else LARGEST_BYTES
    if len(payload) > most:
        raise MessageTooLarge(
            f"a message on {topic} has {len(payload):,} bytes where at most {most:,} may be sent; "
            "let the run have fewer LAMs, prosumers or limits"
        )


def packets(payload: bytes) -> Iterator[bytes]:
    """What is published for a message: itself, or its parts in order."""
    if len(payload) <= PART_BYTES and not payload.startswith(_MARK):
        yield payload
        return
    count, number = -(-len(payload) // PART_BYTES), secrets.token_bytes(8)
    for place in range(count):
        piece = payload[place * PART_BYTES : (place + 1) * PART_BYTES]
        yield _HEAD.pack(_MARK, number, place, count) + piece


class Assembler:
    """Puts the parts of messages together again; what it holds is bounded, the oldest is given up first."""

    def __init__(self) -> None:
        self._open: OrderedDict[tuple[str, bytes], dict[int, bytes]] = OrderedDict()
        self._done: deque[tuple[str, bytes]] = deque(maxlen=_REMEMBERED)
        self._held_bytes = 0

    def take(self, topic: str, packet: bytes) -> bytes | None:
        """Whole message that a packet completes; ``None`` where parts are missing or it came before.

        What is no part of a message that may be sent is handed on as it is, for others to refuse.
        """
        if not packet.startswith(_MARK) or len(packet) < _HEAD.size:
            return packet
        _, number, place, count = _HEAD.unpack_from(packet)
        piece = packet[_HEAD.size :]
        if not place < count <= LARGEST_BYTES // PART_BYTES or len(piece) > PART_BYTES:
            return packet
        key = topic, number
        if key in self._done:
            return None
        parts = self._open.setdefault(key, {})
        if place not in parts:
            parts[place] = piece
            self._held_bytes += _held(topic, piece)
        if len(parts) == count:
            self._drop(key)
            self._done.append(key)
            return b"".join(parts[each] for each in range(count))
        while self._held_bytes > LARGEST_BYTES:
            self._drop(next(iter(self._open)))
        return None

    def _drop(self, key: tuple[str, bytes]) -> None:
        self._held_bytes -= sum(_held(key[0], piece) for piece in self._open.pop(key).values())


def _held(topic: str, piece: bytes) -> int:
    """Memory that a part takes [bytes]."""
    return _HOLDING_BYTES + len(topic) + len(piece)
