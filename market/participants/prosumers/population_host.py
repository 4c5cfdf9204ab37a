"""Prosumers without hardware on the bus: one host speaks for many of them, in columns."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from broker.collector import Collector
from broker.messages import (
    AwardBatch,
    BidBatch,
    LamPrice,
    MeteredBatch,
    OpeningBatch,
    RoundBidBatch,
    Step,
    columns,
)
from broker.participant.node import Node
from broker.participant.voltages import FeederVoltages
from broker.snapshot import Values
from market.model.arrays import Floats
from market.model.strategy import TRUTHFUL, StrategyChoice
from market.participants.gates import early_gate, skip_step
from market.participants.outage import Outages
from market.participants.prosumers.bidder import Bidder
from market.participants.prosumers.horizon_bidding import HorizonBidding, Told
from market.participants.prosumers.portfolio import Portfolio
from market.participants.roster import Roster, Rules


class PopulationHost:
    """Service: bids, takes awards and acts for many prosumers without hardware, in columns.

    Parameters
    ----------
    take_voltages
        Called with the voltage of each LAM at the end of an interval, ``(M,)`` [pu], where demand follows it.
    """

    def __init__(
        self,
        node: Node,
        roster: Roster,
        rules: Rules,
        portfolio: Portfolio,
        choice: StrategyChoice = TRUTHFUL,
        take_voltages: Callable[[Floats], None] | None = None,
    ) -> None:
        self.node = node
        self.voltages = None if take_voltages is None else FeederVoltages(node, take_voltages)
        self.portfolio = portfolio
        self.members = roster.hosts[node.name]
        self.bidder = Bidder(node, roster, rules, self.members, choice)
        self.horizon = rules.horizon
        self.ahead = None if rules.horizon is None else HorizonBidding(node, self.members)
        self.awards: Collector[AwardBatch] = node.collector(
            {host: node.topics.award_batch(host, node.name) for host in roster.lam_hosts}
        )
        self.outages = Outages(node, roster, self.members)
        self.output_kw = np.zeros(0)
        self._dispatch_tick = -1
        node.on(
            node.topics.award_batch("+", node.name),
            lambda award: self.awards.add(award.sender, award.tick, award),
        )
        if not self.bidder.bids_curves:
            for host in roster.lam_hosts:
                node.on(node.topics.lam_price(host), partial(self._bid_at_prices, host))

    async def on_step(self, step: Step) -> None:
        """Bid, take awards and act, each in its step; in the last one hear the voltages."""
        if step.step == "bid":
            await self._bid(step)
        elif step.step == "dispatch" and self.bidder.bid_tick == step.tick:
            await self._dispatch(step)
        elif step.step == "act" and self._dispatch_tick == step.tick:
            await self._act(step)
        elif step.step in ("dispatch", "act"):
            await skip_step(self.node, step)
        elif step.step == "settle" and self.voltages is not None:
            await self.voltages.settle(step)

    async def snapshot(self) -> Values:
        """What bidder and portfolio remember."""
        return {**self.bidder.snapshot(), **self.portfolio.snapshot()}

    async def restore(self, values: Values) -> None:
        """See `broker.snapshot.Stateful`."""
        self.bidder.restore(values)
        self.portfolio.restore(values)
        self._dispatch_tick = -1

    async def _bid(self, step: Step) -> None:
        position = self.portfolio.position(step.tick, *await self._told(step))
        bids = self.bidder.bids(step.tick, position)
        topics, name = self.node.topics, self.node.name
        prosumer, reactive_kvar = columns.pack_index(self.members), columns.pack(position.reactive_kvar)
        if self.bidder.bids_curves:
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

    async def _told(self, step: Step) -> Told:
        """What the market over the horizon says of stores, where there is one."""
        if self.ahead is None or self.horizon is None:
            return Told()
        prospect = self.portfolio.prospect(step.tick, self.horizon.intervals)
        return await self.ahead.told(step, prospect)

    async def _bid_at_prices(self, lam_host: str, announced: LamPrice) -> None:
        """Bid at the prices that a LAM host announces."""
        if self.bidder.bid_tick != announced.tick:
            return
        bids = self.bidder.round_bids(announced, lam_host)
        await self.node.publish(
            self.node.topics.round_bid_batch(lam_host, self.node.name),
            RoundBidBatch,
            announced.tick,
            round=announced.round,
            prosumer=columns.pack_index(self.members[bids.place]),
            intercept_kw=columns.pack(bids.intercept_kw),
            slope=columns.pack(bids.slope),
        )

    async def _dispatch(self, step: Step) -> None:
        self._dispatch_tick = step.tick
        batches = await self.awards.wait(step.tick, early_gate(step))
        trades, prices = np.full((2, self.members.size), np.nan)
        utility_kw = np.zeros(self.members.size)
        for batch in batches.values():
            awarded = columns.unpack_index(batch.prosumer)
            places = np.searchsorted(self.members, awarded)
            trades[places] = columns.unpack(batch.trade_kw, awarded.size)
            prices[places] = columns.unpack(batch.price, awarded.size)
            if batch.utility_kw:
                utility_kw[places] = columns.unpack(batch.utility_kw, awarded.size)
        output_kw = await self.bidder.outputs(step.tick, trades, utility_kw, prices)
        self.output_kw = self.outages.outputs(step.tick, self.bidder.position.resources.owner, output_kw)
        await self.node.done(step.step, step.tick)

    async def _act(self, step: Step) -> None:
        metered = self.portfolio.act(step.tick, self.output_kw)
        fed = ~self.outages.unserved(step.tick)
        await self.node.publish(
            self.node.topics.metered(self.node.name),
            MeteredBatch,
            step.tick,
            prosumer=columns.pack_index(self.members),
            energy_kwh=columns.pack(metered.energy_kwh * fed),
            reactive_kvarh=columns.pack(metered.reactive_kvarh * fed),
        )
        await self.node.done(step.step, step.tick)
