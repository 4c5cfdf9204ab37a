"""Maximal monotone staircases: which values a limited quantity may take at each price on its limit.

A network row is held at its lower limit by a negative price, free between its limits at price zero, and held
at its upper limit by a positive one. The grid's power is a staircase too: full export below the export
price, nothing between the two prices, full import above the import price. Steps to infinity at a very high
price make every limit elastic, so that a dual always has an optimum and an infeasible limit shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from market.model.arrays import Floats, Ints


@dataclass(frozen=True)
class Staircases:
    """``n`` staircases with ``k`` kinks each.

    Attributes
    ----------
    kink
        Prices at which the value is free within a riser, ascending, ``(n, k)``.
    level
        Value between the kinks, non-decreasing, ``(n, k+1)``.
    """

    kink: Floats
    level: Floats

    def take(self, rows: Ints) -> Staircases:
        """Staircases of some rows."""
        return Staircases(self.kink[rows], self.level[rows])

    def below(self, y: Floats) -> Ints:
        """Number of kinks strictly below each price, ``(n,)``."""
        return np.asarray((self._kinks < y).sum(axis=0))

    def upto(self, y: Floats) -> Ints:
        """Number of kinks at or below each price, ``(n,)``."""
        return np.asarray((self._kinks <= y).sum(axis=0))

    @cached_property
    def _kinks(self) -> Floats:
        """Kinks of all staircases by their order, ``(k, n)``."""
        return np.ascontiguousarray(self.kink.T)

    def admissible(self, y: Floats) -> tuple[Floats, Floats]:
        """Lowest and highest value at each price, ``(n,)`` each; they differ at kinks only."""
        row = np.arange(y.size)
        return self.level[row, self.below(y)], self.level[row, self.upto(y)]

    def riser(self, y: Floats) -> tuple[Floats, Floats]:
        """Kinks on either side of each price, ``(n,)`` each; the price itself at a kink."""
        row = np.arange(y.size)
        beyond = np.full((y.size, 1), np.inf)
        below = np.concatenate([-beyond, self.kink], axis=1)[row, self.upto(y)]
        above = np.concatenate([self.kink, beyond], axis=1)[row, self.below(y)]
        return np.minimum(below, y), np.maximum(above, y)
