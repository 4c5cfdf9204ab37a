"""How a host's prosumers bid and act, whichever messages carry it: bids, answers to prices, outputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from broker.messages import LamPrice, PositionBatch, columns
from broker.participant.node import Node
from broker.snapshot import Values, array_of
from market.model.arrays import Floats, Ints
from market.model.curves import Curves
from market.model.response import disaggregate, supply_curves
from market.model.strategy import StrategyChoice, View, bids_of
from market.model.ties import settle_ties
from market.participants.prosumers.portfolio import Position
from market.participants.roster import Roster, Rules, first_of
from market.participants.tariffs import trade_against_tariff
from market.rounds import CurveResponse, FlowResponse


@dataclass(frozen=True)
class RoundBids:
    """Bids at announced prices.

    Attributes
    ----------
    place
        Who bids: indices into the bidder's members, ``(m,)``.
    intercept_kw
        Intercepts of their demand functions, ``(m,)`` [kW].
    slope
        How steeply their trades fall with the price [kW per $/kWh]: ``(m,)`` in slope bids, else empty.
    """

    place: Ints
    intercept_kw: Floats
    slope: Floats


class Bidder:
    """Bids and awards of a fixed group of prosumers, interval by interval.

    Attributes
    ----------
    bids_curves
        Whether one bid holds the whole price response; else bids answer prices round by round.
    bid_tick
        Tick of the last bids; -1 before the first.
    position
        Conditions of the members in that tick.
    """

    position: Position

    def __init__(
        self, node: Node, roster: Roster, rules: Rules, members: Ints, choice: StrategyChoice
    ) -> None:
        self.node = node
        self.roster = roster
        self.rules = rules
        self.members = members
        self.bids_curves = rules.bidding == "curve"
        self.bid_tick = -1
        self._names = tuple(roster.prosumers[member] for member in members)
        self._rating_kw = roster.rating_kw[members]
        lam = self._lam = roster.lam[members]
        self._line_slope = rules.case.rule.line_slope(rules.case)[lam]
        self._slope = rules.case.slope[lam]
        self._fee = rules.case.fee[lam]
        self._strategy = choice.strategy
        everyone = np.ones(members.size, dtype=bool)
        self._follows = everyone if choice.follows is None else choice.follows[members]
        self._last_price = np.full(members.size, np.nan)
        self._last_kw = np.full(members.size, np.nan)

    def bids(self, tick: int, position: Position) -> Curves:
        """What every member bids by its strategy, as curves over the local price.

        A member whose strategy failed bids truthfully, and is flagged.
        """
        self.bid_tick = tick
        self.position = position
        self._supply = supply_curves(position.demand_kw, position.resources)
        for note in position.notes:
            self.node.flag(f"{self.node.name}: {note}")
        bids = bids_of(self._strategy, self._view(tick), self._follows, self._rating_kw)
        if bids.failed.any():
            who = [self._names[place] for place in np.flatnonzero(bids.failed)]
            self.node.flag(
                f"the strategy failed {len(who)} prosumers, who bid truthfully ({first_of(who)}):"
                f" {bids.reason}"
            )
        self._response = CurveResponse(bids.curves)
        self._flows = FlowResponse(bids.curves, self._slope) if self.rules.case.rule.has_utility else None
        return bids.curves

    def round_bids(self, announced: LamPrice, lam_host: str) -> RoundBids:
        """Bids of the members whose LAMs announce prices.

        Raises
        ------
        ValueError
            The sender does not operate these LAMs, or columns do not fit each other.
        """
        lam = columns.unpack_index(announced.lam)
        if announced.sender != lam_host or not np.isin(lam, self.roster.lam_hosts[lam_host]).all():
            raise ValueError(f"{announced.sender} does not operate these LAMs")
        price_of_lam = np.full(len(self.roster.lams), np.nan)
        price_of_lam[lam] = columns.unpack(announced.price, lam.size)
        price = price_of_lam[self._lam]
        place = np.flatnonzero(np.isfinite(price))
        kw, slope = self._answers(announced, lam, np.nan_to_num(price))
        return RoundBids(
            place=place,
            intercept_kw=kw[place] + self._line_slope[place] * price[place],
            slope=slope[place] if self.rules.bidding == "slope" else np.zeros(0),
        )

    def _answers(self, announced: LamPrice, lam: Ints, price: Floats) -> tuple[Floats, Floats]:
        """What all members want at local prices ``(n,)``, and how steeply that falls, ``(n,)`` each."""
        if self._flows is None:
            return self._response.at(price)
        charge_of_lam = np.zeros(len(self.roster.lams))
        charge_of_lam[lam] = columns.unpack(announced.charge, lam.size)
        return self._flows.at(price, charge_of_lam[self._lam], self.rules.terms(announced.tick).tariff)

    def snapshot(self) -> Values:
        """Price and trade of the last awards."""
        return {"last_price": self._last_price, "last_kw": self._last_kw}

    def restore(self, values: Values) -> None:
        """Go on from a snapshot, before the next bids; raises ``ValueError`` where it is another's."""
        self._last_price = array_of(values, "last_price", self._last_price)
        self._last_kw = array_of(values, "last_kw", self._last_kw)
        self.bid_tick = -1

    def _view(self, tick: int) -> View:
        return View(
            tick=tick,
            prosumer=self._names,
            demand_kw=self.position.demand_kw,
            resources=self.position.resources,
            value=self._supply.curves,
            slope=self._slope,
            fee=self._fee,
            last_price=self._last_price,
            last_kw=self._last_kw,
            tariff=self.rules.terms(tick).tariff,
        )

    async def outputs(self, tick: int, trade_kw: Floats, utility_kw: Floats, price: Floats) -> Floats:
        """Resource outputs that make the members' trades true.

        Publishes the members' true position too, for the benchmarks.

        Parameters
        ----------
        trade_kw, utility_kw, price
            Awards: traded and bought of the utility besides [kW], and what the trade costs [$/kWh],
            ``(n,)`` each; trade and price are NaN where a member got none: it then acts as if it had only
            the utility's tariff.

        Returns
        -------
        Floats
            Outputs of the position's resources, ``(r,)`` [kW].
        """
        self._last_kw, self._last_price = trade_kw, price
        without_award = np.isnan(trade_kw)
        if without_award.any():
            count = int(without_award.sum())
            self.node.flag(f"{count} prosumers of {self.node.name} got no award and act alone")
            own_kw = trade_against_tariff(self._supply.curves, self.rules.terms(tick).tariff)
            trade_kw = np.where(without_award, own_kw, trade_kw)
            utility_kw = np.where(without_award, 0.0, utility_kw)
        output_kw = disaggregate(self._supply, trade_kw + utility_kw)
        if self.position.wanted_kw is not None:
            output_kw = settle_ties(self.position.resources, output_kw, self.position.wanted_kw)
        await self._publish_position(tick, output_kw)
        return output_kw

    async def _publish_position(self, tick: int, output_kw: Floats) -> None:
        position, resources = self.position, self.position.resources
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
