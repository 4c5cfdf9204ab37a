"""Prosumers on the bus: they turn what they know into bids, and awards into what their devices do.

``PopulationHost`` speaks for many prosumers in columns; ``LiveHost`` speaks for prosumers with devices
of their own, one message each, and acts only through set-points.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from broker.collector import Collector
from broker.messages import (
    Award,
    AwardBatch,
    BidBatch,
    CurveBid,
    LamPrice,
    Message,
    MeteredBatch,
    Opening,
    OpeningBatch,
    RoundBid,
    RoundBidBatch,
    SetPoint,
    Step,
    Telemetry,
    columns,
)
from broker.node import Node
from market.model.curves import Curves
from market.model.strategy import Conduct, Truthful
from market.participants.gates import halfway, sit_out
from market.participants.lam.outage import Outages
from market.participants.prosumers.bidder import Desk
from market.participants.prosumers.portfolio import LivePortfolio, Portfolio
from market.participants.roster import Roster, Rules

TRUTHFUL = Conduct(Truthful())
"""Everyone bids its best response."""


class PopulationHost:
    """Service: many prosumers without hardware, in columns."""

    def __init__(
        self, node: Node, roster: Roster, rules: Rules, portfolio: Portfolio, conduct: Conduct = TRUTHFUL
    ) -> None:
        self.node = node
        self.portfolio = portfolio
        self.members = roster.hosts[node.name]
        self.desk = Desk(node, roster, rules, self.members, conduct)
        self.awards: Collector[AwardBatch] = Collector(roster.lam_hosts)
        self.outages = Outages(node, roster, self.members)
        self.output_kw = np.zeros(0)
        self._dispatch_tick = -1
        node.on(
            node.topics.award_batch("+", node.name),
            lambda award: self.awards.add(award.sender, award.tick, award),
        )
        if not self.desk.tells_curves:
            for host in roster.lam_hosts:
                node.on(node.topics.lam_price(host), partial(self._answer, host))

    async def on_step(self, step: Step) -> None:
        """Bid, take awards and act, each in its step."""
        if step.step == "bid":
            await self._bid(step)
        elif step.step == "dispatch" and self.desk.bid_tick == step.tick:
            await self._dispatch(step)
        elif step.step == "act" and self._dispatch_tick == step.tick:
            await self._act(step)
        elif step.step in ("dispatch", "act"):
            await sit_out(self.node, step)

    async def _bid(self, step: Step) -> None:
        position = self.portfolio.position(step.tick)
        bids = self.desk.bids(step.tick, position)
        topics, name = self.node.topics, self.node.name
        prosumer, reactive_kvar = columns.pack_index(self.members), columns.pack(position.reactive_kvar)
        if self.desk.tells_curves:
            await self.node.publish(
                topics.bid_batch(name),
                BidBatch,
                step.tick,
                prosumer=prosumer,
                count=columns.pack_index(np.diff(bids.start)),
                price=columns.pack(bids.price),
                kw=columns.pack(bids.kw),
                reactive_kvar=reactive_kvar,
            )
        else:
            await self.node.publish(
                topics.opening_batch(name),
                OpeningBatch,
                step.tick,
                prosumer=prosumer,
                low_kw=columns.pack(bids.lowest_kw),
                high_kw=columns.pack(bids.highest_kw),
                reactive_kvar=reactive_kvar,
            )

    async def _answer(self, lam_host: str, signal: LamPrice) -> None:
        """Bid at the prices that a LAM host announces."""
        if self.desk.bid_tick != signal.tick:
            return
        bids = self.desk.round_bids(signal, lam_host)
        await self.node.publish(
            self.node.topics.round_bid_batch(lam_host, self.node.name),
            RoundBidBatch,
            signal.tick,
            round=signal.round,
            prosumer=columns.pack_index(self.members[bids.place]),
            intercept_kw=columns.pack(bids.intercept_kw),
            slope=columns.pack(bids.slope),
        )

    async def _dispatch(self, step: Step) -> None:
        self._dispatch_tick = step.tick
        batches = await self.awards.wait(step.tick, halfway(step))
        trades, prices = np.full((2, self.members.size), np.nan)
        for batch in batches.values():
            awarded = columns.unpack_index(batch.prosumer)
            places = np.searchsorted(self.members, awarded)
            trades[places] = columns.unpack(batch.trade_kw, awarded.size)
            prices[places] = columns.unpack(batch.price, awarded.size)
        output_kw = await self.desk.outputs(step.tick, trades, prices)
        self.output_kw = self.outages.outputs(step.tick, self.desk.position.resources.owner, output_kw)
        await self.node.done(step.step, step.tick)

    async def _act(self, step: Step) -> None:
        metered = self.portfolio.act(step.tick, self.output_kw)
        fed = ~self.outages.dark(step.tick)
        await self.node.publish(
            self.node.topics.metered(self.node.name),
            MeteredBatch,
            step.tick,
            prosumer=columns.pack_index(self.members),
            energy_kwh=columns.pack(metered.energy_kwh * fed),
            reactive_kvarh=columns.pack(metered.reactive_kvarh * fed),
        )
        await self.node.done(step.step, step.tick)


class LiveHost:
    """Service: prosumers with devices; each bids, is awarded and sets its devices by messages of its own."""

    def __init__(
        self,
        node: Node,
        roster: Roster,
        rules: Rules,
        portfolio: LivePortfolio,
        conduct: Conduct = TRUTHFUL,
        *,
        valid_s: float,
    ) -> None:
        self.node = node
        self.valid_s = valid_s
        self.portfolio = portfolio
        self.members = roster.live_members
        self.names = [roster.prosumers[member] for member in self.members]
        self.lams = [roster.lams[roster.lam[member]] for member in self.members]
        self.desk = Desk(node, roster, rules, self.members, conduct)
        self.outages = Outages(node, roster, self.members)
        self.telemetry: Collector[Telemetry] = Collector(self.names)
        self.awards: Collector[Award] = Collector(self.names)
        topics = node.topics
        measured = topics.telemetry("measure", "+")
        for name, lam in zip(self.names, self.lams, strict=True):
            node.on(topics.award(lam, name), partial(self._take_award, name), through=topics.award("+", "+"))
            node.on(topics.telemetry("measure", name), partial(self._take_telemetry, name), through=measured)
        if not self.desk.tells_curves:
            for host in roster.lam_hosts:
                node.on(topics.lam_price(host), partial(self._answer, host))

    def _take_telemetry(self, name: str, telemetry: Telemetry) -> None:
        if telemetry.phase == "measure":
            self.telemetry.add(name, telemetry.tick, telemetry)

    def _take_award(self, name: str, award: Award) -> None:
        self.awards.add(name, award.tick, award)

    async def on_step(self, step: Step) -> None:
        """Bid and turn awards into set-points, each in its step."""
        if step.step == "bid":
            await self._bid(step)
        elif step.step == "dispatch" and self.desk.bid_tick == step.tick:
            await self._dispatch(step)
        elif step.step == "dispatch":
            await sit_out(self.node, step)

    async def _bid(self, step: Step) -> None:
        telemetry = await self.telemetry.wait(step.tick, halfway(step))
        position = self.portfolio.position(step.tick, telemetry)
        bids = self.desk.bids(step.tick, position)
        said = self._curve if self.desk.tells_curves else self._opening
        await self.node.publish_all(
            said(step.tick, place, bids, float(position.reactive_kvar[place]))
            for place in range(len(self.names))
        )

    def _curve(self, tick: int, place: int, bids: Curves, reactive_kvar: float) -> tuple[str, Message]:
        vertices = slice(bids.start[place], bids.start[place + 1])
        topic = self.node.topics.bid(self.lams[place], self.names[place])
        return topic, self.node.stamp(
            topic,
            CurveBid,
            tick,
            price=columns.column_list(bids.price[vertices]),
            kw=columns.column_list(bids.kw[vertices]),
            reactive_kvar=reactive_kvar,
        )

    def _opening(self, tick: int, place: int, bids: Curves, reactive_kvar: float) -> tuple[str, Message]:
        topic = self.node.topics.opening(self.lams[place], self.names[place])
        low_kw, high_kw = float(bids.lowest_kw[place]), float(bids.highest_kw[place])
        return topic, self.node.stamp(
            topic, Opening, tick, low_kw=low_kw, high_kw=high_kw, reactive_kvar=reactive_kvar
        )

    async def _answer(self, lam_host: str, signal: LamPrice) -> None:
        """Bid at the prices that a LAM host announces."""
        if self.desk.bid_tick != signal.tick:
            return
        bids = self.desk.round_bids(signal, lam_host)
        outgoing: list[tuple[str, Message]] = []
        for at, place in enumerate(bids.place):
            topic = self.node.topics.round_bid(self.lams[place], self.names[place])
            bid = self.node.stamp(
                topic,
                RoundBid,
                signal.tick,
                round=signal.round,
                intercept_kw=float(bids.intercept_kw[at]),
                slope=float(bids.slope[at]) if bids.slope.size else None,
            )
            outgoing.append((topic, bid))
        await self.node.publish_all(outgoing)

    async def _dispatch(self, step: Step) -> None:
        awards = await self.awards.wait(step.tick, halfway(step))
        trades = np.array([awards[name].trade_kw if name in awards else np.nan for name in self.names])
        prices = np.array([awards[name].price if name in awards else np.nan for name in self.names])
        output_kw = await self.desk.outputs(step.tick, trades, prices)
        output_kw = self.outages.outputs(step.tick, self.desk.position.resources.owner, output_kw)
        outgoing: list[tuple[str, Message]] = []
        set_points = self.portfolio.set_points(output_kw)
        for name, devices in zip(self.names, set_points, strict=True):
            if not devices:
                continue  # A meter alone takes no commands.
            topic = self.node.topics.set_point(name)
            command = self.node.stamp(topic, SetPoint, step.tick, valid_s=self.valid_s, devices=devices)
            outgoing.append((topic, command))
        await self.node.publish_all(outgoing)
        await self.node.done(step.step, step.tick)
