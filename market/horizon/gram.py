"""How limits' values fall with each other's prices."""

from __future__ import annotations

import numpy as np

from market.horizon.compiled import compiled
from market.model.arrays import Floats, Ints


@compiled
def gram_of(A: Floats, interval: Ints, fall: Floats, known: Floats) -> Floats:
    """Fall of limits' values with their prices, ``(n, n)``.

    Parameters
    ----------
    A, interval
        Sensitivities ``(n, M)`` of the limits and their intervals ``(n,)``.
    fall
        Of net purchases with locational prices, symmetric in the intervals, ``(T, T, M)``.
    known
        The result for the first of the limits, ``(k, k)``.
    """
    n, k = interval.size, known.shape[0]
    found = np.empty((n, n))
    found[:k, :k] = known
    for i in range(k, n):
        for j in range(i + 1):
            total = 0.0
            here = fall[interval[i], interval[j]]
            for lam in range(A.shape[1]):
                total += A[i, lam] * here[lam] * A[j, lam]
            found[i, j] = total
            found[j, i] = total
    return found
