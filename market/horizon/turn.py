"""A LAM's inverse after some intervals begin or cease to trade: a change of rank one for each."""

from __future__ import annotations

import numpy as np

from market.horizon.compiled import compiled
from market.model.arrays import Bools, Floats, Ints

LEAST_PIVOT = 1e-4
"""Pivot below which, or above one over it, a change loses digits: the inverse is then worked out anew."""


@compiled
def change(lams: Ints, inverse: Floats, ease: Floats, wanted: Floats) -> Bools:
    """Bring the inverses of some LAMs to other values of ``E``; where this loses digits.

    Parameters
    ----------
    lams
        Which LAMs.
    inverse
        Of all, ``(M, T, T)``; written over.
    ease, wanted
        ``E`` as it is in the inverses, and as it is to be, ``(M, T)`` each.
    """
    T = ease.shape[1]
    unsure = np.zeros(lams.size, dtype=np.bool_)
    row = np.empty(T)
    for k in range(lams.size):
        lam = lams[k]
        mine = inverse[lam]
        for t in range(T):
            more = wanted[lam, t] - ease[lam, t]
            if more == 0.0:
                continue
            pivot = 1.0 + more * mine[t, t]
            if not LEAST_PIVOT < pivot < 1.0 / LEAST_PIVOT:
                unsure[k] = True
                break
            row[:] = mine[t]
            for i in range(T):
                part = more / pivot * mine[i, t]
                for j in range(T):
                    mine[i, j] -= part * row[j]
    return unsure
