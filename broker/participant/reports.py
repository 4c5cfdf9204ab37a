"""What a service has to say of itself: counts, flags, and refusals, of which a flood is given as a number."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

MOST_REFUSALS = 20
"""Refusals of one interval that are reported one by one."""

LONGEST_TEXT = 500
"""Characters of a flag or reason."""


def shortened(text: str) -> str:
    """A text that fits into a message."""
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 3]}..."


@dataclass
class Counts:
    """Messages of one service since its start."""

    sent: int = 0
    received: int = 0
    gaps: int = 0
    duplicates: int = 0
    late: int = 0
    rejected: int = 0
    repeated: int = 0
    quarantined: int = 0


class Allowance:
    """Room for so many of a kind; how many came beyond it."""

    def __init__(self, most: int) -> None:
        self._left = most
        self.rest = 0

    def has_room(self, count: int = 1) -> bool:
        """Take one that stands for ``count``, if there is room for it."""
        if self._left > 0:
            self._left -= 1
            return True
        self.rest += count
        return False


class Flags:
    """What went wrong since the last report.

    Parameters
    ----------
    most_bytes
        Room for them in a report; what is beyond is given as a number.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._texts: list[str] = []
        self._bytes = 0
        self._beyond = 0

    def __bool__(self) -> bool:
        """Whether there is any."""
        return self._bytes > 0

    def add(self, text: str) -> bool:
        """Remember one; whether there was room for it."""
        text = shortened(text)
        self._bytes += len(msgspec.json.encode(text)) + 1
        has_room = self._bytes <= self._most_bytes
        if has_room:
            self._texts.append(text)
        else:
            self._beyond += 1
        return has_room

    def take(self) -> list[str]:
        """All of them, which are then forgotten."""
        texts = self._texts
        if self._beyond:
            texts.append(f"{self._beyond} more flags")
        self._texts, self._bytes, self._beyond = [], 0, 0
        return texts


class Refusals:
    """Which refusals of an interval are reported one by one, and how many are left."""

    def __init__(self) -> None:
        self._tick = -1
        self._count = 0

    def is_reported(self, tick: int) -> bool:
        """Count a refusal of a tick; whether it is to be reported by itself."""
        if tick > self._tick:
            self._tick, self._count = tick, 0
        self._count += 1
        return self._count <= MOST_REFUSALS

    def take_rest(self) -> int:
        """How many were not reported, since this was asked last."""
        rest = max(0, self._count - MOST_REFUSALS)
        self._count -= rest
        return rest
