"""The WAM's LAMs when they answer its prices round by round, by plain or slope bids.

A LAM host that does not answer in a round counts as inflexible from then on in this interval, with all of its
LAMs. Where the time for bids ends before all agree, what was cleared last stands, and is flagged.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from broker.collector import Collector, Late
from broker.messages import Exchange, LamOpening, LamRoundBid, NetworkModel, Step, WamPrice, columns
from broker.node import Node
from market.model.curves import Curves, Floats, Ints, respond
from market.participants.gates import LAMS_ROUND, GateClosed, bidding_gate, converse, round_gate
from market.participants.lam.sharing import told
from market.participants.network import clear_model, middle_price
from market.participants.roster import Roster, Rules, Terms
from market.participants.wam.lams import Standby
from market.rounds import Answers, Tally, WamLevel, estimate_for
from market.solver.wam import WamOutcome


@dataclass(frozen=True)
class _Bid:
    """Answers of a host's LAMs, ``(m,)`` each, and what changed for some of them."""

    kw: Floats
    slope: Floats
    low_kw: Floats
    high_kw: Floats
    fallbacks: list[str]


class RoundLams:
    """`market.participants.wam.lams.Lams` by bids in rounds."""

    reactive_kvar: Floats
    fallbacks: list[str]

    def __init__(self, node: Node, roster: Roster, rules: Rules, standby: Standby) -> None:
        self.node = node
        self.roster = roster
        self.rules = rules
        self.standby = standby
        self.count = len(roster.lams)
        self.price: Floats | None = None
        self._with_slope = rules.bidding == "slope"
        self._tally = Tally()
        self._round = 0
        self._tick = -1
        self._unserved: list[int] = []
        self._asked = np.zeros(self.count)
        self._speaking: set[str] = set()
        self.openings: Collector[LamOpening] = Collector(roster.lam_hosts)
        self.bids: Collector[_Bid] = Collector(roster.lam_hosts)
        for host in roster.lam_hosts:
            node.on(node.topics.lam_opening(host), partial(self._take_opening, host))
            node.on(node.topics.lam_round_bid(host), partial(self._take_bid, host))

    @property
    def curves(self) -> Curves:
        """What was learnt of each LAM so far."""
        return self.level.curves

    async def gather(self, step: Step) -> None:
        """Take in all LAMs' ranges; a silent LAM is fixed at its last metered net load."""
        have = await self.openings.wait(step.tick, step.deadline)
        low_kw, high_kw = self.standby.kw.copy(), self.standby.kw.copy()
        self.reactive_kvar = self.standby.kvar.copy()
        self.fallbacks = []
        for host, lams in self.roster.lam_hosts.items():
            if host in have:
                opened = have[host]
                low_kw[lams] = columns.unpack(opened.low_kw, lams.size)
                high_kw[lams] = columns.unpack(opened.high_kw, lams.size)
                self.reactive_kvar[lams] = columns.unpack(opened.reactive_kvar, lams.size)
                self.fallbacks += opened.fallbacks
            else:
                self._note_silence(host)
        self._speaking = set(have)
        middle = np.full(self.count, middle_price(self.rules.terms(step.tick)))
        estimate = estimate_for(
            self.rules.bidding,
            np.full(self.count, self.rules.case.wam_sensitivity),
            low_kw,
            high_kw,
            middle if self.price is None else self.price,
        )
        self.level = WamLevel(estimate, self.count)
        self._tick, self._round = step.tick, 0
        self._unserved = []
        self._tally = Tally(numbers=2 * self.count)

    async def nets(self, step: Step, price: Floats) -> Floats:
        """Ask all LAMs once; what is believed of them where there is no time."""
        try:
            answers = await self._ask(step, price)
        except GateClosed:
            return respond(self.curves, price)
        self.level.hear(price, answers)
        return answers.kw

    async def clear(self, step: Step, model: NetworkModel, terms: Terms) -> WamOutcome:
        """Clear and ask in turn until all LAMs would take what was cleared for them."""
        outcome: WamOutcome | None = None
        if model.unserved != self._unserved:
            self._unserved = model.unserved
            nothing = np.zeros(len(model.unserved))
            self.level.begin_anew(np.array(model.unserved, dtype=np.intp), nothing, nothing)

        async def ask(cleared: WamOutcome) -> Answers:
            nonlocal outcome
            outcome = cleared
            return await self._ask(step, cleared.price)

        try:
            outcome = await converse(
                self.level.agree(partial(clear_model, model=model, terms=terms), model.unserved), ask
            )
        except GateClosed:
            assert outcome is not None
            open_kw = float(np.nanmax(np.abs(self.level.record.kw - outcome.net_kw), initial=0.0))
            self.node.flag(
                f"the gate closed after {self._round} rounds of bids, LAMs {open_kw:.3g} kW from agreement"
            )
        self.price = outcome.price
        return outcome

    def talks(self) -> Exchange:
        """What the rounds took."""
        self._tally.damped = bool(self.level.estimate.damped.any())
        self._tally.accelerated = bool(self.level.estimate.accelerated.any())
        return told(self._tally, self._round)

    async def _ask(self, step: Step, price: Floats) -> Answers:
        """Announce wide-area prices and take in what each LAM would buy."""
        gate, is_full = round_gate(step, LAMS_ROUND, bidding_gate(step))
        self._round += 1
        self._asked = price
        await self.node.publish(
            self.node.topics.wam_price,
            WamPrice,
            step.tick,
            round=self._round,
            price=columns.column_list(price),
        )
        have = await self.bids.wait(step.tick, gate, self._round, self._speaking)
        silent = sorted(self._speaking - set(have))
        if silent and not is_full:
            raise GateClosed
        for host in silent:
            self._fall(host)
        kw, slope = self.standby.kw.copy(), np.zeros(self.count)
        for host, bid in have.items():
            lams = self.roster.lam_hosts[host]
            kw[lams], slope[lams] = bid.kw, bid.slope
            self.fallbacks += bid.fallbacks
            if bid.low_kw.size:
                self.level.begin_anew(lams, bid.low_kw, bid.high_kw)
        # Whatever they say, those without source get nothing.
        kw[self._unserved] = slope[self._unserved] = 0.0
        self._tally.count(1, self.count)
        self._tally.count(self.count, 2 if self._with_slope else 1)
        return Answers(kw, slope)

    def _fall(self, host: str) -> None:
        """Take a host's LAMs as inflexible from now on."""
        self._speaking.discard(host)
        self._note_silence(host)
        lams = self.roster.lam_hosts[host]
        self.level.begin_anew(lams, self.standby.kw[lams], self.standby.kw[lams])

    def _note_silence(self, host: str) -> None:
        for lam in self.roster.lam_hosts[host]:
            name = self.roster.lams[lam]
            self.node.flag(f"LAM {name} was silent: its last metered net load stands in")
            self.fallbacks.append(name)

    def _take_opening(self, host: str, opening: LamOpening) -> None:
        lams = self._check_sender(host, opening)
        low_kw, high_kw = (
            columns.unpack(opening.low_kw, lams.size),
            columns.unpack(opening.high_kw, lams.size),
        )
        columns.unpack(opening.reactive_kvar, lams.size)
        if (low_kw > high_kw).any():
            raise ValueError("a LAM's range must ascend")
        self.openings.add(host, opening.tick, opening)

    def _take_bid(self, host: str, bid: LamRoundBid) -> None:
        lams = self._check_sender(host, bid)
        if (bid.tick, bid.round) > (self._tick, self._round):
            raise ValueError(f"round {bid.round} of tick {bid.tick} was not asked")
        if (bid.tick, bid.round) < (self._tick, self._round):
            raise Late(f"bid of round {bid.round} came after round {self._round} was asked")
        kw = columns.unpack(bid.intercept_kw, lams.size) - self.rules.case.wam_sensitivity * self._asked[lams]
        slope = columns.unpack(bid.slope, lams.size) if self._with_slope else np.zeros(lams.size)
        size = lams.size if bid.fallbacks else 0
        low_kw, high_kw = columns.unpack(bid.low_kw, size), columns.unpack(bid.high_kw, size)
        if (slope < 0).any() or (low_kw > high_kw).any():
            raise ValueError("slopes must not be negative, and ranges must ascend")
        self.bids.add(host, bid.tick, _Bid(kw, slope, low_kw, high_kw, bid.fallbacks), bid.round)

    def _check_sender(self, host: str, message: LamOpening | LamRoundBid) -> Ints:
        lams = self.roster.lam_hosts[host]
        if message.sender != host or not np.array_equal(columns.unpack_index(message.lam), lams):
            raise ValueError(f"{message.sender} must bid for the LAMs of {host}, all and in order")
        return lams
