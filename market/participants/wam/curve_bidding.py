"""Bidding in the WAM by curves: each LAM bids its whole price response once."""

from __future__ import annotations

from functools import partial

import numpy as np

from broker.collector import Collector
from broker.messages import Exchange, LamBid, NetworkModel, Step, columns
from broker.participant.node import Node
from broker.snapshot import Values
from market.model.arrays import Floats
from market.model.curve_checks import check_curve
from market.model.curves import Curves, from_points, respond, shift
from market.participants.exchange import exchange_of
from market.participants.roster import Roster, Rules, Terms
from market.participants.wam.bidding import LastMetered
from market.participants.wam.clear_model import clear_model
from market.rounds import Tally
from market.solver.wam import LimitPrices, WamClearing


class WamCurveBidding:
    """`market.participants.wam.bidding.WamBidding` by curve bids."""

    curves: Curves
    reactive_kvar: Floats
    fallbacks: list[str]

    def __init__(self, node: Node, roster: Roster, rules: Rules, last_metered: LastMetered) -> None:
        self.node = node
        self.roster = roster
        self.rules = rules
        self.last_metered = last_metered
        topics = node.topics
        self.bids: Collector[LamBid] = node.collector({lam: topics.lam_bid(lam) for lam in roster.lams})
        for host, lams in roster.lam_hosts.items():
            for lam in lams:
                name = roster.lams[lam]
                take = partial(self._take_bid, name, host)
                node.on(topics.lam_bid(name), take, through=topics.lam_bid("+"))

    async def gather_bids(self, step: Step) -> None:
        """Gather all LAMs' curves until the deadline; a silent LAM is fixed at its last metered net load."""
        have = await self.bids.wait(step.tick, step.deadline)
        case, points = self.rules.case, []
        self.reactive_kvar = self.last_metered.kvar.copy()
        self.fallbacks = []
        for place, lam in enumerate(self.roster.lams):
            bid = have.get(lam)
            if bid is None:
                self.node.flag(f"LAM {lam} was silent: its last metered net load stands in")
                self.fallbacks.append(lam)
                points.append((np.zeros(1), self.last_metered.kw[place : place + 1]))
            else:
                points.append((columns.unpack(bid.price), columns.unpack(bid.kw)))
                self.reactive_kvar[place] = bid.reactive_kvar
                self.fallbacks += bid.fallbacks
        # With their fee and conjectured slope: mu_i over Q_i.
        self.curves = shift(from_points(points), case.wam_slope, case.wam_fee)

    async def net_purchases(self, step: Step, price: Floats) -> Floats:  # noqa: ARG002
        """Read the purchases off the curves, ``(M,)`` [kW]."""
        return respond(self.curves, price)

    async def clear(
        self,
        step: Step,  # noqa: ARG002
        model: NetworkModel,
        terms: Terms,
        start: LimitPrices | None,
    ) -> WamClearing:
        """Clear once: with whole curves there is nothing left to ask."""
        return clear_model(self.curves, model, terms, start)

    def snapshot(self) -> Values:
        """Nothing: every interval begins with whole curves."""
        return {}

    def restore(self, values: Values) -> None:
        """Nothing is remembered."""

    def exchange(self) -> Exchange:
        """One bid of each LAM, and one outcome for all; a vertex is a price and a power."""
        lams = len(self.roster.lams)
        tally = Tally(messages=lams, numbers=2 * self.curves.price.size)
        tally.count(1, 2 * lams)
        return exchange_of(tally, 1)

    def _take_bid(self, lam: str, host: str, bid: LamBid) -> None:
        if bid.sender != host:
            raise ValueError(f"{bid.sender} does not operate LAM {lam}")
        check_curve(columns.unpack(bid.price), columns.unpack(bid.kw))
        self.bids.add(lam, bid.tick, bid)
