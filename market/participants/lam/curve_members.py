"""A LAM host's members who tell their whole price response in one bid: one round is exact."""

from __future__ import annotations

from functools import partial

import numpy as np

from broker.collector import Collector
from broker.messages import BidBatch, CurveBid, Exchange, LamBid, Message, Step, WamOutcome, columns
from broker.node import Node
from market.participants.gates import three_quarters
from market.participants.lam.bid_book import (
    BatchBids,
    Book,
    Seats,
    check_curve,
    check_reactive,
    gather,
    read_batch,
)
from market.participants.lam.sharing import Shares, absorbed, alone, tariff_price, told
from market.participants.roster import Roster, Rules
from market.rounds import Tally
from market.solver.lam import aggregate, clear_lams


class CurveMembers:
    """`market.participants.lam.sharing.Members` by curve bids."""

    book: Book

    def __init__(self, node: Node, roster: Roster, rules: Rules, seats: Seats) -> None:
        self.node = node
        self.roster = roster
        self.rules = rules
        self.seats = seats
        self.refused: list[str] = []
        self.bids: Collector[CurveBid] = Collector(seats.live)
        self.batches: Collector[BatchBids] = Collector(roster.hosts)
        topics = node.topics
        for name, place in seats.live.items():
            topic = topics.bid(roster.lams[roster.lam[seats.members[place]]], name)
            node.on(topic, partial(self._take_bid, name), through=topics.bid("+", "+"))
        for host in roster.hosts:
            node.on(topics.bid_batch(host), partial(self._take_batch, host))

    @property
    def missing(self) -> list[str]:
        """Members who did not bid."""
        return self.seats.absent(self.book.heard)

    async def open(self, step: Step) -> None:
        """Gather bids, add them up and forward the sums."""
        gate, seats, node = three_quarters(step), self.seats, self.node
        live = await self.bids.wait(step.tick, gate)
        batches = await self.batches.wait(step.tick, gate)
        self.book = gather(seats, live, batches.values())
        if self.missing:
            node.flag(f"{len(self.missing)} bids missing at the gate of {node.name}")
        self.curves = aggregate(self.book.curves, seats.group, seats.lams.size)
        outgoing: list[tuple[str, Message]] = []
        for place, lam in enumerate(seats.lams):
            vertices = slice(self.curves.start[place], self.curves.start[place + 1])
            inside = seats.group == place
            topic = node.topics.lam_bid(self.roster.lams[lam])
            bid = node.stamp(
                topic,
                LamBid,
                step.tick,
                price=columns.pack(self.curves.price[vertices]),
                kw=columns.pack(self.curves.kw[vertices]),
                reactive_kvar=float(np.sum(self.book.reactive_kvar[inside])),
                fallbacks=[seats.names[member] for member in np.flatnonzero(inside & ~self.book.heard)],
            )
            outgoing.append((topic, bid))
        await node.publish_all(outgoing)

    async def talk(self, step: Step) -> None:
        """Curves say it all: the WAM asks nothing more."""

    async def share(self, step: Step, outcome: WamOutcome | None) -> Shares:
        """Find the local prices at which members take what was cleared."""
        case, lams, curves = self.rules.case, self.seats.lams, self.curves
        if outcome is None:
            terms = self.rules.terms(step.tick)
            net_kw = alone(curves, terms)
            near = wam_price = tariff_price(net_kw, terms)
        else:
            wam_price = np.array(outcome.price)[lams]
            net_kw = absorbed(
                self.node, self.roster, self.seats, outcome, curves.lowest_kw, curves.highest_kw
            )
            # The shadow price that the WAM's price stands for: mu + Delta sign(Q) + K Q.
            near = wam_price + case.wam_fee[lams] * np.sign(net_kw) + case.wam_slope * net_kw
        found = clear_lams(self.book.curves, self.seats.group, curves, net_kw, near)
        return Shares(net_kw, wam_price, found.price, found.trade_kw)

    def talks(self) -> Exchange:
        """One bid and one award for each member; a vertex is a price and a power."""
        members = self.seats.members.size
        tally = Tally(messages=members, numbers=2 * self.book.curves.price.size)
        tally.count(members, 2)
        return told(tally, 1)

    def _take_bid(self, name: str, bid: CurveBid) -> None:
        rating_kw = self.seats.rating_kw[self.seats.live[name]]
        try:
            check_curve(np.array(bid.price), np.array(bid.kw), rating_kw)
            check_reactive(bid.reactive_kvar, rating_kw)
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
        mine = ~bids.valid & np.isin(prosumer, self.seats.members)
        names = [self.roster.prosumers[member] for member in prosumer[mine]]
        if names:
            self.refused += names
            first = ", ".join(names[:5])
            raise ValueError(f"{len(names)} bids are not finite, monotone and within their rating: {first}")
