"""Members of a LAM host in rounds of bidding: their ranges, and what they answer to announced prices.

A member that does not answer in a round counts as inflexible from then on in this interval; all others go on.
"""

from __future__ import annotations

import numpy as np

from broker.messages import LamPrice, Step, columns
from broker.participant.node import Node
from market.model.arrays import Bools, Floats, Ints
from market.participants.gates import MEMBERS_ROUND, GateClosed, late_gate, round_gate
from market.participants.lam.participants import Participants
from market.participants.lam.round_bids import RoundRequest
from market.participants.lam.round_inbox import RoundInbox
from market.participants.roster import Roster, Rules, first_of
from market.rounds import Tally


class MemberRounds:
    """Asks members, and keeps what they said last.

    Attributes
    ----------
    low_kw, high_kw
        Range of each member's flow in this interval, ``(n,)`` [kW].
    kw, slope
        Each member's last answer, ``(n,)`` [kW, kW per $/kWh].
    moved_kw
        By how much it parts from the one before, 0 where there is none, ``(n,)`` [kW].
    reactive_kvar
        What each expects, ``(n,)`` [kvar].
    is_bidding
        Members who answer prices; the others are inflexible, ``(n,)``.
    tally
        What the interval's rounds took.
    """

    def __init__(self, node: Node, roster: Roster, rules: Rules, participants: Participants) -> None:
        self.node = node
        self.participants = participants
        self.inbox = RoundInbox(node, roster, participants)
        self.with_slope = rules.bidding == "slope"
        n = participants.members.size
        self.low_kw, self.high_kw, self.kw, self.slope, self.reactive_kvar = np.zeros((5, n))
        self.moved_kw, self._is_heard = np.zeros(n), np.zeros(n, dtype=bool)
        self.is_bidding = np.zeros(n, dtype=bool)
        self.line_slope = rules.case.rule.line_slope(rules.case)[participants.lams]
        self.tally = Tally()
        self._newly_silent: list[str] = []

    @property
    def numbers(self) -> int:
        """Numbers in a member's bid."""
        return 2 if self.with_slope else 1

    @property
    def steepness(self) -> Floats:
        """How steeply each member's answers fall, as far as bids tell, in a unit of its LAM, ``(n,)``."""
        return self.slope if self.with_slope else self.moved_kw

    @property
    def missing(self) -> list[str]:
        """Members who sent no range, or fell silent in a round."""
        return self.participants.names_where(~self.is_bidding)

    async def gather(self, step: Step) -> None:
        """Begin an interval, in which the members' ranges and last powers are all that is known of them."""
        participants = self.participants
        ranges = await self.inbox.ranges(step.tick, late_gate(step))
        self.low_kw, self.high_kw = participants.last_kw.copy(), participants.last_kw.copy()
        self.reactive_kvar = participants.last_kvar.copy()
        self.is_bidding = np.zeros(participants.members.size, dtype=bool)
        for each in ranges:
            mine, places = participants.places_of(each.prosumer)
            mine, places = mine[each.valid[mine]], places[each.valid[mine]]
            self.low_kw[places], self.high_kw[places] = each.low_kw[mine], each.high_kw[mine]
            self.reactive_kvar[places] = each.reactive_kvar[mine]
            self.is_bidding[places] = True
        if self.missing:
            self.node.flag(f"{len(self.missing)} bids missing at the gate of {self.node.name}")
        self._newly_silent, self.tally = [], Tally(numbers=2 * participants.members.size)
        self.kw = np.clip(participants.last_kw, self.low_kw, self.high_kw)
        self.slope, self.moved_kw = np.zeros((2, participants.members.size))
        self._is_heard = np.zeros(participants.members.size, dtype=bool)

    async def ask(
        self, step: Step, until: float, lam: Ints, price: Floats, charge: Floats | None = None
    ) -> Bools:
        """Announce local prices to the members of some LAMs, and take in their answers.

        Parameters
        ----------
        until
            Wall time at which the round closes in any case.
        lam, price, charge
            Which of the host's LAMs ask, their local prices, and the charges for what flows to their members
            where these may deal with the utility, ``(m,)`` each.

        Returns
        -------
        Bools
            Members who fell silent, and are inflexible now, ``(n,)``.

        Raises
        ------
        GateClosed
            There is no time for an answer.
        """
        participants, node = self.participants, self.node
        gate, is_full = round_gate(step, MEMBERS_ROUND, until)
        self.tally.lam += 1
        price_of_lam = np.full(participants.lams.size, np.nan)
        price_of_lam[lam] = price
        of_member = price_of_lam[participants.group]
        asked = self.is_bidding & np.isfinite(of_member)
        request = RoundRequest(
            price=np.where(asked, of_member, np.nan),
            sensitivity=self.line_slope[participants.group],
            low_kw=self.low_kw,
            high_kw=self.high_kw,
            with_slope=self.with_slope,
        )
        self.inbox.expect(step.tick, self.tally.lam, request)
        await node.publish(
            node.topics.lam_price(node.name),
            LamPrice,
            step.tick,
            round=self.tally.lam,
            lam=columns.pack_index(participants.lams[lam]),
            price=columns.pack(price),
            charge=b"" if charge is None else columns.pack(charge),
        )
        answered = np.zeros(asked.size, dtype=bool)
        for bid in await self.inbox.answers(gate):
            moved_kw = np.abs(bid.kw - self.kw[bid.place])
            self.moved_kw[bid.place] = np.where(self._is_heard[bid.place], moved_kw, 0.0)
            self.kw[bid.place], self.slope[bid.place] = bid.kw, bid.slope
            self._is_heard[bid.place] = True
            answered[bid.place] = True
        silent: Bools = asked & ~answered
        if silent.any() and not is_full:
            raise GateClosed
        self.tally.count(lam.size, 1)
        self.tally.count(int(asked.sum()), self.numbers)
        if silent.any():
            self._take_as_inflexible(silent)
        return silent

    def newly_silent(self) -> list[str]:
        """Names of members who fell silent since they were told last."""
        names, self._newly_silent = self._newly_silent, []
        return names

    def _take_as_inflexible(self, silent: Bools) -> None:
        """Fix members at their last metered power."""
        self.is_bidding &= ~silent
        for values in (self.low_kw, self.high_kw, self.kw):
            values[silent] = self.participants.last_kw[silent]
        self.slope[silent] = self.moved_kw[silent] = 0.0
        names = self.participants.names_where(silent)
        self._newly_silent += names
        self.node.flag(
            f"{len(names)} bids missing in round {self.tally.lam} of {self.node.name}: {first_of(names)}"
        )
