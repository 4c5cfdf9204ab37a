"""The utility as each member's outside option: trades and flows of members who can also deal with it.

A member's *flow* is what it draws from the feeder: its trade in the market and what it buys of the utility.
Its marginal value stays between the utility's two prices (market.md, section 7).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market.model.arrays import Floats, Ints
from market.model.curves import Curves, answer_of, respond, starts

ROUNDED_PRICE = 1e-11
"""Part of the utility's prices by which rounding may part one from a resource's cost that it meets."""


@dataclass(frozen=True)
class UtilityPrices:
    """What ``n`` members pay for a kWh of the utility, and get for one, charges of the feeder included.

    Attributes
    ----------
    low, high
        Selling and buying, ``(n,)`` each, low < high [$/kWh].
    """

    low: Floats
    high: Floats


class Outside:
    """Members with the utility behind them.

    Parameters
    ----------
    supply
        Flow over the marginal value of energy, n curves.
    prices
        The utility's.
    some
        Members that are asked for, where not all are; the utility's prices and all that follows are theirs.
    """

    def __init__(self, supply: Curves, prices: UtilityPrices, some: Ints | None = None) -> None:
        self._supply, self._prices, self._some = supply, prices, some
        # A resource that jumps at a price of the utility may miss it by rounding: both its ends count.
        self._slack = ROUNDED_PRICE * (np.abs(prices.low) + np.abs(prices.high))
        self._buying = self._respond(prices.high + self._slack)
        self._selling = self._respond(prices.low - self._slack)

    def trades(self) -> Curves:
        """Trade in the market over the marginal value, n curves; of all members.

        Between the utility's prices the trade is the flow. At the higher price a buyer takes the rest of its
        flow of the utility, so that its trade may be anything down to none; at the lower one a seller's
        likewise. Beyond both, curves are constant: nobody buys of the utility to sell.
        """
        supply, count = self._supply, np.diff(self._supply.start)
        high, low, slack = (
            np.repeat(each, count) for each in (self._prices.high, self._prices.low, self._slack)
        )
        inside = np.flatnonzero((supply.price >= low - slack) & (supply.price <= high + slack))
        # Two vertices on either side of those between the prices.
        before = np.searchsorted(inside, self._supply.start)
        start = before + 4 * np.arange(before.size)
        price, kw = np.empty(start[-1]), np.empty(start[-1])
        place = np.arange(inside.size) + np.repeat(start[:-1] - before[:-1] + 2, np.diff(before))
        price[place] = np.minimum(np.maximum(supply.price[inside], low[inside]), high[inside])
        kw[place] = supply.kw[inside]
        first, last = start[:-1], start[1:] - 1
        price[first] = price[first + 1] = self._prices.low
        price[last] = price[last - 1] = self._prices.high
        kw[first], kw[first + 1] = np.maximum(self._selling, 0.0), self._selling
        kw[last], kw[last - 1] = np.minimum(self._buying, 0.0), self._buying
        keep = np.ones(price.size, dtype=bool)
        keep[first], keep[last] = self._selling < 0.0, self._buying > 0.0
        return Curves(price[keep], kw[keep], starts(np.diff(start) - 2 + keep[first] + keep[last]))

    def flows(self, trade_kw: Floats) -> Floats:
        """Best flows beside trades, with the least trade of the utility, ``(n,)`` [kW]."""
        return np.minimum(np.maximum(trade_kw, self._buying), self._selling)

    def flow_ends(self, trade_kw: Floats) -> tuple[Floats, Floats]:
        """Least and most that flow as well beside trades, ``(n,)`` each [kW].

        They differ only where a resource jumps at a price of the utility.
        """
        low, high, slack = self._prices.low, self._prices.high, self._slack
        nearest = self.flows(trade_kw)
        least_buying, most_buying = self._buying, self._respond(high - slack)
        least_selling, most_selling = self._respond(low + slack), self._selling
        buys, sells = trade_kw <= most_buying, trade_kw >= least_selling
        least = np.where(buys, np.maximum(trade_kw, least_buying), nearest)
        most = np.where(sells, np.minimum(trade_kw, most_selling), nearest)
        return (
            np.minimum(np.where(sells, least_selling, least), nearest),
            np.maximum(np.where(buys, most_buying, most), nearest),
        )

    def _respond(self, price: Floats) -> Floats:
        """Flows at marginal values of those who are asked for [kW]."""
        if self._some is None:
            return respond(self._supply, price)
        return answer_of(self._supply, self._some, price)[0]
