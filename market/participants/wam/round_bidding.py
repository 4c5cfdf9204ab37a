"""Bidding in the WAM by rounds: LAM hosts answer announced prices, by plain or slope bids.

A LAM host that does not answer in a round counts as inflexible from then on in this interval, with all of its
LAMs. Where the time for bids ends before all agree, what was cleared last stands, and is flagged.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from broker.collector import Collector
from broker.messages import Exchange, LamOpening, LamRoundBid, NetworkModel, Step, columns
from broker.participant.node import Node
from broker.snapshot import Values, optional_array
from market.model.arrays import Floats, Ints
from market.model.curves import Curves
from market.participants.gates import GateClosed
from market.participants.roster import Roster, Rules, Terms
from market.participants.wam.bidding import LastMetered
from market.participants.wam.clear_model import clear_model
from market.participants.wam.host_rounds import HostRounds
from market.rounds import Answers, Tally, WamLevel, drive_async, estimate_for
from market.solver.lam_bids import GridBids
from market.solver.wam import WamClearing


@dataclass(frozen=True)
class _HostBid:
    """Answers of a host's LAMs at the prices of a round.

    Attributes
    ----------
    kw, slope
        Net purchases [kW] and how steeply they fall with the price [kW per $/kWh], ``(m,)``.
    low_kw, high_kw
        Ranges of their net purchases [kW], ``(m,)``; empty where they did not change.
    fallbacks
        Names of members that fell silent in this round.
    """

    kw: Floats
    slope: Floats
    low_kw: Floats
    high_kw: Floats
    fallbacks: list[str]


class WamRoundBidding:
    """`market.participants.wam.bidding.WamBidding` by bids in rounds."""

    reactive_kvar: Floats

    def __init__(self, node: Node, roster: Roster, rules: Rules, last_metered: LastMetered) -> None:
        self.node = node
        self.roster = roster
        self.rules = rules
        self.last_metered = last_metered
        self.count = len(roster.lams)
        self.price: Floats | None = None
        self._with_slope = rules.bidding == "slope"
        self._unserved: list[int] = []
        topics = node.topics
        openings = {host: topics.lam_opening(host) for host in roster.lam_hosts}
        bids = {host: topics.lam_round_bid(host) for host in roster.lam_hosts}
        self.ranges: Collector[LamOpening] = node.collector(openings)
        self.rounds = HostRounds[_HostBid](node, roster, bids)
        for host in roster.lam_hosts:
            node.on(openings[host], partial(self._take_range, host))
            node.on(bids[host], partial(self._take_bid, host))

    @property
    def bids(self) -> GridBids:
        """Net purchase of each LAM over its wide-area price, as learnt so far."""
        return GridBids(self.level.curves)

    @property
    def fallbacks(self) -> list[str]:
        """Names of members and LAMs that are taken as inflexible."""
        return self.rounds.fallbacks

    async def gather_bids(self, step: Step) -> None:
        """Gather all LAMs' ranges until the deadline; a silent LAM is fixed at its last metered net load."""
        have = await self.ranges.wait(step.tick, step.deadline)
        low_kw, high_kw = self.last_metered.kw.copy(), self.last_metered.kw.copy()
        self.reactive_kvar = self.last_metered.kvar.copy()
        self.rounds.begin(step.tick, Tally(numbers=2 * self.count))
        self.rounds.answering = set(have)
        for host, lams in self.roster.lam_hosts.items():
            if host in have:
                opened = have[host]
                low_kw[lams] = columns.unpack(opened.low_kw, lams.size)
                high_kw[lams] = columns.unpack(opened.high_kw, lams.size)
                self.reactive_kvar[lams] = columns.unpack(opened.reactive_kvar, lams.size)
                self.rounds.fallbacks += opened.fallbacks
            else:
                self.rounds.fall_back(host)
        middle = np.full(self.count, self.rules.terms(step.tick).grid.middle_price)
        estimate = estimate_for(
            self.rules.bidding,
            np.full(self.count, self.rules.case.wam_sensitivity),
            low_kw,
            high_kw,
            middle if self.price is None else self.price,
        )
        self.level = WamLevel(estimate, self.count)
        self._unserved = []

    async def net_purchases(self, step: Step, price: Floats) -> Floats:
        """Ask all LAMs once, ``(M,)`` [kW]; where the time is over, estimate from what was learnt."""
        try:
            answers = await self._ask(step, price)
        except GateClosed:
            return self.bids.flows(price)
        self.level.take_answers(price, answers)
        return answers.kw

    async def clear(
        self, step: Step, model: NetworkModel, terms: Terms, last: WamClearing | None
    ) -> WamClearing:
        """Clear and ask in turn until all LAMs would buy what was cleared for them."""
        outcome, near = None, last
        if model.unserved != self._unserved:
            self._unserved = model.unserved
            nothing = np.zeros(len(model.unserved))
            self.level.begin_anew(np.array(model.unserved, dtype=np.intp), nothing, nothing)

        def clear(curves: Curves) -> WamClearing:
            start = None if near is None else near.limit_prices
            return clear_model(GridBids(curves), model, terms, start)

        async def ask(cleared: WamClearing) -> Answers:
            nonlocal outcome, near
            outcome = near = cleared
            return await self._ask(step, cleared.price)

        try:
            outcome = await drive_async(self.level.agree(clear, model.unserved), ask)
        except GateClosed:
            assert outcome is not None
            left_kw = float(np.nanmax(np.abs(self.level.record.kw - outcome.net_kw), initial=0.0))
            self.node.flag(
                f"the gate closed after {self.rounds.number} rounds of bids, "
                f"LAMs {left_kw:.3g} kW from agreement"
            )
        self.price = outcome.price
        return outcome

    def snapshot(self) -> Values:
        """Prices, at which the next interval's rounds begin."""
        return {"round_price": self.price}

    def restore(self, values: Values) -> None:
        """Let the next rounds begin at these prices; raises ``ValueError`` where they are another's."""
        self.price = optional_array(values, "round_price", np.zeros(self.count))
        self.rounds.begin_anew()

    def exchange(self) -> Exchange:
        """Rounds with the LAMs and what they carried."""
        return self.rounds.exchange()

    async def _ask(self, step: Step, price: Floats) -> Answers:
        """Announce wide-area prices and wait for what each LAM would buy."""
        have, silent = await self.rounds.ask(step, price)
        for host in silent:
            # What was learnt of its LAMs is forgotten.
            metered_kw = self.last_metered.kw[self.roster.lam_hosts[host]]
            self.level.begin_anew(self.roster.lam_hosts[host], metered_kw, metered_kw)
        kw, slope = self.last_metered.kw.copy(), np.zeros(self.count)
        for host, bid in have.items():
            lams = self.roster.lam_hosts[host]
            kw[lams], slope[lams] = bid.kw, bid.slope
            self.rounds.fallbacks += bid.fallbacks
            if bid.low_kw.size:
                self.level.begin_anew(lams, bid.low_kw, bid.high_kw)
        # Whatever they bid, LAMs that no source feeds get nothing.
        kw[self._unserved] = slope[self._unserved] = 0.0
        self.rounds.tally.count(1, self.count)
        self.rounds.tally.count(self.count, 2 if self._with_slope else 1)
        return Answers(kw, slope)

    def _take_range(self, host: str, message: LamOpening) -> None:
        size = self._check_sender(host, message).size
        low_kw, high_kw = columns.unpack(message.low_kw, size), columns.unpack(message.high_kw, size)
        columns.unpack(message.reactive_kvar, size)
        if (low_kw > high_kw).any():
            raise ValueError("a LAM's range must ascend")
        self.ranges.add(host, message.tick, message)

    def _take_bid(self, host: str, bid: LamRoundBid) -> None:
        lams = self._check_sender(host, bid)
        self.rounds.check(bid)
        kw = (
            columns.unpack(bid.intercept_kw, lams.size)
            - self.rules.case.wam_sensitivity * self.rounds.price[lams]
        )
        slope = columns.unpack(bid.slope, lams.size) if self._with_slope else np.zeros(lams.size)
        size = lams.size if bid.fallbacks else 0
        low_kw, high_kw = columns.unpack(bid.low_kw, size), columns.unpack(bid.high_kw, size)
        if (slope < 0).any() or (low_kw > high_kw).any():
            raise ValueError("slopes must not be negative, and ranges must ascend")
        self.rounds.inbox.add(host, bid.tick, _HostBid(kw, slope, low_kw, high_kw, bid.fallbacks), bid.round)

    def _check_sender(self, host: str, message: LamOpening | LamRoundBid) -> Ints:
        """Refuse a message that is not of this host or not about its LAMs; their indices."""
        lams = self.roster.lam_hosts[host]
        if message.sender != host or not np.array_equal(columns.unpack_index(message.lam), lams):
            raise ValueError(f"{message.sender} must bid for the LAMs of {host}, all and in order")
        return lams
