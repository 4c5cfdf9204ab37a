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


class Places:
    """`last_not_above` of the same few runs, asked for again and again.

    All runs are laid end to end, each lifted above the one before, so that one search finds all places.

    Parameters
    ----------
    ascending, start
        The runs, as `last_not_above` has them.
    """

    def __init__(self, ascending: Floats, start: Ints) -> None:
        self._ascending, self._first = ascending, start[:-1]
        low, high = float(ascending.min(initial=0.0)), float(ascending.max(initial=0.0))
        reach = max(high - low, 1.0)
        self._low, self._high = low - reach, high + reach
        self._lift = 4.0 * reach * np.arange(start.size - 1)
        self._lifted = ascending + np.repeat(self._lift, np.diff(start))

    def last_not_above(self, target: Floats) -> Ints:
        """Last place of each run whose value is <= target; the first where there is none, ``(n,)``."""
        within = np.minimum(np.maximum(target, self._low), self._high)
        behind = np.searchsorted(self._lifted, within + self._lift, side="right")
        at: Ints = np.maximum(behind - 1, self._first)
        # What was lifted has been rounded: places may be too far up, never too far down.
        over = np.flatnonzero((self._ascending[at] > target) & (at > self._first))
        if over.size:
            first = self._first[over]
            at[over] = last_within(self._ascending, first, at[over] - first + 1, target[over])
        return at
