"""Bidding in LAMs of a pool by rounds: members answer local prices and charges with what flows to them.

In the bid step members send the range of what can flow at any price. In the clear step the WAM announces
prices, charges and flows; the host asks its members at them, and tells what it believes of each one then.
"""

from __future__ import annotations

import numpy as np

from broker.messages import LamBeliefs, Step, WamOutcome, WamPrice, columns
from broker.participant.node import Node
from market.model.arrays import Ints
from market.model.curves import respond, shift
from market.participants.gates import GateClosed, bidding_gate
from market.participants.lam.bidding import LamAllocation, accepted_net_kw
from market.participants.lam.by_rounds import LamBiddingByRounds
from market.participants.lam.participants import Participants
from market.participants.roster import Roster, Rules
from market.participants.tariffs import tariff_price
from market.rounds import FlowBeliefs, aside_of
from market.rounds.lam_level import SAME_KW
from market.solver.lam_members import LamMembers, lam_members, members_as_bid


class LamPoolRounds(LamBiddingByRounds):
    """`market.participants.lam.bidding.LamBidding` of a pool, by bids in rounds."""

    beliefs: FlowBeliefs

    def __init__(self, node: Node, roster: Roster, rules: Rules, participants: Participants) -> None:
        super().__init__(node, roster, rules, participants)
        self._slope = rules.case.slope[participants.lams]
        self._aside, self._last_charge = np.zeros((2, participants.lams.size))

    async def gather_bids(self, step: Step) -> None:
        """Gather members' ranges until the gate, and tell the WAM of them."""
        await self.rounds.gather(step)
        group, rounds = self.participants.group, self.rounds
        middle = self.rules.terms(step.tick).tariff.middle
        start = np.where(np.isnan(self.local_price), middle, self.local_price)[group]
        self.beliefs = FlowBeliefs(
            self.rules.bidding, self._slope[group], rounds.low_kw, rounds.high_kw, start
        )
        self._last_charge = np.full(self.participants.lams.size, np.nan)
        await self._tell(step, 0, np.zeros(0, dtype=np.intp), rounds.missing)

    async def answer_wam(self, step: Step) -> None:
        """Ask members at each price that the WAM announces, and tell what is believed of them then."""
        while True:
            announced = await self.rounds.inbox.wam_price()
            if announced.tick != step.tick:
                continue
            try:
                at_odds = await self._ask(step, announced)
            except GateClosed:
                continue  # The WAM has no more time either, and says so.
            await self._tell(step, announced.round, at_odds, self.rounds.newly_silent())

    async def _ask(self, step: Step, announced: WamPrice) -> Ints:
        """Ask all members at what the WAM announced; LAMs whose members would not take what was cleared."""
        participants, tariff = self.participants, self.rules.terms(step.tick).tariff
        lams, group, K = participants.lams, participants.group, self.rules.case.wam_slope[participants.lams]
        price, charge = np.array(announced.price)[lams], np.array(announced.charge)[lams]
        charged = members_as_bid(self.rules.case, lams, self.beliefs.curves, group, tariff).charged(charge)
        if K.any():
            price = price + K * respond(shift(charged.total, K), price)
        cleared_kw = charged.at(price, np.array(announced.flow_kw)[lams]).flow_kw
        self._aside = aside_of(self._aside, charge - self._last_charge)
        self._last_charge = charge
        asked = charge + self._aside
        silent = await self.rounds.ask(step, bidding_gate(step), np.arange(lams.size), price, asked)
        rounds = self.rounds
        gone, who = np.flatnonzero(silent), np.flatnonzero(rounds.is_bidding)
        self.beliefs.forget(gone, rounds.low_kw[gone], rounds.high_kw[gone])
        self.beliefs.learn(
            who, price[group][who], asked[group][who], rounds.kw[who], rounds.slope[who], tariff
        )
        agree = self.beliefs.agree(cleared_kw, price[group], charge[group], tariff, SAME_KW)
        return np.unique(group[~agree])

    async def _tell(self, step: Step, round_: int, at_odds: Ints, fallbacks: list[str]) -> None:
        """Tell the WAM what is believed of all members."""
        participants, curves = self.participants, self.beliefs.curves
        self.rounds.tally.messages += 1
        self.rounds.tally.numbers += 2 * curves.price.size
        await self.node.publish(
            self.node.topics.lam_beliefs(self.node.name),
            LamBeliefs,
            step.tick,
            round=round_,
            prosumer=columns.pack_index(participants.members),
            count=columns.pack_index(np.diff(curves.start)),
            price=columns.pack(curves.price),
            kw=columns.pack(curves.kw),
            lam=columns.pack_index(participants.lams),
            reactive_kvar=columns.pack(participants.sum_by_lam(self.rounds.reactive_kvar)),
            at_odds=columns.pack_index(participants.lams[at_odds]),
            fallbacks=fallbacks,
        )

    async def allocate(self, step: Step, outcome: WamOutcome | None) -> LamAllocation:
        """Divide what was cleared by what is believed of the members."""
        participants, tariff = self.participants, self.rules.terms(step.tick).tariff
        lams = participants.lams
        members: LamMembers = lam_members(
            self.rules.case, lams, self.beliefs.curves, participants.group, tariff
        )
        # An award each ends the rounds.
        self.rounds.tally.count(participants.members.size, 2)
        charge = np.zeros(lams.size)
        if outcome is None:
            net_kw, local = members.alone()
            wam_price = tariff_price(net_kw, tariff)
        else:
            wam_price = np.array(outcome.price)[lams]
            if outcome.charge:
                charge = np.array(outcome.charge)[lams]
            net_kw = accepted_net_kw(self.node, self.roster, participants, outcome, *members.range_kw(charge))
            local = members.divide(
                net_kw, wam_price, charge, np.array(outcome.flow_kw or outcome.net_kw)[lams]
            )
        self.local_price = local.price.copy()
        return LamAllocation(
            net_kw, wam_price, local.price, local.trade_kw, local.flow_kw - local.trade_kw, charge
        )
