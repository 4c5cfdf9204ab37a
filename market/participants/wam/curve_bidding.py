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
from market.model.curves import Curves, join, part, starts
from market.participants.exchange import exchange_of
from market.participants.roster import Roster, Rules, Terms
from market.participants.wam.bidding import LastMetered, flag_silence
from market.participants.wam.clear_model import clear_model
from market.rounds import Tally
from market.solver.lam_bids import LamBids, lam_bids
from market.solver.wam import WamClearing


class WamCurveBidding:
    """`market.participants.wam.bidding.WamBidding` by curve bids."""

    bids: LamBids
    reactive_kvar: Floats
    fallbacks: list[str]

    def __init__(self, node: Node, roster: Roster, rules: Rules, last_metered: LastMetered) -> None:
        self.node = node
        self.roster = roster
        self.rules = rules
        self.last_metered = last_metered
        topics = node.topics
        self.inbox: Collector[LamBid] = node.collector({lam: topics.lam_bid(lam) for lam in roster.lams})
        for host, lams in roster.lam_hosts.items():
            for lam in lams:
                name = roster.lams[lam]
                take = partial(self._take_bid, name, host)
                node.on(topics.lam_bid(name), take, through=topics.lam_bid("+"))

    async def gather_bids(self, step: Step) -> None:
        """Gather all LAMs' curves until the deadline; a silent LAM is fixed at its last metered net load."""
        have = await self.inbox.wait(step.tick, step.deadline)
        self.reactive_kvar = self.last_metered.kvar.copy()
        self.fallbacks = []
        silent_kw: dict[int, float] = {}
        pieces, group = [], []
        for place, lam in enumerate(self.roster.lams):
            bid = have.get(lam)
            if bid is None:
                flag_silence(self.node, [lam])
                self.fallbacks.append(lam)
                silent_kw[place] = float(self.last_metered.kw[place])
            else:
                pieces.append(_curves_of(bid))
                group += [place] * len(pieces[-1])
                self.reactive_kvar[place] = bid.reactive_kvar
                self.fallbacks += bid.fallbacks
        tariff = self.rules.terms(step.tick).tariff
        self.bids = lam_bids(self.rules.case, join(pieces), np.array(group, dtype=np.intp), silent_kw, tariff)
        self._numbers = 2 * sum(piece.price.size for piece in pieces)

    async def net_purchases(self, step: Step, price: Floats) -> Floats:  # noqa: ARG002
        """Read them off the bids, ``(M,)`` [kW]."""
        return self.bids.flows(price)

    async def clear(
        self,
        step: Step,  # noqa: ARG002
        model: NetworkModel,
        terms: Terms,
        last: WamClearing | None,
    ) -> WamClearing:
        """Clear once: with whole curves there is nothing left to ask."""
        if last is None:
            return clear_model(self.bids, model, terms)
        return clear_model(self.bids, model, terms, last.limit_prices, last.flow_kw)

    def snapshot(self) -> Values:
        """Nothing: every interval begins with whole curves."""
        return {}

    def restore(self, values: Values) -> None:
        """Nothing is remembered."""

    def exchange(self) -> Exchange:
        """One bid of each LAM, and one outcome for all; a vertex is a price and a power."""
        lams = len(self.roster.lams)
        tally = Tally(messages=lams, numbers=self._numbers)
        tally.count(1, 2 * lams)
        return exchange_of(tally, 1)

    def _take_bid(self, lam: str, host: str, bid: LamBid) -> None:
        if bid.sender != host:
            raise ValueError(f"{bid.sender} does not operate LAM {lam}")
        curves = _curves_of(bid)
        for at in range(len(curves)):
            one = part(curves, at, at + 1)
            check_curve(one.price, one.kw)
        self.inbox.add(lam, bid.tick, bid)


def _curves_of(bid: LamBid) -> Curves:
    """Curves of a LAM's bid: one, or those of its members.

    Raises
    ------
    ValueError
        Columns do not fit each other.
    """
    price, kw = columns.unpack(bid.price), columns.unpack(bid.kw)
    if not bid.count:
        return Curves(price, kw, np.array([0, price.size]))
    count = columns.unpack_index(bid.count)
    if kw.size != price.size or count.sum() != price.size or (count < 1).any():
        raise ValueError(f"{price.size} vertices cannot be divided into {count.size} curves of these lengths")
    return Curves(price, kw, starts(count))
