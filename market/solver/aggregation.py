"""The sum of many members' responses: one curve for each local-area market, exact to the last bit."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from market.model.arrays import Bools, Floats, Ints
from market.model.curves import (
    NARROWEST,
    Curves,
    fall,
    join,
    starts,
    take,
)

BLOCK = 1 << 13
"""Vertices that are summed at once: few enough for the processor's cache."""


def aggregate(curves: Curves, group: Ints, lams: int) -> Curves:
    """Each LAM's response: the sum of its members' responses.

    A LAM's curve depends on its own members and their order only, to the last bit: each is summed by itself.

    Parameters
    ----------
    curves
        Members' responses to their local price, n curves.
    group
        Each member's LAM, ``(n,)``, in 0..lams-1, in any order.
    lams
        Number of LAMs M.

    Returns
    -------
    Curves
        M curves, net purchase Q_i over lambda_i; zero for a LAM without members.
    """
    members = np.bincount(group, minlength=lams)
    if (np.diff(group) < 0).any():
        curves = take(curves, np.argsort(group, kind="stable"))
    filled = np.flatnonzero(members > 0)
    first = starts(members[filled])
    pieces = [
        _sum_runs(part(curves, first[begin], first[end]), members[filled[begin:end]])
        for begin, end in itertools.pairwise(borders(curves.start[first], BLOCK))
    ]
    summed = join(pieces)
    if filled.size == lams:
        return summed
    count = np.zeros(lams, dtype=np.intp)
    count[filled] = np.diff(summed.start)
    return _with_zeros(Curves(summed.price, summed.kw, starts(count)))


def part(curves: Curves, begin: int, end: int) -> Curves:
    """The curves ``begin`` to ``end`` without copying them."""
    start = curves.start[begin : end + 1]
    inside = slice(start[0], start[-1])
    return Curves(curves.price[inside], curves.kw[inside], start - start[0])


def borders(start: Ints, most: int) -> list[int]:
    """Borders of runs of LAMs with at most so many items, or one LAM, given where the items of each start."""
    found = [0]
    while found[-1] < start.size - 1:
        full = int(np.searchsorted(start, start[found[-1]] + most, side="right")) - 1
        found.append(max(full, found[-1] + 1))
    return found


def _sum_runs(curves: Curves, members: Ints) -> Curves:
    """Sums of consecutive runs of curves, ``members`` of them each, at least one."""
    first = starts(members)
    vertex = curves.start[first]
    order = _sorted_within(curves.price, vertex)
    price = curves.price[order]
    # Every curve's slope ends at zero, so one running sum over all LAMs begins anew with each of them.
    slopes = _Counts.of(fall(curves), vertex, members)
    slope = slopes.values(np.cumsum(np.diff(slopes.count, prepend=0)[order]))
    drop = np.zeros_like(price)
    drop[1:] = slope[:-1] * (price[1:] - price[:-1])
    jump = jumps_of(curves)
    keep: Bools | None = None
    if jump.any():
        # Two points per vertex, before and after its jump; the first is left out where nothing jumps.
        steps = np.stack([drop, jump[order]], axis=1)
        keep = np.stack([steps[:, 1] > 0, np.ones(price.size, dtype=bool)], axis=1).ravel()
        price, drop, vertex = np.repeat(price, 2), steps.ravel(), 2 * vertex
    size = np.diff(vertex)
    drops = _Counts.of(drop, vertex, size)
    fallen = np.cumsum(drops.count)
    fallen -= np.repeat(fallen[vertex[:-1]] - drops.count[vertex[:-1]], size)
    kw = np.repeat(np.add.reduceat(curves.highest_kw, first[:-1]), size) - drops.values(fallen)
    if keep is None:
        return Curves(price, kw, vertex)
    return Curves(price[keep], kw[keep], starts(np.add.reduceat(keep, vertex[:-1], dtype=np.intp)))


@dataclass(frozen=True)
class _Counts:
    """Numbers >= 0 in runs, as whole multiples of a unit that is so fine that the sums of a run just fit.

    Sums of whole numbers are exact: adding and later subtracting slopes of very different size leaves nothing
    behind, and a sum does not depend on what is summed beside it.

    Attributes
    ----------
    count
        Whole numbers, ``(V,)``.
    unit
        What one counts for, a power of two for each run, ``(runs,)``.
    size
        Length of each run, ``(runs,)``.
    """

    count: NDArray[np.int64]
    unit: Floats
    size: Ints

    @classmethod
    def of(cls, values: Floats, start: Ints, terms: Ints) -> _Counts:
        """Count values whose running sums in a run never have more than ``terms`` of them at once."""
        size = np.diff(start)
        bound = terms * np.maximum.reduceat(values, start[:-1])
        _, exponent = np.frexp(np.maximum(bound, 1e-280))
        unit = np.ldexp(1.0, exponent - 61)
        return cls(np.rint(values / np.repeat(unit, size)).astype(np.int64), unit, size)

    def values(self, count: NDArray[np.int64]) -> Floats:
        """Values of counts in the same runs, ``(V,)``."""
        return np.asarray(count * np.repeat(self.unit, self.size))


def _with_zeros(curves: Curves) -> Curves:
    """The same curves, with one vertex at zero where a curve has none."""
    empty = np.flatnonzero(np.diff(curves.start) == 0)
    place = curves.start[empty]
    count = np.maximum(np.diff(curves.start), 1)
    return Curves(np.insert(curves.price, place, 0.0), np.insert(curves.kw, place, 0.0), starts(count))


def _sorted_within(values: Floats, start: Ints) -> Ints:
    """Order that sorts each run of values by itself, ``(V,)``."""
    order = np.empty(values.size, dtype=np.intp)
    for begin, end in itertools.pairwise(start.tolist()):
        order[begin:end] = np.argsort(values[begin:end])
        order[begin:end] += begin
    return order


def jumps_of(curves: Curves) -> Floats:
    """Drop of each curve at a vertex that shares its price with the next, ``(V,)`` [kW]."""
    jump = np.zeros_like(curves.kw)
    if jump.size > 1:
        at = np.diff(curves.price) <= NARROWEST
        at[curves.start[1:-1] - 1] = False
        jump[:-1][at] = -np.diff(curves.kw)[at]
    return jump
