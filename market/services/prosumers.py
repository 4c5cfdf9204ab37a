"""Prosumers on the bus: they turn what they know into bids, and awards into what their devices do.

``PopulationHost`` speaks for many prosumers in columns; ``LiveHost`` speaks for prosumers with devices
of their own, one message each, and acts only through set-points.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt

from broker import columns
from broker.collector import Collector
from broker.messages import (
    Award,
    AwardBatch,
    BidBatch,
    CurveBid,
    DeviceSetPoint,
    Message,
    MeteredBatch,
    PositionBatch,
    SetPoint,
    Step,
    Telemetry,
)
from broker.node import Node
from market.case import Resources
from market.curves import Curves, respond, shift
from market.response import disaggregate, supply_curves
from market.services.gates import halfway, sit_out
from market.services.roster import Roster, Rules, Terms
from market.strategy import Conduct, Truthful, View, bids_of

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Position:
    """What a host's ``n`` prosumers face in one interval.

    Attributes
    ----------
    demand_kw, reactive_kvar
        Inflexible net demand and reactive power, ``(n,)``.
    resources
        What they can do about it; owners are positions in the host.
    notes
        What went wrong in forming it.
    """

    demand_kw: Floats
    reactive_kvar: Floats
    resources: Resources
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Metered:
    """Net import [kWh] and reactive energy [kvarh] of an interval, ``(n,)`` each."""

    energy_kwh: Floats
    reactive_kvarh: Floats


class Portfolio(Protocol):
    """Prosumers without hardware: where they stand, and what really happens to them."""

    def position(self, tick: int) -> Position:
        """Expected position at gate closure."""
        ...

    def act(self, tick: int, output_kw: Floats) -> Metered:
        """Let the interval pass with resource outputs ``(r,)`` of the last position as set-points."""
        ...


class LivePortfolio(Protocol):
    """Live prosumers: their position follows from telemetry, their will from set-points."""

    def position(self, tick: int, telemetry: dict[str, Telemetry]) -> Position:
        """Expected position at gate closure, from readings by prosumer name."""
        ...

    def set_points(self, output_kw: Floats) -> list[list[DeviceSetPoint]]:
        """Set-points of each prosumer's devices for resource outputs ``(r,)`` of the last position."""
        ...


TRUTHFUL = Conduct(Truthful())
"""Everyone bids its best response."""


def alone(values: Curves, terms: Terms) -> Floats:
    """Trade of each prosumer that faces only the utility's tariffs, ``(n,)`` [kW] (market.md, section 4)."""
    tariff = terms.tariff
    middle, band = 0.5 * (tariff.retail + tariff.feed_in), 0.5 * (tariff.retail - tariff.feed_in)
    return respond(shift(values, 0.0, band), np.full(len(values), middle))


class _Desk:
    """Bids and awards of a fixed group of prosumers, interval by interval."""

    def __init__(self, node: Node, roster: Roster, rules: Rules, members: Indices, conduct: Conduct) -> None:
        lam = roster.lam[members]
        self.node = node
        self.rules = rules
        self.members = members
        self.names = tuple(roster.prosumers[member] for member in members)
        self.rating_kw = roster.rating_kw[members]
        self.slope = rules.case.slope[lam]
        self.fee = rules.case.fee[lam]
        self.strategy = conduct.strategy
        everyone = np.ones(members.size, dtype=bool)
        self.follows = everyone if conduct.follows is None else conduct.follows[members]
        self.last_price = np.full(members.size, np.nan)
        self.last_kw = np.full(members.size, np.nan)
        self.bid_tick = -1

    def bids(self, tick: int, position: Position) -> Curves:
        """What every member bids, by its strategy; who is failed by it tells the truth, and is flagged."""
        self.bid_tick = tick
        self.position = position
        self.supply = supply_curves(position.demand_kw, position.resources)
        for note in position.notes:
            self.node.flag(f"{self.node.name}: {note}")
        bids = bids_of(self.strategy, self._view(tick), self.follows, self.rating_kw)
        if bids.failed.any():
            who = [self.names[place] for place in np.flatnonzero(bids.failed)]
            named = ", ".join(who[:5]) + (", ..." if len(who) > 5 else "")
            self.node.flag(
                f"the strategy failed {len(who)} prosumers, who bid truthfully ({named}): {bids.reason}"
            )
        return bids.curves

    def _view(self, tick: int) -> View:
        return View(
            tick=tick,
            prosumer=self.names,
            demand_kw=self.position.demand_kw,
            resources=self.position.resources,
            value=self.supply.curves,
            slope=self.slope,
            fee=self.fee,
            last_price=self.last_price,
            last_kw=self.last_kw,
            tariff=self.rules.terms(tick).tariff,
        )

    async def outputs(self, tick: int, trade_kw: Floats, price: Floats) -> Floats:
        """Resource outputs that meet the awarded trades; NaN marks a member that got none and acts alone.

        Publishes the members' true position beside it, for the benchmarks.
        """
        self.last_kw, self.last_price = trade_kw, price
        unserved = np.isnan(trade_kw)
        if unserved.any():
            self.node.flag(f"{int(unserved.sum())} prosumers of {self.node.name} got no award and act alone")
            trade_kw = np.where(unserved, alone(self.supply.curves, self.rules.terms(tick)), trade_kw)
        position, resources = self.position, self.position.resources
        output_kw = disaggregate(self.supply, trade_kw)
        await self.node.publish(
            self.node.topics.position(self.node.name),
            PositionBatch,
            tick,
            prosumer=columns.pack_index(self.members),
            demand_kw=columns.pack(position.demand_kw),
            owner=columns.pack_index(self.members[resources.owner]),
            min_kw=columns.pack(resources.min_kw),
            max_kw=columns.pack(resources.max_kw),
            cost_linear=columns.pack(resources.cost_linear),
            cost_quadratic=columns.pack(resources.cost_quadratic),
            output_kw=columns.pack(output_kw),
        )
        return output_kw


class PopulationHost:
    """Service: many prosumers without hardware, in columns."""

    def __init__(
        self, node: Node, roster: Roster, rules: Rules, portfolio: Portfolio, conduct: Conduct = TRUTHFUL
    ) -> None:
        self.node = node
        self.portfolio = portfolio
        self.members = roster.hosts[node.name]
        self.desk = _Desk(node, roster, rules, self.members, conduct)
        self.awards: Collector[AwardBatch] = Collector(roster.lam_hosts)
        self.output_kw = np.zeros(0)
        self._dispatch_tick = -1
        node.on(
            node.topics.award_batch("+", node.name),
            lambda award: self.awards.add(award.sender, award.tick, award),
        )

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
        await self.node.publish(
            self.node.topics.bid_batch(self.node.name),
            BidBatch,
            step.tick,
            prosumer=columns.pack_index(self.members),
            count=columns.pack_index(np.diff(bids.start)),
            price=columns.pack(bids.price),
            kw=columns.pack(bids.kw),
            reactive_kvar=columns.pack(position.reactive_kvar),
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
        self.output_kw = await self.desk.outputs(step.tick, trades, prices)
        await self.node.done(step.step, step.tick)

    async def _act(self, step: Step) -> None:
        metered = self.portfolio.act(step.tick, self.output_kw)
        await self.node.publish(
            self.node.topics.metered(self.node.name),
            MeteredBatch,
            step.tick,
            prosumer=columns.pack_index(self.members),
            energy_kwh=columns.pack(metered.energy_kwh),
            reactive_kvarh=columns.pack(metered.reactive_kvarh),
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
        self.desk = _Desk(node, roster, rules, self.members, conduct)
        self.telemetry: Collector[Telemetry] = Collector(self.names)
        self.awards: Collector[Award] = Collector(self.names)
        topics = node.topics
        measured = topics.telemetry("measure", "+")
        for name, lam in zip(self.names, self.lams, strict=True):
            node.on(topics.award(lam, name), partial(self._take_award, name), through=topics.award("+", "+"))
            node.on(topics.telemetry("measure", name), partial(self._take_telemetry, name), through=measured)

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
        outgoing: list[tuple[str, Message]] = []
        for place, (name, lam) in enumerate(zip(self.names, self.lams, strict=True)):
            vertices = slice(bids.start[place], bids.start[place + 1])
            topic = self.node.topics.bid(lam, name)
            bid = self.node.stamp(
                topic,
                CurveBid,
                step.tick,
                price=columns.column_list(bids.price[vertices]),
                kw=columns.column_list(bids.kw[vertices]),
                reactive_kvar=float(position.reactive_kvar[place]),
            )
            outgoing.append((topic, bid))
        await self.node.publish_all(outgoing)

    async def _dispatch(self, step: Step) -> None:
        awards = await self.awards.wait(step.tick, halfway(step))
        trades = np.array([awards[name].trade_kw if name in awards else np.nan for name in self.names])
        prices = np.array([awards[name].price if name in awards else np.nan for name in self.names])
        output_kw = await self.desk.outputs(step.tick, trades, prices)
        outgoing: list[tuple[str, Message]] = []
        set_points = self.portfolio.set_points(output_kw)
        for name, devices in zip(self.names, set_points, strict=True):
            topic = self.node.topics.set_point(name)
            command = self.node.stamp(topic, SetPoint, step.tick, valid_s=self.valid_s, devices=devices)
            outgoing.append((topic, command))
        await self.node.publish_all(outgoing)
        await self.node.done(step.step, step.tick)
