"""The inverse of response curves: prices at which they have given powers."""

from __future__ import annotations

import numpy as np

from market.model.arrays import Floats, Ints
from market.model.bisection import last_not_below
from market.model.curves import Curves


def price_range(curves: Curves, kw: Floats) -> tuple[Floats, Floats]:
    """Prices at which each curve has a power: the inverse of the curve, which is a range on flat parts.

    Parameters
    ----------
    curves
        ``n`` curves.
    kw
        One power per curve, ``(n,)`` [kW]; beyond a curve's ends it counts as the end.

    Returns
    -------
    low, high
        Ends of the range, ``(n,)`` each [$/kWh]; infinite where the curve is saturated.
    """
    return _between(curves, curves.start[:-1], curves.start[1:], kw)


def price_range_near(
    curves: Curves, kw: Floats, slack_kw: Floats, some: Ints | None = None
) -> tuple[Floats, Floats]:
    """Prices at which each curve has a power, or one that misses it by little; as `price_range`.

    Parameters
    ----------
    curves
        ``n`` curves.
    kw, slack_kw
        Power, and by how much it may be missed, ``(m,)`` each [kW].
    some
        Indices of the curves that are asked, ``(m,)``; all of them where it is left out.
    """
    first, end = curves.start[:-1], curves.start[1:]
    if some is not None:
        first, end = first[some], end[some]
    ends = np.concatenate([kw + slack_kw, kw - slack_kw])
    low, high = _between(curves, np.tile(first, 2), np.tile(end, 2), ends)
    return low[: kw.size], high[kw.size :]


def _between(curves: Curves, first: Ints, end: Ints, kw: Floats) -> tuple[Floats, Floats]:
    """`price_range` of curves that own the vertices ``first`` to ``end``."""
    target = np.minimum(np.maximum(kw, curves.kw[end - 1]), curves.kw[first])
    # ``below`` is the last vertex with more power than the target, ``reach`` the last with at least as much.
    ends = np.concatenate([np.nextafter(target, np.inf), target])
    both = last_not_below(curves.kw, np.tile(first, 2), np.tile(end - first, 2), ends)
    below, reach = both[: target.size], both[target.size :]
    above_target = curves.kw[below] > target
    enter = np.where(above_target, below + 1, first)
    flat = curves.kw[reach] == target
    low = np.where(above_target, curves.price[np.minimum(enter, end - 1)], -np.inf)
    high = np.where(reach == end - 1, np.inf, curves.price[reach])
    after = np.minimum(reach + 1, end - 1)
    drop = curves.kw[reach] - curves.kw[after]
    fraction = np.divide(curves.kw[reach] - target, drop, out=np.zeros_like(drop), where=drop > 0)
    between = curves.price[reach] + fraction * (curves.price[after] - curves.price[reach])
    return np.where(flat, low, between), np.where(flat, high, between)
