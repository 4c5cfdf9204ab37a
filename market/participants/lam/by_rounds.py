"""What forms of bidding in a LAM by rounds have in common: whom they ask, and where the next rounds begin."""

from __future__ import annotations

import numpy as np

from broker.messages import Exchange
from broker.participant.node import Node
from broker.snapshot import Values, array_of
from market.participants.exchange import exchange_of
from market.participants.lam.member_rounds import MemberRounds
from market.participants.lam.participants import Participants
from market.participants.roster import Roster, Rules


class LamBiddingByRounds:
    """The part of `market.participants.lam.bidding.LamBidding` that is the same for every form of rounds.

    Attributes
    ----------
    rounds
        The members, as they are asked.
    local_price
        Local prices of the last interval, ``(M,)`` [$/kWh]; NaN before the first.
    """

    def __init__(self, node: Node, roster: Roster, rules: Rules, participants: Participants) -> None:
        self.node = node
        self.roster = roster
        self.rules = rules
        self.participants = participants
        self.rounds = MemberRounds(node, roster, rules, participants)
        self.local_price = np.full(participants.lams.size, np.nan)

    @property
    def missing(self) -> list[str]:
        """Members who sent no range, or fell silent in a round."""
        return self.rounds.missing

    @property
    def refused(self) -> list[str]:
        """Members whose range or bid was refused."""
        return self.rounds.inbox.refused

    def snapshot(self) -> Values:
        """Local prices, at which the next interval's rounds begin."""
        return {"local_price": self.local_price}

    def restore(self, values: Values) -> None:
        """Let the next rounds begin at these prices; raises ``ValueError`` where they are another's."""
        self.local_price = array_of(values, "local_price", self.local_price)
        self.rounds.inbox.begin_anew()

    def exchange(self) -> Exchange:
        """Rounds with the members and what they carried."""
        return exchange_of(self.rounds.tally, self.rounds.tally.lam)
