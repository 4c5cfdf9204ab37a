"""Which rows of a network a clearing looks at: most never come near their limits, and are looked at once."""

from __future__ import annotations

import numpy as np

from market.model.arrays import Floats, Ints
from market.solver.elastic import Limits

FIRST = 24
"""Rows next to their limits that are watched from the first, beside those with a price and as many more."""


def watched(limits: Limits, row_price: Floats, kw: Floats) -> Ints:
    """Rows to begin with, ascending among the m relevant ones.

    Parameters
    ----------
    row_price
        Prices of the relevant rows near the solution, ``(m,)``; those with one are among them.
    kw
        Powers near it, ``(M,)`` [kW].
    """
    beyond_kw = limits.beyond_kw(kw)[1:]
    beyond_kw[row_price != 0.0] = np.inf
    return _largest(beyond_kw, FIRST + 2 * int(np.count_nonzero(row_price)))


def watched_too(limits: Limits, rows: Ints, kw: Floats) -> Ints | None:
    """The rows, those besides that powers ``(M,)`` miss, and some more; ``None`` if they miss none."""
    beyond_kw = limits.beyond_kw(kw)[1:]
    beyond_kw[rows] = -np.inf
    if not float(beyond_kw.max()) > limits.tolerance_kw:
        return None
    return np.union1d(rows, _largest(beyond_kw, max(FIRST, int((beyond_kw > 0.0).sum()))))


def among_all(rows: Ints, price: Floats, count: int) -> Floats:
    """Prices of the head's limit and of all rows, from those of the watched ones, ``(1 + count,)``."""
    every = np.zeros(1 + count)
    every[np.append(0, 1 + rows)] = price
    return every


def _largest(values: Floats, count: int) -> Ints:
    """Places of the ``count`` largest values, ascending."""
    return np.sort(np.argsort(values)[max(values.size - count, 0) :])
