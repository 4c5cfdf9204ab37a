"""How limits' values fall with each other's prices."""

from __future__ import annotations

import numpy as np

from market.horizon.compiled import compiled
from market.model.arrays import Bools, Floats, Ints


@compiled
def gram_of(A: Floats, interval: Ints, inverse: Floats, ease: Floats, trades: Bools, known: Floats) -> Floats:
    """Fall of limits' values with their prices, ``(n, n)``.

    Where a LAM trades in both intervals, its net purchase falls with a locational price by ``E - E G E``, and
    not at all where it rests in either: ``G`` is the inverse and ``E`` the ease of
    `market.horizon.response.Response`.

    Parameters
    ----------
    A, interval
        Sensitivities ``(n, M)`` of the limits and their intervals ``(n,)``.
    inverse, ease, trades
        Of a response, ``(M, T, T)``, symmetric in the intervals but for rounding, and ``(M, T)`` each.
    known
        The result for the first of the limits, ``(k, k)``.
    """
    n, k = interval.size, known.shape[0]
    found = np.zeros((n, n))
    found[:k, :k] = known
    felt = np.empty(n)
    for lam in range(A.shape[1]):
        here = inverse[lam]
        for i in range(n):
            t = interval[i]
            felt[i] = A[i, lam] * ease[lam, t] if trades[lam, t] else 0.0
        for i in range(k, n):
            if felt[i] == 0.0:
                continue
            t, own, row = interval[i], A[i, lam], here[interval[i]]
            for j in range(i + 1):
                u = interval[j]
                found[i, j] -= felt[i] * row[u] * felt[j]
                if t == u:
                    found[i, j] += own * felt[j]
    for i in range(k, n):
        for j in range(i):
            found[j, i] = found[i, j]
    return found
