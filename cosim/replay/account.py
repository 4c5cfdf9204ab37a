"""What a replay shows message by message, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from broker.messages import Message
from cosim.replay.compare import Difference
from cosim.replay.outline import decoded
from cosim.traffic.entries import Entry

_MOST_KEPT = 32


@dataclass(frozen=True)
class Shown:
    """A message that was played: what it was, and how what a service said differs from it, if one did."""

    entry: Entry
    message: Message | None
    is_judged: bool
    difference: str = ""

    @property
    def told(self) -> Message | None:
        """The message, decoded; ``None`` where it is none."""
        return self.message or decoded(self.entry.body)

    @property
    def sender(self) -> str:
        """Who said it; empty where that cannot be read."""
        return self.told.sender if self.told is not None else ""


@dataclass
class Account:
    """What came of a replay.

    Attributes
    ----------
    played, judged
        Messages that were played, and those of them that services said again.
    intervals
        Intervals that were settled again.
    differences
        What came out otherwise, the first first; only the first few are kept.
    differing
        How many there are.
    remarks
        What is missing in the record.
    """

    played: int = 0
    judged: int = 0
    intervals: list[int] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    differing: int = 0
    remarks: list[str] = field(default_factory=list)

    def add(self, difference: Difference) -> None:
        """Take note of something that came out otherwise."""
        self.differing += 1
        if len(self.differences) < _MOST_KEPT:
            self.differences.append(difference)
