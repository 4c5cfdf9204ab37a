"""Bisection in many sorted runs at once."""

from __future__ import annotations

import numpy as np

from market.model.arrays import Floats, Ints


def last_not_above(ascending: Floats, start: Ints, target: Floats) -> Ints:
    """Per curve, the last vertex whose value is <= target; the first vertex where there is none.

    It bisects all curves at once, without branches: the number of passes is log2 of the longest curve.
    """
    return last_within(ascending, start[:-1], np.diff(start), target)


def last_within(ascending: Floats, first: Ints, count: Ints, target: Floats) -> Ints:
    """`last_not_above` of runs that begin at ``first`` and are ``count`` long, wherever they lie."""
    return _bisected(ascending, first, count, target, np.less_equal)


def last_not_below(descending: Floats, first: Ints, count: Ints, target: Floats) -> Ints:
    """`last_within` where values descend: per run, the last whose value is >= target."""
    return _bisected(descending, first, count, target, np.greater_equal)


def _bisected(values: Floats, first: Ints, count: Ints, target: Floats, is_before: np.ufunc) -> Ints:
    at, left = first.copy(), count.copy()
    for _ in range(int(left.max(initial=1)).bit_length()):
        half = left >> 1
        at += half * is_before(values[at + half], target)
        left -= half
    return at
