"""A LAM host's members who answer prices round by round, by plain or slope bids.

In the bid step members say what they could trade at any price. In the clear step the WAM asks, and before it
bids each LAM asks its members until it knows what it would buy. A member that does not answer in a round
counts as inflexible from then on in this interval; all others go on.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import TypeVar

import numpy as np

from broker.messages import Exchange, LamOpening, LamPrice, LamRoundBid, Step, WamOutcome, WamPrice, columns
from broker.node import Node
from market.errors import NotConverged
from market.model.curves import Bools, Floats
from market.participants.gates import (
    MEMBERS_ROUND,
    GateClosed,
    bidding_gate,
    converse,
    last_call,
    round_gate,
    three_quarters,
)
from market.participants.lam.bid_book import Seats
from market.participants.lam.round_bids import Asked
from market.participants.lam.round_inbox import RoundInbox
from market.participants.lam.sharing import Shares, absorbed, band, tariff_price, told
from market.participants.network import middle_price
from market.participants.roster import Roster, Rules, Terms, first_of
from market.rounds import Answers, LamLevel, Question, Tally, estimate_for, share_rest

R = TypeVar("R")


class RoundMembers:
    """`market.participants.lam.sharing.Members` by bids in rounds."""

    def __init__(self, node: Node, roster: Roster, rules: Rules, seats: Seats) -> None:
        self.node = node
        self.roster = roster
        self.rules = rules
        self.seats = seats
        self.inbox = RoundInbox(node, roster, seats)
        self._numbers = 2 if rules.bidding == "slope" else 1
        n, lams = seats.members.size, seats.lams
        self.low_kw, self.high_kw, self.trade_kw, self.slope = np.zeros((4, n))
        self.heard = np.zeros(n, dtype=bool)
        self.local_price = np.full(lams.size, np.nan)
        self._sensitivity = rules.case.sensitivity[lams]
        self._fallen: list[str] = []
        self._tally = Tally()

    @property
    def missing(self) -> list[str]:
        """Members who did not open, or fell silent in a round."""
        return self.seats.absent(self.heard)

    @property
    def refused(self) -> list[str]:
        """Members whose word was refused."""
        return self.inbox.refused

    async def open(self, step: Step) -> None:
        """Gather members' ranges and forward the sums."""
        gate, seats, node = three_quarters(step), self.seats, self.node
        openings = await self.inbox.openings(step.tick, gate)
        self.low_kw, self.high_kw = seats.last_kw.copy(), seats.last_kw.copy()
        reactive_kvar = seats.last_kvar.copy()
        self.heard = np.zeros(seats.members.size, dtype=bool)
        for opened in openings:
            mine = np.flatnonzero(opened.valid & np.isin(opened.prosumer, seats.members))
            places = np.searchsorted(seats.members, opened.prosumer[mine])
            self.low_kw[places], self.high_kw[places] = opened.low_kw[mine], opened.high_kw[mine]
            reactive_kvar[places] = opened.reactive_kvar[mine]
            self.heard[places] = True
        if self.missing:
            node.flag(f"{len(self.missing)} bids missing at the gate of {node.name}")
        self._begin(step.tick)
        await node.publish(
            node.topics.lam_opening(node.name),
            LamOpening,
            step.tick,
            lam=columns.pack_index(seats.lams),
            low_kw=columns.pack(seats.total(self.low_kw)),
            high_kw=columns.pack(seats.total(self.high_kw)),
            reactive_kvar=columns.pack(seats.total(reactive_kvar)),
            fallbacks=self.missing,
        )

    def _begin(self, tick: int) -> None:
        """A new interval: nothing is known of the members but their ranges and what they last paid."""
        case, seats = self.rules.case, self.seats
        self._fallen, self._tally = [], Tally(numbers=2 * seats.members.size)
        self.trade_kw = np.clip(seats.last_kw, self.low_kw, self.high_kw)
        self.slope = np.zeros(seats.members.size)
        members = np.bincount(seats.group, minlength=seats.lams.size)
        start = np.where(np.isnan(self.local_price), middle_price(self.rules.terms(tick)), self.local_price)
        estimate = estimate_for(
            self.rules.bidding,
            self._sensitivity * members,
            seats.total(self.low_kw),
            seats.total(self.high_kw),
            start,
        )
        self.level = LamLevel(estimate, case.wam_slope, case.wam_fee[seats.lams])

    async def talk(self, step: Step) -> None:
        """Settle with the members at each price that the WAM announces, and bid."""
        while True:
            signal = await self.inbox.signal()
            if signal.tick == step.tick:
                await self._answer(step, signal)

    async def _answer(self, step: Step, signal: WamPrice) -> None:
        case, seats, node = self.rules.case, self.seats, self.node
        wam_price = np.array(signal.price)[seats.lams]
        try:
            answers = await converse(
                self.level.settle(wam_price), partial(self._ask, step, bidding_gate(step))
            )
        except GateClosed:
            return  # The WAM has no more time either, and says so.
        except NotConverged as problem:
            node.flag(f"{node.name} did not settle with its members: {problem}")
            return
        fallen, self._fallen = self._fallen, []
        self._tally.count(seats.lams.size, self._numbers)
        await node.publish(
            node.topics.lam_round_bid(node.name),
            LamRoundBid,
            step.tick,
            round=signal.round,
            lam=columns.pack_index(seats.lams),
            intercept_kw=columns.pack(answers.kw + case.wam_sensitivity * wam_price),
            slope=columns.pack(answers.slope if self._numbers == 2 else []),
            low_kw=columns.pack(seats.total(self.low_kw) if fallen else []),
            high_kw=columns.pack(seats.total(self.high_kw) if fallen else []),
            fallbacks=fallen,
        )

    async def _ask(self, step: Step, until: float, question: Question) -> Answers:
        """Announce local prices and sum what the members of these LAMs answer."""
        seats, node = self.seats, self.node
        gate, is_full = round_gate(step, MEMBERS_ROUND, until)
        self._tally.lam += 1
        announced = np.full(seats.lams.size, np.nan)
        announced[question.lam] = question.price
        price = announced[seats.group]
        asked = self.heard & np.isfinite(price)
        self.inbox.expect(
            (step.tick, self._tally.lam),
            Asked(
                np.where(asked, price, np.nan),
                self._sensitivity[seats.group],
                self.low_kw,
                self.high_kw,
                self._numbers == 2,
            ),
        )
        await node.publish(
            node.topics.lam_price(node.name),
            LamPrice,
            step.tick,
            round=self._tally.lam,
            lam=columns.pack_index(seats.lams[question.lam]),
            price=columns.pack(question.price),
        )
        answered = np.zeros(asked.size, dtype=bool)
        for bid in await self.inbox.answers(gate):
            self.trade_kw[bid.place], self.slope[bid.place] = bid.kw, bid.slope
            answered[bid.place] = True
        silent = asked & ~answered
        if silent.any() and not is_full:
            raise GateClosed
        self._tally.count(question.lam.size, 1)
        self._tally.count(int(asked.sum()), self._numbers)
        if silent.any():
            self._fall(silent)
        return Answers(seats.total(self.trade_kw)[question.lam], seats.total(self.slope)[question.lam])

    def _fall(self, silent: Bools) -> None:
        """Take members as inflexible from now on; what was known of their LAMs no longer holds."""
        seats = self.seats
        self.heard &= ~silent
        for values in (self.low_kw, self.high_kw, self.trade_kw):
            values[silent] = seats.last_kw[silent]
        self.slope[silent] = 0.0
        names = [seats.names[place] for place in np.flatnonzero(silent)]
        self._fallen += names
        self.node.flag(
            f"{len(names)} bids missing in round {self._tally.lam} of {self.node.name}: {first_of(names)}"
        )
        lams = np.unique(seats.group[silent])
        self.level.begin_anew(lams, seats.total(self.low_kw)[lams], seats.total(self.high_kw)[lams])

    async def share(self, step: Step, outcome: WamOutcome | None) -> Shares:
        """Settle with the members on what was cleared; what is then left is shared by the room they have."""
        if outcome is None:
            net_kw, wam_price = await self._alone(step, self.rules.terms(step.tick))
        else:
            net_kw, wam_price = await self._cleared(step, outcome)
        # An award each ends the rounds.
        self._tally.count(self.seats.members.size, 2)
        self.local_price = np.where(np.isnan(self.level.record.price), wam_price, self.level.record.price)
        trade_kw = share_rest(self.trade_kw, self.low_kw, self.high_kw, self.seats.group, net_kw)
        return Shares(net_kw, wam_price, self.local_price.copy(), trade_kw)

    async def _cleared(self, step: Step, outcome: WamOutcome) -> tuple[Floats, Floats]:
        """Nets as cleared, and their prices, once members were asked at which local prices they take them."""
        seats, wam_price = self.seats, np.array(outcome.price)[self.seats.lams]
        low_kw, high_kw = seats.total(self.low_kw), seats.total(self.high_kw)
        net_kw = absorbed(self.node, self.roster, seats, outcome, low_kw, high_kw)
        await self._before_last_call(step, self.level.meet(net_kw, wam_price))
        return net_kw, wam_price

    async def _alone(self, step: Step, terms: Terms) -> tuple[Floats, Floats]:
        """What LAMs would buy from the utility alone, and its price."""
        middle, fee = band(terms)
        lams = self.seats.lams.size
        level, price = self.level.facing(0.0, np.full(lams, fee)), np.full(lams, middle)
        net_kw, _ = level.target(price)
        settled = await self._before_last_call(step, level.settle(price))
        net_kw = net_kw if settled is None else settled.kw
        return net_kw, tariff_price(net_kw, terms)

    async def _before_last_call(self, step: Step, talk: Generator[Question, Answers, R]) -> R | None:
        """Talk to the members to the end; nothing, and a flag, where there is no end or no time."""
        try:
            return await converse(talk, partial(self._ask, step, last_call(step)))
        except (GateClosed, NotConverged):
            self.node.flag(f"{self.node.name} shares out what was cleared before its members agreed")
            return None

    def talks(self) -> Exchange:
        """What the rounds with the members took."""
        estimate = self.level.estimate
        self._tally.damped = bool(estimate.damped.any())
        self._tally.accelerated = bool(estimate.accelerated.any())
        return told(self._tally, self._tally.lam)
