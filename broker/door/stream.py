"""Numbers of one topic's messages: which are new, which came before, and which are used twice.

Numbers and ticks of a sender rise together. What was skipped is kept as ranges, so that a far number costs
no more than a near one, and digests of the last bodies tell a repeated message from another one that has its
number.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto

JUMP = 4096
"""Most numbers that a sender uses on one topic in one interval."""

RANGES = 64
"""Most ranges of missing numbers that are kept."""

REMEMBERED = 32
"""Most bodies whose digests are kept."""


class Arrival(Enum):
    """What a number says of its message."""

    NEW = auto()
    ANEW = auto()
    """New: its sender was started anew and numbers from the beginning."""
    LATE = auto()
    """It had been skipped, and comes now."""
    DUPLICATE = auto()
    CONFLICT = auto()
    """Its number stood on another message before."""
    JUMP = auto()
    """Its number is farther ahead than a sender can come."""


@dataclass
class Stream:
    """Numbers that one topic has brought.

    Attributes
    ----------
    expected
        The next number.
    tick, epoch
        Latest tick, and latest epoch, in which ticks come again.
    skipped
        Ranges of numbers that are missing, each from its first to behind its last.
    """

    expected: int = 0
    tick: int = -1
    epoch: int = 0
    skipped: deque[range] = field(default_factory=lambda: deque(maxlen=RANGES))
    _seen: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def take(self, seq: int, tick: int, payload: bytes, epoch: int = 0) -> tuple[Arrival, int]:
        """Take a message in: what its number says, and how many numbers it skips."""
        if seq == self.expected and epoch == self.epoch:
            # As nearly all are.
            self.expected = seq + 1
            self.tick = max(self.tick, tick)
            self._seen.append((seq, hash(payload)))
            return Arrival.NEW, 0
        if epoch < self.epoch:
            return Arrival.DUPLICATE, 0
        # In a new epoch ticks come again, and a sender may have been started anew.
        latest = self.tick if epoch == self.epoch else -1
        ticks = max(0, tick - latest) + 1
        if seq - self.expected > JUMP * ticks:
            return Arrival.JUMP, 0
        if epoch > self.epoch:
            # Nobody misses what belonged to an earlier one.
            self.epoch, self.tick, self.expected = epoch, latest, seq
            self._seen.clear()
            self.skipped.clear()
        # Of a process, and so no one outside can find another body with the same.
        digest = hash(payload)
        if seq < self.expected and tick <= self.tick:
            return self._again(seq, tick, digest), 0
        arrival = Arrival.NEW
        if seq < self.expected:
            arrival, self.expected = Arrival.ANEW, seq
            self._seen.clear()
            # Whatever was said before: what it sent first may still be on its way.
            self.skipped = deque([range(seq)] if seq else [], maxlen=RANGES)
        skips = seq - self.expected
        if skips:
            self.skipped.append(range(self.expected, seq))
        self.expected, self.tick = seq + 1, max(self.tick, tick)
        self._seen.append((seq, digest))
        return arrival, skips

    def _again(self, seq: int, tick: int, digest: int) -> Arrival:
        """What a number below the expected one says."""
        for place, gap in enumerate(self.skipped):
            if seq in gap:
                del self.skipped[place]
                for part in (range(gap.start, seq), range(seq + 1, gap.stop)):
                    if part:
                        self.skipped.append(part)
                self._seen.append((seq, digest))
                return Arrival.LATE
        known = dict(self._seen).get(seq)
        is_old = known is None and tick < self.tick
        return Arrival.DUPLICATE if known == digest or is_old else Arrival.CONFLICT
