"""Answers of many curves that are asked again and again at prices near the last ones."""

from __future__ import annotations

import numpy as np

from market.model.arrays import Floats, Ints
from market.model.bisection import last_within
from market.model.curves import NARROWEST, Curves


class Followed:
    """`market.model.curves.answer` that remembers on which piece each curve was asked last.

    Parameters
    ----------
    curves
        ``n`` curves.
    """

    def __init__(self, curves: Curves) -> None:
        n = len(curves)
        self._curves = curves
        self._low, self._high = np.full(n, np.inf), np.full(n, -np.inf)
        self._from_kw, self._from_price, self._slope = np.zeros((3, n))

    def at(self, price: Floats) -> tuple[Floats, Floats]:
        """Power at each curve's price, and how steeply it falls there, ``(n,)`` each."""
        left = np.flatnonzero((price < self._low) | (price >= self._high))
        if left.size:
            self._move(left, price[left])
        return self._from_kw - self._slope * (price - self._from_price), self._slope

    def some_at(self, some: Ints, price: Floats) -> tuple[Floats, Floats]:
        """`at` of some of the curves, ``(m,)`` each."""
        left = np.flatnonzero((price < self._low[some]) | (price >= self._high[some]))
        if left.size:
            self._move(some[left], price[left])
        slope = self._slope[some]
        return self._from_kw[some] - slope * (price - self._from_price[some]), slope

    def _move(self, some: Ints, price: Floats) -> None:
        """Put some curves on the pieces that hold their prices."""
        curves, first, end = self._curves, self._curves.start[some], self._curves.start[some + 1]
        here = last_within(curves.price, first, end - first, price)
        after = np.minimum(here + 1, end - 1)
        low, high = curves.price[here], curves.price[after]
        below = price < low
        width = high - low
        on_slope = ~below & (width > NARROWEST)
        slope = np.divide(curves.kw[here] - curves.kw[after], width, out=np.zeros(some.size), where=on_slope)
        self._low[some] = np.where(below, -np.inf, low)
        self._high[some] = np.where(below, low, np.where(here == end - 1, np.inf, high))
        self._from_kw[some], self._from_price[some], self._slope[some] = curves.kw[here], low, slope
