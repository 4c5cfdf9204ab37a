"""Bidding in a LAM by curves: each member bids its whole price response once, and one round is exact."""

from __future__ import annotations

from functools import partial

import numpy as np

from broker.collector import Collector
from broker.messages import BidBatch, CurveBid, Exchange, LamBid, Message, Step, WamOutcome, columns
from broker.participant.node import Node
from broker.snapshot import Values
from market.model.curves import Curves, part, starts
from market.participants.exchange import exchange_of
from market.participants.gates import late_gate
from market.participants.lam.bid_book import BatchBids, BidBook, check_bid, collect_bids, read_batch
from market.participants.lam.bidding import LamAllocation, accepted_net_kw
from market.participants.lam.participants import Participants
from market.participants.roster import Roster, Rules, first_of
from market.participants.tariffs import tariff_price
from market.rounds import Tally
from market.solver.lam_members import LamMembers, lam_members


class LamCurveBidding:
    """`market.participants.lam.bidding.LamBidding` by curve bids."""

    bid_book: BidBook
    members: LamMembers

    def __init__(self, node: Node, roster: Roster, rules: Rules, participants: Participants) -> None:
        self.node = node
        self.roster = roster
        self.rules = rules
        self.participants = participants
        self.refused: list[str] = []
        topics = node.topics
        bids = {
            name: topics.bid(roster.lams[roster.lam[participants.members[place]]], name)
            for name, place in participants.live.items()
        }
        self.bids: Collector[CurveBid] = node.collector(bids)
        self.batches: Collector[BatchBids] = node.collector(
            {host: topics.bid_batch(host) for host in roster.hosts}
        )
        for name, topic in bids.items():
            node.on(topic, partial(self._take_bid, name), through=topics.bid("+", "+"))
        for host in roster.hosts:
            node.on(topics.bid_batch(host), partial(self._take_batch, host))

    @property
    def missing(self) -> list[str]:
        """Members who did not bid."""
        return self.participants.names_where(~self.bid_book.has_bid)

    async def gather_bids(self, step: Step) -> None:
        """Gather members' curves until the gate, add them up and bid the sums into the WAM."""
        gate, participants, node = late_gate(step), self.participants, self.node
        live = await self.bids.wait(step.tick, gate)
        batches = await self.batches.wait(step.tick, gate)
        self.bid_book = collect_bids(participants, live, batches.values())
        if self.missing:
            node.flag(f"{len(self.missing)} bids missing at the gate of {node.name}")
        self.members = lam_members(
            self.rules.case,
            participants.lams,
            self.bid_book.curves,
            participants.group,
            self.rules.terms(step.tick).tariff,
        )
        told, count = self.members.told
        first = starts(count)
        await node.publish_all(
            self._lam_bid(step.tick, place, part(told, first[place], first[place + 1]))
            for place in range(participants.lams.size)
        )

    def _lam_bid(self, tick: int, place: int, told: Curves) -> tuple[str, Message]:
        """Bid of the host's LAM at ``place`` into the WAM, with its topic."""
        book, inside = self.bid_book, self.participants.group == place
        topic = self.node.topics.lam_bid(self.roster.lams[self.participants.lams[place]])
        return topic, self.node.stamp(
            topic,
            LamBid,
            tick,
            price=columns.pack(told.price),
            kw=columns.pack(told.kw),
            count=columns.pack_index(np.diff(told.start)) if len(told) > 1 else b"",
            reactive_kvar=float(np.sum(book.reactive_kvar[inside])),
            fallbacks=self.participants.names_where(inside & ~book.has_bid),
        )

    async def answer_wam(self, step: Step) -> None:
        """Do nothing: the WAM has whole curves and asks nothing more."""

    async def allocate(self, step: Step, outcome: WamOutcome | None) -> LamAllocation:
        """Find the local prices at which members trade what was cleared."""
        members, lams = self.members, self.participants.lams
        charge = np.zeros(lams.size)
        if outcome is None:
            net_kw, local = members.alone()
            wam_price = tariff_price(net_kw, self.rules.terms(step.tick).tariff)
        else:
            wam_price = np.array(outcome.price)[lams]
            if outcome.charge:
                charge = np.array(outcome.charge)[lams]
            net_kw = accepted_net_kw(
                self.node, self.roster, self.participants, outcome, *members.range_kw(charge)
            )
            flow_kw = np.array(outcome.flow_kw or outcome.net_kw)[lams]
            local = members.divide(net_kw, wam_price, charge, flow_kw)
        return LamAllocation(
            net_kw, wam_price, local.price, local.trade_kw, local.flow_kw - local.trade_kw, charge
        )

    def snapshot(self) -> Values:
        """Nothing: every interval begins with whole curves."""
        return {}

    def restore(self, values: Values) -> None:
        """Nothing is remembered."""

    def exchange(self) -> Exchange:
        """One bid and one award for each member; a vertex is a price and a power."""
        members = self.participants.members.size
        tally = Tally(messages=members, numbers=2 * self.bid_book.curves.price.size)
        tally.count(members, 2)
        return exchange_of(tally, 1)

    def _take_bid(self, name: str, bid: CurveBid) -> None:
        try:
            check_bid(bid, self.participants.rating_kw[self.participants.live[name]])
        except ValueError as error:
            self.refused.append(name)
            raise ValueError(f"bid of {name}: {error}") from error
        self.bids.add(name, bid.tick, bid)

    def _take_batch(self, host: str, batch: BidBatch) -> None:
        if batch.sender != host:
            raise ValueError(f"{batch.sender} is not {host}")
        prosumer = self.roster.hosts[host]
        bids = read_batch(batch, prosumer, self.roster.rating_kw[prosumer])
        self.batches.add(host, batch.tick, bids)
        mine = ~bids.valid & np.isin(prosumer, self.participants.members)
        names = [self.roster.prosumers[member] for member in prosumer[mine]]
        if names:
            self.refused += names
            raise ValueError(
                f"{len(names)} bids are not finite, monotone and within their rating: {first_of(names)}"
            )
