"""Members with the utility behind them in rounds of bidding: what they answer, and what is learnt from it.

A LAM announces its local price and the charge for what flows; a member answers with its flow. What it trades
follows from that, for the utility's prices are public (market.md, (7.4)). Each answer is a point of the
member's response without the utility, at the local price at which it would want the same.
"""

from __future__ import annotations

import numpy as np

from market.model.arrays import Bools, Floats, Ints
from market.model.case import Tariff
from market.model.curves import Curves, shift
from market.rounds.answers import CurveResponse
from market.rounds.estimates import Form, estimate_for
from market.rounds.tangents import Tangents

SAME_PRICE = 1e-7
"""Two answers at marginal values this near are the two sides of a jump [$/kWh]."""

ASIDE = 0.25 * SAME_PRICE
"""How far beside a charge members are asked who stay at odds with it: first above, then below [$/kWh]."""


class FlowResponse:
    """How ``n`` members with the utility behind them answer.

    Parameters
    ----------
    bids
        Each one's trade over its local price if nobody dealt with the utility, n curves.
    slope
        Rise k_i of the local price with its own trade, ``(n,)`` > 0 [$/kWh per kW].
    """

    def __init__(self, bids: Curves, slope: Floats) -> None:
        self._inner = CurveResponse(bids)
        self._supply = CurveResponse(shift(bids, -slope))
        self._slope = slope
        self.lowest_kw, self.highest_kw = bids.lowest_kw, bids.highest_kw

    def at(self, price: Floats, charge: Floats, tariff: Tariff) -> tuple[Floats, Floats]:
        """Flows [kW] at local prices and charges, and slopes of the response without the utility there.

        Parameters
        ----------
        price, charge
            One of each per member, ``(n,)`` [$/kWh].
        tariff
            The utility's prices.

        Returns
        -------
        flow_kw, slope
            ``(n,)`` each [kW, kW per $/kWh].
        """
        k = self._slope
        trade_kw, trade_slope = self._inner.at(price)
        value = price + k * trade_kw
        bound = np.clip(value, *tariff.with_charge(charge))
        flow_kw, supply_slope = self._supply.at(bound)
        deals = bound != value
        # Who sells to the utility flows no more than it shares, and who buys no less, also where flows jump.
        shared_kw = (bound - price) / k
        flow_kw = np.where(bound > value, np.minimum(flow_kw, shared_kw), np.maximum(flow_kw, shared_kw))
        # A flow that jumps there falls as steeply as the price that it moves lets it.
        slope = np.divide(supply_slope, 1.0 + k * supply_slope)
        return np.where(deals, flow_kw, trade_kw), np.where(deals, slope, trade_slope)


def price_without_utility(
    flow_kw: Floats, price: Floats, charge: Floats, slope: Floats, tariff: Tariff
) -> Floats:
    """Local prices at which members would trade so if they could not deal with the utility, ``(n,)``."""
    low, high = tariff.with_charge(charge)
    return np.clip(price, low - slope * flow_kw, high - slope * flow_kw)


class FlowBeliefs:
    """What is believed of ``n`` members, by their answers.

    Parameters
    ----------
    form
        ``"plain"`` or ``"slope"``.
    slope
        As for `FlowResponse`.
    low_kw, high_kw
        Ranges of their flows, ``(n,)`` [kW].
    price
        Local price at which a member without an answer is taken to be in the middle, ``(n,)`` [$/kWh].
    """

    def __init__(self, form: Form, slope: Floats, low_kw: Floats, high_kw: Floats, price: Floats) -> None:
        estimate = estimate_for(form, 0.5 / slope, low_kw, high_kw, price)
        assert isinstance(estimate, Tangents)
        self._estimate, self._slope = estimate, slope

    @property
    def curves(self) -> Curves:
        """Each member's trade over its local price without the utility, as believed, n curves."""
        return no_steeper(self._estimate.curves, self._slope)

    def learn(
        self, who: Ints, price: Floats, charge: Floats, flow_kw: Floats, slope: Floats, tariff: Tariff
    ) -> None:
        """Take in what the members ``who`` answered to local prices and charges, all ``(m,)``."""
        at = price_without_utility(flow_kw, price, charge, self._slope[who], tariff)
        self._estimate.learn(who, at, flow_kw, slope)

    def forget(self, who: Ints, low_kw: Floats, high_kw: Floats) -> None:
        """Begin anew with the members ``who``, whose ranges are these now, ``(m,)`` [kW]."""
        self._estimate.forget(who, low_kw, high_kw)

    def agree(
        self, flow_kw: Floats, price: Floats, charge: Floats, tariff: Tariff, tolerance_kw: float
    ) -> Bools:
        """Whether members are known to take flows at these prices, ``(n,)``: so, or within a jump."""
        k = self._slope
        near_kw = tolerance_kw * self._estimate.fineness
        known_kw = FlowResponse(self.curves, k).at(price, charge, tariff)[0]
        value = np.clip(price + k * flow_kw, *tariff.with_charge(charge))
        jumps = np.ones(flow_kw.size, dtype=bool)
        for side in self._estimate.around(flow_kw):
            # A comparison with a side that is not known is never true.
            jumps &= np.abs(side.price + k * side.kw - value) <= SAME_PRICE
        return jumps | (np.abs(flow_kw - known_kw) <= near_kw)


def aside_of(last: Floats, moved: Floats) -> Floats:
    """How far beside their charges to ask: not at all where these moved, else above and below in turn.

    A member whose flow jumps at a price of the utility answers one end of it, however often it is asked.

    Parameters
    ----------
    last
        The same in the last round, ``(n,)`` [$/kWh].
    moved
        By how much charges moved since then, ``(n,)`` [$/kWh]; NaN in the first round.
    """
    stands = np.abs(moved) <= ASIDE
    return np.where(stands, np.where(last > 0.0, -ASIDE, ASIDE), 0.0)


def no_steeper(curves: Curves, slope: Floats) -> Curves:
    """Curves of `Tangents` whose guesses between two answers fall no more steeply than any response can.

    Where they would, the fall is put in the middle of the marginal values that the answers stand for.

    Parameters
    ----------
    curves
        n curves as `Tangents.curves` gives them: two vertices beyond the answers on either side, and two
        between every two answers.
    slope
        As for `FlowResponse`; no response falls more steeply than by its inverse.
    """
    price, kw, count = curves.price.copy(), curves.kw.copy(), np.diff(curves.start)
    place = np.arange(price.size) - np.repeat(curves.start[:-1], count)
    left = np.flatnonzero((place % 3 == 0) & (place > 2) & (place < np.repeat(count, count) - 3))
    k = np.repeat(slope, count)[left]
    ends = left[:, None] + np.arange(-1, 3)
    value = price[ends] + k[:, None] * kw[ends]
    steep = (np.diff(value, axis=1) < 0).any(axis=1)
    left, k, low, high = left[steep], k[steep], value[steep, 0], value[steep, 3]
    middle, tenth = 0.5 * (low + high), 0.1 * np.maximum(high - low, 0.0)
    for one, end, at in ((left, left - 1, middle - tenth), (left + 1, left + 2, middle + tenth)):
        price[one], kw[one] = at - k * kw[end], kw[end]
    # Rounding must not put a guess beyond the answers on either side.
    price[left] = np.clip(price[left], price[left - 1], price[left + 2])
    price[left + 1] = np.clip(price[left + 1], price[left], price[left + 2])
    return Curves(price, kw, curves.start)
