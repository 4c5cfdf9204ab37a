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
        Of net purchases with locational prices, ``(M, T, T)``, symmetric in the intervals but for rounding.
    known
        The result for the first of the limits, ``(k, k)``.
    """
    n, k = interval.size, known.shape[0]
    found = np.zeros((n, n))
    found[:k, :k] = known
    for lam in range(A.shape[1]):
        felt, here = A[:, lam].copy(), fall[lam]
        for i in range(k, n):
            if felt[i] == 0.0:
                continue
            t = interval[i]
            for j in range(i + 1):
                u = interval[j]
                found[i, j] += felt[i] * (0.5 * (here[t, u] + here[u, t])) * felt[j]
    for i in range(k, n):
        for j in range(i):
            found[j, i] = found[i, j]
    return found
