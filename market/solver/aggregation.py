"""The sum of many members' responses: one curve for each local-area market, exact to the last bit."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from market.model.arrays import Bools, Floats, Ints
from market.model.curves import NARROWEST, Curves, join, part, starts, take
from market.model.pieces import pieces

BLOCK = 1 << 17
"""Vertices that are summed at once: few enough for the processor's cache, and for long operations."""

AT_ONCE = 256
"""Values that are sorted at once, but whole runs: numpy parts more of them by an instruction that takes some
processors (AMD's Zen 4) five times as long as the comparison."""


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
    size = np.diff(vertex)
    order, price = _sorted_within(curves.price, vertex)
    own = pieces(curves)
    # Every curve's slope ends at zero, so one running sum over all LAMs begins anew with each of them.
    unit = _unit(own.slope, vertex, members)
    count = _counted(own.slope, unit, size)
    count[1:] -= count[:-1].copy()
    steepness = np.cumsum(count[order]) * _spread(unit, size)
    drop = np.zeros_like(price)
    np.subtract(price[1:], price[:-1], out=drop[1:])
    drop[1:] *= steepness[:-1]
    keep: Bools | None = None
    terms = size
    if own.jumping.size:
        # Two points per vertex, before and after its jump; the first is left out where nothing jumps.
        jump = np.zeros_like(price)
        jump[own.jumping] = own.jump_kw
        steps = np.stack([drop, jump[order]], axis=1)
        # Only where a LAM's own members jump are more terms summed than without.
        terms = np.where(np.maximum.reduceat(jump, vertex[:-1]) > 0, 2 * size, size)
        keep = np.stack([steps[:, 1] > 0, np.ones(price.size, dtype=bool)], axis=1).ravel()
        price, drop, vertex, size = np.repeat(price, 2), steps.ravel(), 2 * vertex, 2 * size
    unit = _unit(drop, vertex, terms)
    count = _counted(drop, unit, size)
    fallen = np.cumsum(count)
    fallen -= _spread(fallen[vertex[:-1]] - count[vertex[:-1]], size)
    fallen_kw = fallen * _spread(unit, size)
    kw = np.subtract(_spread(np.add.reduceat(curves.highest_kw, first[:-1]), size), fallen_kw, out=fallen_kw)
    if keep is None:
        return Curves(price, kw, vertex)
    return Curves(price[keep], kw[keep], starts(np.add.reduceat(keep, vertex[:-1], dtype=np.intp)))


def _unit(values: Floats, start: Ints, terms: Ints) -> Floats:
    """Power of two for each run, so fine that sums of its values in whole units just fit, ``(runs,)``.

    Sums of whole numbers are exact: adding and later subtracting slopes of very different size leaves nothing
    behind, and a sum does not depend on what is summed beside it.

    Parameters
    ----------
    values, start
        Values >= 0 and where each run of them starts.
    terms
        How many of them a running sum of a run has at most, ``(runs,)``.
    """
    bound = terms * np.maximum.reduceat(values, start[:-1])
    _, exponent = np.frexp(np.maximum(bound, 1e-280))
    return np.asarray(np.ldexp(1.0, exponent - 61))


def _counted(values: Floats, unit: Floats, size: Ints) -> NDArray[np.int64]:
    """Values in whole units of their runs, which are ``size`` long."""
    count = values * _spread(1.0 / unit, size)
    return np.asarray(np.rint(count, out=count), dtype=np.int64)


def _spread(values: Floats | NDArray[np.int64], size: Ints) -> Any:
    """Each run's value for all of the run's items; of one run alone, its value."""
    return values if size.size == 1 else np.repeat(values, size)


def _with_zeros(curves: Curves) -> Curves:
    """The same curves, with one vertex at zero where a curve has none."""
    empty = np.flatnonzero(np.diff(curves.start) == 0)
    place = curves.start[empty]
    count = np.maximum(np.diff(curves.start), 1)
    return Curves(np.insert(curves.price, place, 0.0), np.insert(curves.kw, place, 0.0), starts(count))


def _few_runs(start: Ints) -> list[int]:
    """Borders between runs, about ``AT_ONCE`` values from each other where no run is longer."""
    first = start[:-1]
    new = np.flatnonzero(np.diff(first // AT_ONCE))
    return [0, *first[new + 1].tolist(), int(start[-1])]


def _sorted_within(values: Floats, start: Ints) -> tuple[Ints, Floats]:
    """Order that sorts each run of values by itself, equal ones as they stand, and the sorted values.

    Whole numbers are sorted, made of the run, of how far up a value is between the lowest and the highest of
    all, and of its place. That takes a third of the time of a sort by the values themselves. Values too near
    each other to be told apart so are put right afterwards. Runs lie in their order already: a few of them
    at a time are sorted by themselves.
    """
    size = np.diff(start)
    place_bits, run_bits = int(values.size).bit_length(), int(size.size - 1).bit_length()
    height_bits = 62 - place_bits - run_bits
    low, high = float(values.min()), float(values.max())
    scale = (2.0**height_bits - 1.0) / (high - low) if high - low > NARROWEST else 0.0
    height = values - low
    height *= scale
    key = height.astype(np.int64)
    key <<= place_bits
    key |= np.arange(values.size)
    key += _spread(np.arange(size.size) << (place_bits + height_bits), size)
    for begin, end in itertools.pairwise(_few_runs(start)):
        key[begin:end].sort()
    key &= (1 << place_bits) - 1
    ordered = values[key]
    rise = ordered[1:] - ordered[:-1]
    rise[start[1:-1] - 1] = 0.0
    if rise.min(initial=0.0) < 0.0:
        run = np.repeat(np.arange(size.size), size)
        key = key[np.lexsort((ordered, run))]
        ordered = values[key]
    return key, ordered
