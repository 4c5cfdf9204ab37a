"""What an exchange of bids took."""

from __future__ import annotations

from dataclasses import dataclass

BYTES_PER_NUMBER = 8


@dataclass
class Tally:
    """What a negotiation took.

    Attributes
    ----------
    wam, lam
        Rounds of the WAM, and rounds in which members of any LAM were asked.
    messages
        Bids, price announcements and awards, each once per sender.
    numbers
        Numbers that these carried.
    """

    wam: int = 0
    lam: int = 0
    messages: int = 0
    numbers: int = 0

    @property
    def bytes(self) -> int:
        """Payload at eight bytes per number, without headers."""
        return BYTES_PER_NUMBER * self.numbers

    def count(self, messages: int, numbers_each: int) -> None:
        """Add messages of one kind."""
        self.messages += messages
        self.numbers += messages * numbers_each
