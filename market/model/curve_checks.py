"""What makes a set of vertices a price-response curve: finite, monotone, and within a limit of power."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market.model.arrays import Bools, Floats, Ints


@dataclass(frozen=True)
class CurveFaults:
    """Which of ``n`` curves break which rule, ``(n,)`` each."""

    not_finite: Bools
    not_monotone: Bools
    beyond_limit: Bools

    @property
    def none(self) -> Bools:
        """Curves that keep all rules, ``(n,)``."""
        return ~(self.not_finite | self.not_monotone | self.beyond_limit)


def find_faults(price: Floats, kw: Floats, start: Ints, limit_kw: Floats) -> CurveFaults:
    """Check curves that lie one after the other; a fault of one is no fault of another.

    Parameters
    ----------
    price, kw
        Vertices, ``(V,)`` each [$/kWh, kW]; they may hold anything, NaN too.
    start
        Curve ``i`` owns vertices ``start[i]:start[i+1]``, at least one, ``(n+1,)``.
    limit_kw
        Largest power of each curve in either direction, ``(n,)`` [kW].
    """
    # Comparisons are written so that NaN fails them.
    finite = np.isfinite(price) & np.isfinite(kw)
    monotone = np.ones(price.size, dtype=bool)
    monotone[1:] = (price[1:] >= price[:-1]) & (kw[1:] <= kw[:-1])
    monotone[start[1:-1]] = True  # The vertex before belongs to another curve.
    within = np.abs(kw) <= np.repeat(limit_kw, np.diff(start))
    return CurveFaults(*(~np.logical_and.reduceat(kept, start[:-1]) for kept in (finite, monotone, within)))


def check_curve(price: Floats, kw: Floats, limit_kw: float = np.inf) -> None:
    """Refuse a single curve that is none, or that is beyond a limit of power.

    Parameters
    ----------
    price, kw
        Vertices, ``(v,)`` each [$/kWh, kW].
    limit_kw
        Largest power in either direction [kW].

    Raises
    ------
    ValueError
        There are no vertices, a value is missing or not finite, the curve is not monotone, or it is beyond
        the limit; says which.
    """
    if len(price) == 0 or len(price) != len(kw):
        raise ValueError(f"{len(price)} prices for {len(kw)} powers; give as many, at least one")
    faults = find_faults(np.asarray(price), np.asarray(kw), np.array([0, len(price)]), np.array([limit_kw]))
    if faults.not_finite[0]:
        raise ValueError("not finite; send numbers only")
    if faults.not_monotone[0]:
        raise ValueError("not monotone; prices must rise and powers fall")
    if faults.beyond_limit[0]:
        raise ValueError(f"a power is beyond the connection's rating of {limit_kw:g} kW")
