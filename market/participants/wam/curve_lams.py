"""The WAM's LAMs when each bids its whole price response at once."""

from __future__ import annotations

from functools import partial

import numpy as np

from broker.collector import Collector
from broker.messages import Exchange, LamBid, NetworkModel, Step, columns
from broker.node import Node
from market.model.curves import Curves, Floats, from_points, respond, shift
from market.participants.lam.bid_book import check_curve
from market.participants.lam.sharing import told
from market.participants.network import clear_model
from market.participants.roster import Roster, Rules, Terms
from market.participants.wam.lams import Standby
from market.rounds import Tally
from market.solver.wam import WamOutcome


class CurveLams:
    """`market.participants.wam.lams.Lams` by curve bids."""

    curves: Curves
    reactive_kvar: Floats
    fallbacks: list[str]

    def __init__(self, node: Node, roster: Roster, rules: Rules, standby: Standby) -> None:
        self.node = node
        self.roster = roster
        self.rules = rules
        self.standby = standby
        self.bids: Collector[LamBid] = Collector(roster.lams)
        topics = node.topics
        for host, lams in roster.lam_hosts.items():
            for lam in lams:
                name = roster.lams[lam]
                take = partial(self._take_bid, name, host)
                node.on(topics.lam_bid(name), take, through=topics.lam_bid("+"))

    async def gather(self, step: Step) -> None:
        """Take in all LAMs' curves; a silent LAM is fixed at its last metered net load."""
        have = await self.bids.wait(step.tick, step.deadline)
        case, points = self.rules.case, []
        self.reactive_kvar = self.standby.kvar.copy()
        self.fallbacks = []
        for place, lam in enumerate(self.roster.lams):
            bid = have.get(lam)
            if bid is None:
                self.node.flag(f"LAM {lam} was silent: its last metered net load stands in")
                self.fallbacks.append(lam)
                points.append((np.zeros(1), self.standby.kw[place : place + 1]))
            else:
                points.append((columns.unpack(bid.price), columns.unpack(bid.kw)))
                self.reactive_kvar[place] = bid.reactive_kvar
                self.fallbacks += bid.fallbacks
        # With their fee and conjectured slope: mu_i over Q_i.
        self.curves = shift(from_points(points), case.wam_slope, case.wam_fee)

    async def nets(self, step: Step, price: Floats) -> Floats:  # noqa: ARG002
        """What the curves say."""
        return respond(self.curves, price)

    async def clear(self, step: Step, model: NetworkModel, terms: Terms) -> WamOutcome:  # noqa: ARG002
        """Clear once; curves leave nothing to ask."""
        return clear_model(self.curves, model, terms)

    def talks(self) -> Exchange:
        """One bid of each LAM, and one outcome for all; a vertex is a price and a power."""
        lams = len(self.roster.lams)
        tally = Tally(messages=lams, numbers=2 * self.curves.price.size)
        tally.count(1, 2 * lams)
        return told(tally, 1)

    def _take_bid(self, lam: str, host: str, bid: LamBid) -> None:
        if bid.sender != host:
            raise ValueError(f"{bid.sender} does not operate LAM {lam}")
        check_curve(columns.unpack(bid.price), columns.unpack(bid.kw), np.inf)
        self.bids.add(lam, bid.tick, bid)
