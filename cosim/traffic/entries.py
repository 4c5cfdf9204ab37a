"""What stands in a record of bus traffic: messages, and marks of what happened to the recording itself."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import msgspec

from sharegrid.errors import SharegridError


class TrafficError(SharegridError):
    """A record of bus traffic that cannot be written or read."""


class EntryKind(IntEnum):
    """What an entry is."""

    MESSAGE = 0
    RETAINED = 1
    """A message that the broker had kept from before."""
    SESSION = 2
    """A process began to record: what it was is a `Session`."""
    GAP = 3
    """Messages may be missing here; the body says why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One message or mark.

    Attributes
    ----------
    at_s
        When it came [s since epoch].
    kind
        What it is.
    topic, body
        Of a message as it came; the topic of a mark is empty.
    """

    at_s: float
    kind: EntryKind
    topic: str
    body: bytes


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A process that recorded: what it was, and where its run stood.

    Attributes
    ----------
    version
        Of sharegrid.
    run, world
        Id of the run, and digest of its world.
    next_tick
        The interval with which it began or went on.
    epoch
        The epoch that had begun last.
    snapshots
        What every service remembered then, as the ledger has it.
    """

    version: str
    run: str
    world: str
    next_tick: int
    epoch: int = 0
    snapshots: dict[str, bytes] = {}


_HEAD = struct.Struct("<dBHI")


def packed(entry: Entry) -> bytes:
    """Bytes of an entry in a block."""
    topic = entry.topic.encode()[:0xFFFF]
    return _HEAD.pack(entry.at_s, entry.kind, len(topic), len(entry.body)) + topic + entry.body


def unpacked(block: bytes) -> Iterator[Entry]:
    """Entries of a block; raises ``ValueError`` where it holds something else."""
    at, end = 0, len(block)
    try:
        while at < end:
            at_s, kind, topic_bytes, body_bytes = _HEAD.unpack_from(block, at)
            begin = at + _HEAD.size + topic_bytes
            topic = block[at + _HEAD.size : begin].decode()
            at = begin + body_bytes
            if at > end:
                raise ValueError("an entry is cut off")
            yield Entry(at_s, EntryKind(kind), topic, block[begin:at])
    except (struct.error, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from None


def session_of(entry: Entry) -> Session:
    """What a session's mark says; raises ``TrafficError`` where it says nothing that can be read."""
    try:
        return msgspec.msgpack.decode(entry.body, type=Session)
    except msgspec.DecodeError as error:
        raise TrafficError(f"a session of the record cannot be read: {error}") from None
