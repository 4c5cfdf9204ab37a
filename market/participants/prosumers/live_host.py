"""Prosumers with devices on the bus: each has messages of its own, and acts by set-points."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from broker.collector import Collector
from broker.messages import (
    Award,
    CurveBid,
    LamPrice,
    Message,
    Opening,
    RoundBid,
    SetPoint,
    Step,
    Telemetry,
    columns,
)
from broker.participant.node import Node
from broker.participant.voltages import FeederVoltages
from broker.snapshot import Values
from market.model.arrays import Floats
from market.model.curves import Curves
from market.model.strategy import TRUTHFUL, StrategyChoice
from market.participants.gates import early_gate, skip_step
from market.participants.outage import Outages
from market.participants.prosumers.bidder import Bidder
from market.participants.prosumers.horizon_bidding import HorizonBidding, Told
from market.participants.prosumers.portfolio import LivePortfolio
from market.participants.roster import Roster, Rules


class LiveHost:
    """Service: bids and sets devices for prosumers that have some, by messages of their own for each.

    Parameters
    ----------
    valid_s
        How long a set-point is valid [s]; then the device falls back by itself.
    take_voltages
        Called with the voltage of each LAM at the end of an interval, ``(M,)`` [pu], where demand follows it.
    """

    def __init__(
        self,
        node: Node,
        roster: Roster,
        rules: Rules,
        portfolio: LivePortfolio,
        choice: StrategyChoice = TRUTHFUL,
        take_voltages: Callable[[Floats], None] | None = None,
        *,
        valid_s: float,
    ) -> None:
        self.node = node
        self.voltages = None if take_voltages is None else FeederVoltages(node, take_voltages)
        self.valid_s = valid_s
        self.portfolio = portfolio
        self.members = roster.live_members
        self.names = [roster.prosumers[member] for member in self.members]
        self.lams = [roster.lams[roster.lam[member]] for member in self.members]
        self.bidder = Bidder(node, roster, rules, self.members, choice)
        self.horizon = rules.horizon
        self.ahead = None if rules.horizon is None else HorizonBidding(node, self.members)
        self.outages = Outages(node, roster, self.members)
        topics = node.topics
        self.telemetry: Collector[Telemetry] = node.collector(
            {name: topics.telemetry("measure", name) for name in self.names}
        )
        self.awards: Collector[Award] = node.collector(
            {name: topics.award(lam, name) for name, lam in zip(self.names, self.lams, strict=True)}
        )
        measured = topics.telemetry("measure", "+")
        for name, lam in zip(self.names, self.lams, strict=True):
            node.on(topics.award(lam, name), partial(self._take_award, name), through=topics.award("+", "+"))
            node.on(topics.telemetry("measure", name), partial(self._take_telemetry, name), through=measured)
        if not self.bidder.bids_curves:
            for host in roster.lam_hosts:
                node.on(topics.lam_price(host), partial(self._bid_at_prices, host))

    def _take_telemetry(self, name: str, telemetry: Telemetry) -> None:
        if telemetry.phase == "measure":
            self.telemetry.add(name, telemetry.tick, telemetry)

    def _take_award(self, name: str, award: Award) -> None:
        self.awards.add(name, award.tick, award)

    async def on_step(self, step: Step) -> None:
        """Bid and turn awards into set-points, each in its step; in the last one hear the voltages."""
        if step.step == "bid":
            await self._bid(step)
        elif step.step == "dispatch" and self.bidder.bid_tick == step.tick:
            await self._dispatch(step)
        elif step.step == "dispatch":
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

    async def _bid(self, step: Step) -> None:
        telemetry = await self.telemetry.wait(step.tick, early_gate(step))
        told = Told()
        if self.ahead is not None and self.horizon is not None:
            prospect = self.portfolio.prospect(step.tick, telemetry, self.horizon.intervals)
            told = await self.ahead.told(step, prospect)
        position = self.portfolio.position(step.tick, telemetry, *told)
        bids = self.bidder.bids(step.tick, position)
        bid = self._curve_bids if self.bidder.bids_curves else self._range_bids
        await self.node.publish_all(bid(step.tick, bids, position.reactive_kvar.tolist()))

    def _curve_bids(
        self, tick: int, bids: Curves, reactive_kvar: Sequence[float]
    ) -> Iterator[tuple[str, Message]]:
        price, kw, start = columns.column_list(bids.price), columns.column_list(bids.kw), bids.start.tolist()
        for place, (lam, name) in enumerate(zip(self.lams, self.names, strict=True)):
            topic, vertices = self.node.topics.bid(lam, name), slice(start[place], start[place + 1])
            yield (
                topic,
                self.node.stamp(
                    topic,
                    CurveBid,
                    tick,
                    price=price[vertices],
                    kw=kw[vertices],
                    reactive_kvar=reactive_kvar[place],
                ),
            )

    def _range_bids(
        self, tick: int, bids: Curves, reactive_kvar: Sequence[float]
    ) -> Iterator[tuple[str, Message]]:
        low_kw, high_kw = bids.lowest_kw.tolist(), bids.highest_kw.tolist()
        for lam, name, low, high, kvar in zip(
            self.lams, self.names, low_kw, high_kw, reactive_kvar, strict=True
        ):
            topic = self.node.topics.opening(lam, name)
            yield topic, self.node.stamp(topic, Opening, tick, low_kw=low, high_kw=high, reactive_kvar=kvar)

    async def _bid_at_prices(self, lam_host: str, announced: LamPrice) -> None:
        """Bid at the prices that a LAM host announces."""
        if self.bidder.bid_tick != announced.tick:
            return
        bids = self.bidder.round_bids(announced, lam_host)
        outgoing: list[tuple[str, Message]] = []
        for at, place in enumerate(bids.place):
            topic = self.node.topics.round_bid(self.lams[place], self.names[place])
            bid = self.node.stamp(
                topic,
                RoundBid,
                announced.tick,
                round=announced.round,
                intercept_kw=float(bids.intercept_kw[at]),
                slope=float(bids.slope[at]) if bids.slope.size else None,
            )
            outgoing.append((topic, bid))
        await self.node.publish_all(outgoing)

    async def _dispatch(self, step: Step) -> None:
        awards = await self.awards.wait(step.tick, early_gate(step))
        trades = np.array([awards[name].trade_kw if name in awards else np.nan for name in self.names])
        prices = np.array([awards[name].price if name in awards else np.nan for name in self.names])
        utility_kw = np.array([awards[name].utility_kw if name in awards else 0.0 for name in self.names])
        output_kw = await self.bidder.outputs(step.tick, trades, utility_kw, prices)
        output_kw = self.outages.outputs(step.tick, self.bidder.position.resources.owner, output_kw)
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
