"""LAM operators on the bus: they gather bids, forward the aggregate, and share out what the WAM cleared.

One ``LamHost`` may operate many LAMs over one connection; each LAM's arithmetic is its own, so that
any number of hosts gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

from broker import columns
from broker.collector import Collector
from broker.messages import (
    Award,
    AwardBatch,
    BidBatch,
    CurveBid,
    LamBid,
    LamOutcome,
    Message,
    MeteredBatch,
    Step,
    Telemetry,
    WamOutcome,
)
from broker.node import Node
from market.lam import aggregate, clear_lams
from market.services.book import (
    BatchBids,
    Seats,
    check_curve,
    check_reactive,
    gather,
    read_batch,
    read_metered,
)
from market.services.gates import sit_out, three_quarters
from market.services.prosumers import alone
from market.services.roster import Roster, Rules

Floats = npt.NDArray[np.float64]

UNHEARD_KW = 1e-6
"""The WAM's solver misses a LAM's limits by less than this where it heard the LAM's bid."""


class LamHost:
    """Service: operator of the LAMs that the roster gives to this node's name."""

    def __init__(self, node: Node, roster: Roster, rules: Rules) -> None:
        self.node = node
        self.roster = roster
        self.rules = rules
        self.lams = roster.lam_hosts[node.name]
        members = np.flatnonzero(np.isin(roster.lam, self.lams))
        self.group = np.searchsorted(self.lams, roster.lam[members])
        self.seats = Seats(
            names=tuple(roster.prosumers[member] for member in members),
            members=members,
            last_kw=np.zeros(members.size),
            last_kvar=np.zeros(members.size),
        )
        self.live = {self.seats.names[place]: int(place) for place in np.flatnonzero(roster.live[members])}
        self.refused: list[str] = []
        self.bids: Collector[CurveBid] = Collector(self.live)
        self.batches: Collector[BatchBids] = Collector(roster.hosts)
        self.outcomes: Collector[WamOutcome] = Collector(["wam"])
        self._interval_h = 0.0
        self._bid_tick = -1
        topics = node.topics
        metered = topics.telemetry("meter", "+")
        for name, place in self.live.items():
            node.on(
                self._topic(topics.bid, name), partial(self._take_bid, name), through=topics.bid("+", "+")
            )
            node.on(topics.telemetry("meter", name), partial(self._take_telemetry, place), through=metered)
        for host in roster.hosts:
            node.on(node.topics.bid_batch(host), partial(self._take_batch, host))
            node.on(node.topics.metered(host), partial(self._take_metered, host))
        node.on(node.topics.wam_outcome, self._take_outcome)

    async def on_step(self, step: Step) -> None:
        """Gather and forward in the bid step, share out in the clear step."""
        self._interval_h = step.interval_s / 3600.0
        if step.step == "bid":
            await self._bid(step)
        elif step.step == "clear" and self._bid_tick != step.tick:
            await sit_out(self.node, step)
        elif step.step == "clear":
            await self._clear(step)

    async def _bid(self, step: Step) -> None:
        self._bid_tick = step.tick
        gate = three_quarters(step)
        live = await self.bids.wait(step.tick, gate)
        batches = await self.batches.wait(step.tick, gate)
        self.book = gather(self.seats, live, batches.values())
        self.missing = [self.seats.names[place] for place in np.flatnonzero(~self.book.heard)]
        if self.missing:
            self.node.flag(f"{len(self.missing)} bids missing at the gate of {self.node.name}")
        self.curves = aggregate(self.book.curves, self.group, self.lams.size)
        outgoing: list[tuple[str, Message]] = []
        for place, lam in enumerate(self.lams):
            vertices = slice(self.curves.start[place], self.curves.start[place + 1])
            inside = self.group == place
            topic = self.node.topics.lam_bid(self.roster.lams[lam])
            bid = self.node.stamp(
                topic,
                LamBid,
                step.tick,
                price=columns.pack(self.curves.price[vertices]),
                kw=columns.pack(self.curves.kw[vertices]),
                reactive_kvar=float(np.sum(self.book.reactive_kvar[inside])),
                fallbacks=[self.seats.names[member] for member in np.flatnonzero(inside & ~self.book.heard)],
            )
            outgoing.append((topic, bid))
        await self.node.publish_all(outgoing)

    async def _clear(self, step: Step) -> None:
        outcomes = await self.outcomes.wait(step.tick, three_quarters(step))
        is_alone = not outcomes
        if is_alone:
            self.node.flag(f"the WAM was silent: {self.node.name} clears its LAMs against the tariffs")
            net_kw, wam_price = self._clear_alone(step.tick)
        else:
            net_kw = self._absorbed(np.array(outcomes["wam"].net_kw)[self.lams])
            wam_price = np.array(outcomes["wam"].price)[self.lams]
        near = self._own_price(net_kw, wam_price, is_alone)
        cleared = clear_lams(self.book.curves, self.group, self.curves, net_kw, near)
        fee = self.rules.case.fee[self.lams]
        trade_price = cleared.price[self.group] + fee[self.group] * np.sign(cleared.trade_kw)
        await self._award(step.tick, cleared.trade_kw, trade_price)
        await self.node.publish(
            self.node.topics.lam_outcome(self.node.name),
            LamOutcome,
            step.tick,
            lam=columns.pack_index(self.lams),
            price=columns.pack(cleared.price),
            net_kw=columns.pack(net_kw),
            wam_price=columns.pack(wam_price),
            prosumer=columns.pack_index(self.seats.members),
            trade_kw=columns.pack(cleared.trade_kw),
            trade_price=columns.pack(trade_price),
            alone=is_alone,
            refused=self.refused,
            missing=self.missing,
        )
        self.refused = []
        await self.node.done(step.step, step.tick)

    def _own_price(self, net_kw: Floats, wam_price: Floats, is_alone: bool) -> Floats:
        """Shadow price that the WAM's price stands for: mu + Delta sign(Q) + K Q; a tariff for one alone."""
        if is_alone:
            return wam_price
        case = self.rules.case
        return wam_price + case.wam_fee[self.lams] * np.sign(net_kw) + case.wam_slope * net_kw

    def _absorbed(self, net_kw: Floats) -> Floats:
        """What the WAM cleared, as far as the members can take it.

        They cannot where the WAM did not hear a LAM's bid and put its last metered net load instead.
        """
        absorbed = np.clip(net_kw, self.curves.lowest_kw, self.curves.highest_kw)
        for place in np.flatnonzero(np.abs(net_kw - absorbed) > UNHEARD_KW):
            self.node.flag(
                f"LAM {self.roster.lams[self.lams[place]]} can take {absorbed[place]:.3f} kW"
                f" of the {net_kw[place]:.3f} kW that the WAM cleared for it"
            )
        return absorbed

    def _clear_alone(self, tick: int) -> tuple[Floats, Floats]:
        """Net and price of each LAM against retail and feed-in tariffs alone (market.md, section 4)."""
        trades = alone(self.curves, self.rules.terms(tick))
        tariff = self.rules.terms(tick).tariff
        return trades, np.where(trades > 0, tariff.retail, tariff.feed_in)

    async def _award(self, tick: int, trade_kw: Floats, trade_price: Floats) -> None:
        outgoing: list[tuple[str, Message]] = []
        for name, place in self.live.items():
            topic = self._topic(self.node.topics.award, name)
            award = self.node.stamp(
                topic, Award, tick, trade_kw=float(trade_kw[place]), price=float(trade_price[place])
            )
            outgoing.append((topic, award))
        for host, members in self.roster.hosts.items():
            mine = np.isin(self.seats.members, members)
            topic = self.node.topics.award_batch(self.node.name, host)
            batch = self.node.stamp(
                topic,
                AwardBatch,
                tick,
                prosumer=columns.pack_index(self.seats.members[mine]),
                trade_kw=columns.pack(trade_kw[mine]),
                price=columns.pack(trade_price[mine]),
            )
            outgoing.append((topic, batch))
        await self.node.publish_all(outgoing)

    def _topic(self, topic: Callable[[str, str], str], name: str) -> str:
        """Topic of a live member, below its LAM's name."""
        member = self.seats.members[self.live[name]]
        return topic(self.roster.lams[self.roster.lam[member]], name)

    def _take_bid(self, name: str, bid: CurveBid) -> None:
        rating_kw = self.roster.rating_kw[self.seats.members[self.live[name]]]
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

    def _take_outcome(self, outcome: WamOutcome) -> None:
        if not len(outcome.net_kw) == len(outcome.price) == len(self.roster.lams):
            raise ValueError(f"an outcome must hold {len(self.roster.lams)} nets and prices")
        self.outcomes.add("wam", outcome.tick, outcome)

    def _take_telemetry(self, place: int, telemetry: Telemetry) -> None:
        if telemetry.phase == "meter" and telemetry.quality == "good" and telemetry.p_kw is not None:
            self.seats.last_kw[place] = telemetry.p_kw
            self.seats.last_kvar[place] = telemetry.q_kvar or 0.0

    def _take_metered(self, host: str, metered: MeteredBatch) -> None:
        prosumer = self.roster.hosts[host]
        energy_kwh, reactive_kvarh = read_metered(metered, prosumer)
        if self._interval_h == 0.0:
            return  # Started anew behind the last step: the interval's length is not known yet.
        mine = np.flatnonzero(np.isin(prosumer, self.seats.members))
        places = np.searchsorted(self.seats.members, prosumer[mine])
        self.seats.last_kw[places] = energy_kwh[mine] / self._interval_h
        self.seats.last_kvar[places] = reactive_kvarh[mine] / self._interval_h
