"""What an interval's exchange of bids took, as outcomes report it."""

from __future__ import annotations

from broker.messages import Exchange
from market.rounds import Tally


def exchange_of(tally: Tally, rounds: int) -> Exchange:
    """A tally of one layer's messages, as a part of that layer's outcome message."""
    return Exchange(rounds=rounds, messages=tally.messages, bytes=tally.bytes)
