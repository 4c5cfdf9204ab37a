"""Many small messages in one packet: those that a service sends at once on neighbouring topics.

A packet costs a client and its broker far more than the few hundred bytes in it. So messages whose topics
differ in their last level alone travel together, on that topic with ``~`` for the last level, which no name
may hold: who listens to all of them hears the bundle, too. Each message in it keeps topic and body, so that
no service, check or record knows how it came. A bundle has a head of 8 bytes that no JSON begins with; each
message in it has the lengths of its level and its body, then both.
"""

import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator

LEVEL = "~"
BUNDLE_BYTES = 256 * 2**10
"""Most bytes of the messages of a bundle; well below what brokers take in one packet."""

_MARK = b"\x00many\x00\x00\x01"
_LENGTHS = struct.Struct(">HI")


def bundled(messages: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """What is published for many messages: bundles of those on neighbouring topics, in their order.

    Parameters
    ----------
    messages
        Topic and body of each.

    Yields
    ------
    tuple
        Topic and body of each bundle, and of each message that is too large for one.
    """
    open_: dict[str, list[bytes]] = defaultdict(lambda: [_MARK])
    sizes: dict[str, int] = defaultdict(int)
    for topic, payload in messages:
        head, _, level = topic.rpartition("/")
        name = level.encode()
        size = _LENGTHS.size + len(name) + len(payload)
        if sizes[head] + size > BUNDLE_BYTES and head in open_:
            yield f"{head}/{LEVEL}", b"".join(open_.pop(head))
            del sizes[head]
        if size > BUNDLE_BYTES:
            yield topic, payload
            continue
        open_[head] += (_LENGTHS.pack(len(name), len(payload)), name, payload)
        sizes[head] += size
    for head, pieces in open_.items():
        yield f"{head}/{LEVEL}", b"".join(pieces)


def unbundled(topic: str, payload: bytes) -> Iterator[tuple[str, bytes]]:
    """Messages that a packet brings: those of a bundle, or itself.

    What is no whole bundle is handed on as it is, for others to refuse.
    """
    messages = _messages_in(topic, payload) if payload.startswith(_MARK) else None
    if messages is None:
        yield topic, payload
    else:
        yield from messages


def _messages_in(topic: str, payload: bytes) -> list[tuple[str, bytes]] | None:
    """Messages of a bundle on its topic; ``None`` where it is none."""
    head, _, level = topic.rpartition("/")
    # A long one could hold millions of messages of a few bytes.
    if level != LEVEL or len(payload) > len(_MARK) + BUNDLE_BYTES:
        return None
    messages, at, end = [], len(_MARK), len(payload)
    try:
        while at < end:
            name_bytes, body_bytes = _LENGTHS.unpack_from(payload, at)
            begin = at + _LENGTHS.size + name_bytes
            name = payload[at + _LENGTHS.size : begin].decode()
            at = begin + body_bytes
            # A level of several would be another topic, on which somebody else may write.
            if at > end or "/" in name or len(name) == 0:
                return None
            messages.append((f"{head}/{name}", payload[begin:at]))
    except (struct.error, UnicodeDecodeError):
        return None
    return messages
