"""Bidding in a LAM by rounds: members answer announced prices, by plain or slope bids.

In the bid step members send the range of what they could trade at any price. In the clear step the WAM asks,
and the host asks its members in turn until it knows what its LAMs would buy. A member that does not answer in
a round counts as inflexible from then on in this interval; all others go on.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import TypeVar

import numpy as np

from broker.messages import LamOpening, LamRoundBid, Step, WamOutcome, WamPrice, columns
from market.errors import NotConverged
from market.model.arrays import Floats
from market.participants.gates import GateClosed, bidding_gate, final_gate
from market.participants.lam.bidding import LamAllocation, accepted_net_kw
from market.participants.lam.by_rounds import LamBiddingByRounds
from market.participants.roster import Terms
from market.participants.tariffs import tariff_price
from market.rounds import Answers, LamLevel, Question, drive_async, estimate_for, share_rest

R = TypeVar("R")


class LamRoundBidding(LamBiddingByRounds):
    """`market.participants.lam.bidding.LamBidding` by bids in rounds."""

    async def gather_bids(self, step: Step) -> None:
        """Gather members' ranges until the gate, and send their sums to the WAM."""
        participants, node, rounds = self.participants, self.node, self.rounds
        await rounds.gather(step)
        self._begin(step.tick)
        await node.publish(
            node.topics.lam_opening(node.name),
            LamOpening,
            step.tick,
            lam=columns.pack_index(participants.lams),
            low_kw=columns.pack(participants.sum_by_lam(rounds.low_kw)),
            high_kw=columns.pack(participants.sum_by_lam(rounds.high_kw)),
            reactive_kvar=columns.pack(participants.sum_by_lam(rounds.reactive_kvar)),
            fallbacks=self.missing,
        )

    def _begin(self, tick: int) -> None:
        """Begin an interval, in which the members' ranges and last prices are all that is known of them."""
        case, participants, rounds = self.rules.case, self.participants, self.rounds
        members = np.bincount(participants.group, minlength=participants.lams.size)
        start = np.where(
            np.isnan(self.local_price), self.rules.terms(tick).grid.middle_price, self.local_price
        )
        estimate = estimate_for(
            self.rules.bidding,
            rounds.line_slope * members,
            participants.sum_by_lam(rounds.low_kw),
            participants.sum_by_lam(rounds.high_kw),
            start,
        )
        self.level = LamLevel(estimate, case.wam_slope[participants.lams], case.wam_fee[participants.lams])

    async def answer_wam(self, step: Step) -> None:
        """Bid at each price that the WAM announces, as soon as the members have answered for it."""
        while True:
            announced = await self.rounds.inbox.wam_price()
            if announced.tick == step.tick:
                await self._bid_at_prices(step, announced)

    async def _bid_at_prices(self, step: Step, announced: WamPrice) -> None:
        case, participants, node = self.rules.case, self.participants, self.node
        wam_price = np.array(announced.price)[participants.lams]
        try:
            answers = await drive_async(
                self.level.find_bids(wam_price), partial(self._ask, step, bidding_gate(step))
            )
        except GateClosed:
            return  # The WAM has no more time either, and says so.
        except NotConverged as problem:
            node.flag(f"{node.name} did not agree with its members: {problem}")
            return
        rounds = self.rounds
        newly_silent = rounds.newly_silent()
        rounds.tally.count(participants.lams.size, rounds.numbers)
        await node.publish(
            node.topics.lam_round_bid(node.name),
            LamRoundBid,
            step.tick,
            round=announced.round,
            lam=columns.pack_index(participants.lams),
            intercept_kw=columns.pack(answers.kw + case.wam_sensitivity * wam_price),
            slope=columns.pack(answers.slope if rounds.with_slope else []),
            low_kw=columns.pack(participants.sum_by_lam(rounds.low_kw) if newly_silent else []),
            high_kw=columns.pack(participants.sum_by_lam(rounds.high_kw) if newly_silent else []),
            fallbacks=newly_silent,
        )

    async def _ask(self, step: Step, until: float, question: Question) -> Answers:
        """Announce local prices to the members of some LAMs, and add up their answers by LAM."""
        participants, rounds = self.participants, self.rounds
        silent = await rounds.ask(step, until, question.lam, question.price)
        if silent.any():
            # What was learnt of their LAMs is forgotten.
            lams = np.unique(participants.group[silent])
            low_kw, high_kw = (
                participants.sum_by_lam(each)[lams] for each in (rounds.low_kw, rounds.high_kw)
            )
            self.level.begin_anew(lams, low_kw, high_kw)
        return Answers(
            participants.sum_by_lam(rounds.kw)[question.lam],
            participants.sum_by_lam(rounds.slope)[question.lam],
        )

    async def allocate(self, step: Step, outcome: WamOutcome | None) -> LamAllocation:
        """Ask members for the local prices at which they trade what was cleared.

        What is then still missing is shared (`market.rounds.rest`).
        """
        if outcome is None:
            net_kw, wam_price = await self._alone(step, self.rules.terms(step.tick))
        else:
            net_kw, wam_price = await self._cleared(step, outcome)
        # An award each ends the rounds.
        rounds = self.rounds
        rounds.tally.count(self.participants.members.size, 2)
        self.local_price = np.where(np.isnan(self.level.record.price), wam_price, self.level.record.price)
        trade_kw = share_rest(
            rounds.kw, rounds.steepness, rounds.low_kw, rounds.high_kw, self.participants.group, net_kw
        )
        nothing = np.zeros(trade_kw.size)
        return LamAllocation(
            net_kw, wam_price, self.local_price.copy(), trade_kw, nothing, np.zeros(net_kw.size)
        )

    async def _cleared(self, step: Step, outcome: WamOutcome) -> tuple[Floats, Floats]:
        """Net purchases ``(M,)`` [kW] and their prices [$/kWh] as cleared, once the members were asked."""
        participants, wam_price = self.participants, np.array(outcome.price)[self.participants.lams]
        low_kw = participants.sum_by_lam(self.rounds.low_kw)
        high_kw = participants.sum_by_lam(self.rounds.high_kw)
        net_kw = accepted_net_kw(self.node, self.roster, participants, outcome, low_kw, high_kw)
        await self._ask_to_the_end(step, self.level.find_prices(net_kw, wam_price))
        return net_kw, wam_price

    async def _alone(self, step: Step, terms: Terms) -> tuple[Floats, Floats]:
        """What LAMs would buy from the utility, ``(M,)`` [kW], and its prices for it [$/kWh]."""
        tariff, lams = terms.tariff, self.participants.lams.size
        level, price = (
            self.level.facing(np.zeros(lams), np.full(lams, tariff.half_spread)),
            np.full(lams, tariff.middle),
        )
        net_kw, _ = level.target(price)
        answers = await self._ask_to_the_end(step, level.find_bids(price))
        net_kw = net_kw if answers is None else answers.kw
        return net_kw, tariff_price(net_kw, tariff)

    async def _ask_to_the_end(self, step: Step, questions: Generator[Question, Answers, R]) -> R | None:
        """What questions to the members come to; ``None`` and a flag where there is no end or no time."""
        try:
            return await drive_async(questions, partial(self._ask, step, final_gate(step)))
        except (GateClosed, NotConverged):
            self.node.flag(f"{self.node.name} shares out what was cleared before its members agreed")
            return None
