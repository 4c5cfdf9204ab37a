"""Bidding rules: what differs between the games that members and LAMs can play, and nothing else.

Under *generalised demand bidding* a party bids the intercept of a demand function and the grid stands behind
the wide-area market (market.md, sections 2 and 3). Under *quantity bidding* a member chooses what it shares,
has the utility as an outside option, and shared energy balances among the LAMs (market.md, section 7).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from market.model.arrays import Floats, Ints

RuleName = Literal["demand-function", "quantity"]

Conjecture = Literal["sharing", "price-taking"]

Anchor = Literal["price", "intercept"]
"""Which price of a LAM the WAM makes under quantity bidding: its local price, or that at ``Q_i = 0``."""


class Players(Protocol):
    """What a rule reads of a case with M LAMs."""

    @property
    def members(self) -> Ints:
        """Number of prosumers in each LAM, ``(M,)``."""
        ...

    @property
    def sensitivity(self) -> Floats:
        """Sensitivity a_i of the members' demand functions, ``(M,)`` [kW per $/kWh]."""
        ...

    @property
    def wam_sensitivity(self) -> float:
        """Sensitivity A of the LAMs' demand functions [kW per $/kWh]."""
        ...


class BiddingRule(Protocol):
    """What a case asks its rule for.

    Attributes
    ----------
    name
        In files and scenarios.
    has_utility
        Whether each member may trade with the utility beside sharing; the wide-area market then balances
        shared energy alone.
    """

    @property
    def name(self) -> RuleName:
        """See the class."""
        ...

    @property
    def has_utility(self) -> bool:
        """See the class."""
        ...

    def member_slope(self, players: Players) -> Floats:
        """Rise of the local price with a member's own trade, as the member reckons, ``(M,)``."""
        ...

    def lam_slope(self, players: Players) -> Floats:
        """What the local price is above the LAM's locational one per kW that the LAM buys, ``(M,)``."""
        ...

    def line_slope(self, players: Players) -> Floats:
        """Slope of the demand function that a plain bid of one member tells of, ``(M,)`` [kW per $/kWh]."""
        ...

    def wam_line_slope(self, players: Players) -> Floats:
        """The same for the bid of a LAM into the WAM, ``(M,)`` [kW per $/kWh]."""
        ...


@dataclass(frozen=True)
class DemandFunctionBidding:
    """Generalised demand (supply-function) bidding.

    Attributes
    ----------
    conjecture
        Whether a LAM expects that its trade moves the price ("sharing"), or not ("price-taking").
    """

    conjecture: Conjecture = "sharing"
    name: RuleName = "demand-function"
    has_utility: bool = False

    def member_slope(self, players: Players) -> Floats:
        """k_i = 1 / (a_i (N_i - 1)), 0 for a lone member (market.md, (2.3))."""
        others = players.members - 1
        return np.divide(1.0, players.sensitivity * others, out=np.zeros(others.size), where=others > 0)

    def lam_slope(self, players: Players) -> Floats:
        """K = 1 / (A (M - 1)), 0 for a lone or price-taking LAM (market.md, (3.3))."""
        lams = players.members.size
        shares = lams > 1 and self.conjecture == "sharing"
        return np.full(lams, 1.0 / (players.wam_sensitivity * (lams - 1)) if shares else 0.0)

    def line_slope(self, players: Players) -> Floats:
        """The sensitivity a_i itself."""
        return players.sensitivity

    def wam_line_slope(self, players: Players) -> Floats:
        """The sensitivity A itself."""
        return np.full(players.members.size, players.wam_sensitivity)


GENERALISED_DEMAND = DemandFunctionBidding()
"""Demand bidding among LAMs that reckon with their effect on the price."""


@dataclass(frozen=True)
class QuantityBidding:
    """Quantity (Cournot) bidding with the utility as each member's outside option.

    Attributes
    ----------
    price_slope
        Rise k_i of each LAM's price with its shortage, ``(M,)`` > 0 [$/kWh per kW].
    anchor
        "price": the local price is the locational one. "intercept": the local price at ``Q_i = 0`` is.
    """

    price_slope: Floats
    anchor: Anchor = "price"
    name: RuleName = "quantity"
    has_utility: bool = True

    def member_slope(self, players: Players) -> Floats:  # noqa: ARG002 - the rule's own parameter
        """k_i, whatever N_i is: a member's own trade moves the price by it."""
        return self.price_slope

    def lam_slope(self, players: Players) -> Floats:  # noqa: ARG002
        """K_i: zero, or k_i where the intercept is the locational price."""
        return self.price_slope if self.anchor == "intercept" else np.zeros(self.price_slope.size)

    def line_slope(self, players: Players) -> Floats:  # noqa: ARG002
        """1 / k_i, the steepest that any member's answer can be."""
        return 1.0 / self.price_slope

    def wam_line_slope(self, players: Players) -> Floats:
        """N_i / k_i, the steepest that any LAM's answer can be."""
        return players.members / self.price_slope
