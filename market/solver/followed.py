"""Answers of many curves that are asked again and again at prices near the last ones."""

from __future__ import annotations

import numpy as np

from market.model.arrays import Bools, Floats, Ints
from market.model.bisection import last_within
from market.model.curves import NARROWEST, Curves


class Followed:
    """`market.model.curves.answer` that remembers on which piece each curve was asked last.

    Parameters
    ----------
    curves
        ``n`` curves.
    like
        Curves with as many vertices each that were asked at prices near those to come, if there are such.
    """

    def __init__(self, curves: Curves, like: Followed | None = None) -> None:
        n = len(curves)
        self._curves = curves
        self._here = curves.start[:-1].copy()
        self._low, self._high = np.full(n, np.inf), np.full(n, -np.inf)
        self._from_kw, self._from_price, self._slope = np.zeros((3, n))
        if like is not None:
            asked = np.flatnonzero(like._low < like._high)
            self._put(asked, like._here[asked], like._low[asked] > -np.inf)

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

    def behind(self, some: Ints) -> Ints:
        """Vertex behind which each of some curves was asked last, ``(m,)``; its first where below that."""
        return self._here[some]

    def _move(self, some: Ints, price: Floats) -> None:
        """Put some curves on the pieces that hold their prices."""
        curves, first, end = self._curves, self._curves.start[some], self._curves.start[some + 1]
        here = last_within(curves.price, first, end - first, price)
        self._put(some, here, price >= curves.price[here])

    def _put(self, some: Ints, here: Ints, is_behind: Bools) -> None:
        """Put some curves behind their vertices ``here``, or before these, where they are the first."""
        curves, end = self._curves, self._curves.start[some + 1]
        after = np.minimum(here + 1, end - 1)
        low, high = curves.price[here], curves.price[after]
        width = high - low
        on_slope = is_behind & (width > NARROWEST)
        slope = np.divide(curves.kw[here] - curves.kw[after], width, out=np.zeros(some.size), where=on_slope)
        self._here[some] = here
        self._low[some] = np.where(is_behind, low, -np.inf)
        self._high[some] = np.where(is_behind, np.where(here == end - 1, np.inf, high), low)
        self._from_kw[some], self._from_price[some], self._slope[some] = curves.kw[here], low, slope
