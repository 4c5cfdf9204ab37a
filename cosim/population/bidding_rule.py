"""The rule of a scenario's market, and how far prosumers reckon that they move the price of their LAM."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.scenario.arrays import Floats, Indices
from cosim.scenario.market_section import MarketSection
from market.model.rule import BiddingRule, DemandFunctionBidding, QuantityBidding


@dataclass(frozen=True)
class _Players:
    members: Indices
    sensitivity: Floats
    wam_sensitivity: float


def bidding_rule(market: MarketSection, members: Indices) -> BiddingRule:
    """Rule of a market of LAMs with so many members each, ``(M,)``."""
    if market.rule == "quantity":
        return QuantityBidding(market.price_span / members, market.anchor)
    return DemandFunctionBidding(market.conjecture)


def price_slopes(market: MarketSection, members: Indices) -> Floats:
    """Rise of each LAM's price with a member's own trade, as it reckons, ``(M,)`` [$/kWh per kW]."""
    players = _Players(members, np.full(members.size, market.lam_sensitivity), market.wam_sensitivity)
    return bidding_rule(market, members).member_slope(players)
