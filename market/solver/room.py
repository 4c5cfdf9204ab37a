"""One set of curves, filled in part by part, also from several threads, without a second copy of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from market.model.curves import Curves, join, starts


class Room:
    """Room for parts of a set of curves whose vertices are as many as expected, or fewer.

    Parameters
    ----------
    expected
        Vertices of each part. One that has more costs the whole set a second copy.
    """

    def __init__(self, expected: Sequence[int]) -> None:
        self._place = starts(np.array(expected, dtype=np.intp))
        # What is not written to takes no memory.
        self._price, self._kw = np.empty(self._place[-1]), np.empty(self._place[-1])
        self._parts: dict[int, Curves] = {}

    def put(self, at: int, curves: Curves) -> None:
        """Fill in a part."""
        begin, end = self._place[at], self._place[at] + curves.price.size
        if end <= self._place[at + 1]:
            price, kw = self._price[begin:end], self._kw[begin:end]
            price[:], kw[:] = curves.price, curves.kw
            curves = Curves(price, kw, curves.start)
        self._parts[at] = curves

    def curves(self) -> Curves:
        """All parts in their order, moved together; nothing can be filled in any more."""
        parts = [self._parts[at] for at in range(len(self._parts))]
        size = sum(each.price.size for each in parts)
        if any(each.price.base is not self._price for each in parts):
            return join(parts)
        end = 0
        for place, each in zip(self._place, parts, strict=False):
            begin, end = end, end + each.price.size
            if begin != place:
                self._price[begin:end], self._kw[begin:end] = each.price, each.kw
        start = starts(np.concatenate([np.diff(each.start) for each in parts]))
        return Curves(self._price[:size], self._kw[:size], start)
