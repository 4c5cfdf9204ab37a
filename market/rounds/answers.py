"""What parties answer to a price: the port that strategies and costs of any kind stand behind."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from market.model.arrays import Floats
from market.model.bisection import last_not_above
from market.model.curves import Curves
from market.model.pieces import fall


class Response(Protocol):
    """How ``n`` members answer local prices, each with its own strategic slope and fee inside."""

    @property
    def lowest_kw(self) -> Floats:
        """Least trades, at very high prices, ``(n,)`` [kW]."""
        ...

    @property
    def highest_kw(self) -> Floats:
        """Largest trades, at very low prices, ``(n,)`` [kW]."""
        ...

    def at(self, price: Floats) -> tuple[Floats, Floats]:
        """Trades ``(n,)`` [kW] at one price per member [$/kWh], and how steeply they fall, ``(n,)`` >= 0."""
        ...


class CurveResponse:
    """Members whose response is a piecewise-linear curve, which it is for quadratic costs.

    Parameters
    ----------
    curves
        One curve per member over its local price, as ``market.solver.clearing.member_curves`` gives.
    """

    def __init__(self, curves: Curves) -> None:
        self.curves = curves
        self._slope = fall(curves)

    @property
    def lowest_kw(self) -> Floats:
        """Least trades, ``(n,)`` [kW]."""
        return self.curves.lowest_kw

    @property
    def highest_kw(self) -> Floats:
        """Largest trades, ``(n,)`` [kW]."""
        return self.curves.highest_kw

    def at(self, price: Floats) -> tuple[Floats, Floats]:
        """Trades [kW] and slopes [kW per $/kWh] at one price per member, ``(n,)`` each."""
        curves = self.curves
        here = last_not_above(curves.price, curves.start, price)
        ahead = np.maximum(price - curves.price[here], 0.0)
        slope = np.where(price >= curves.price[here], self._slope[here], 0.0)
        kw = np.clip(curves.kw[here] - slope * ahead, curves.lowest_kw, curves.highest_kw)
        return kw, slope
