"""What a host does for its prosumers whatever carries their words: bids, answers to prices, outputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from broker.messages import LamPrice, PositionBatch, columns
from broker.node import Node
from market.model.arrays import Floats, Ints
from market.model.curves import Curves
from market.model.response import disaggregate, supply_curves
from market.model.strategy import Conduct, View, bids_of
from market.participants.lam.sharing import alone
from market.participants.prosumers.portfolio import Position
from market.participants.roster import Roster, Rules, first_of
from market.rounds import CurveResponse


@dataclass(frozen=True)
class RoundBids:
    """Bids at announced prices: places in the group ``(m,)``, intercepts [kW] and slopes [kW per $/kWh]."""

    place: Ints
    intercept_kw: Floats
    slope: Floats


class Desk:
    """Bids and awards of a fixed group of prosumers, interval by interval.

    Attributes
    ----------
    tells_curves
        Whether one bid tells the whole response; else bids answer prices round by round.
    """

    def __init__(self, node: Node, roster: Roster, rules: Rules, members: Ints, conduct: Conduct) -> None:
        lam = self.lam = roster.lam[members]
        self.roster = roster
        self.tells_curves = rules.bidding == "curve"
        self.sensitivity = rules.case.sensitivity[lam]
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
            self.node.flag(
                f"the strategy failed {len(who)} prosumers, who bid truthfully ({first_of(who)}):"
                f" {bids.reason}"
            )
        self.response = CurveResponse(bids.curves)
        return bids.curves

    def round_bids(self, signal: LamPrice, lam_host: str) -> RoundBids:
        """What those members bid whose LAMs announce prices.

        Raises
        ------
        ValueError
            The host does not operate these LAMs, or columns do not fit each other.
        """
        lam = columns.unpack_index(signal.lam)
        if signal.sender != lam_host or not np.isin(lam, self.roster.lam_hosts[lam_host]).all():
            raise ValueError(f"{signal.sender} does not operate these LAMs")
        announced = np.full(len(self.roster.lams), np.nan)
        announced[lam] = columns.unpack(signal.price, lam.size)
        price = announced[self.lam]
        place = np.flatnonzero(np.isfinite(price))
        kw, slope = self.response.at(np.nan_to_num(price))
        told = slope[place] if self.rules.bidding == "slope" else np.zeros(0)
        return RoundBids(place, kw[place] + self.sensitivity[place] * price[place], told)

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
