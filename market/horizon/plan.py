"""One store's best plan for given prices: exact, by dynamic programming over the value of stored energy.

The energy that is best at a time is a non-decreasing piecewise-linear function ``F`` of what a kWh more is
worth there. Forward in time each interval adds its response to ``F``, and the bounds cut it; where they cut
is kept. Backward, the value stays what it is behind, unless a bound cuts it. It is the idea of Johnson (A
dynamic programming algorithm for the fused lasso and L0-segmentation, 2013) for any convex cost, with losses.
Times with self-discharge are scaled by what is kept up to them, so that values stay as they are between
bounds.
"""

from __future__ import annotations

import numpy as np

from market.horizon.compiled import compiled, inlined
from market.model.arrays import Floats, Ints

MOST_WORTH = 1e150
"""Worth of energy beyond which it comes to the same, where hardly any of it is left."""


@inlined
def value_between(worth: Floats, level: Floats, i: int, count: int, at: float) -> float:
    """Level at a value before vertex ``i``, the first that is not below ``at``; constant beyond the ends."""
    if i == 0:
        return level[0]
    if i == count:
        return level[count - 1]
    width = worth[i] - worth[i - 1]
    if width <= 0.0:
        return level[i]
    return level[i - 1] + (at - worth[i - 1]) / width * (level[i] - level[i - 1])


@inlined
def add(
    worth: Floats, level: Floats, count: int, more_worth: Floats, more: Floats, begin: int, end: int,
    constant: float, new_worth: Floats, new_level: Floats,
) -> int:  # fmt: skip
    """Sum of two functions by their vertices and a constant; returns the number of vertices.

    Parameters
    ----------
    worth, level, count
        One function, of at least one vertex.
    more_worth, more, begin, end
        The other, of the vertices from ``begin`` up to ``end``, at least one.
    constant
        Added to all levels.
    new_worth, new_level
        Filled with the sum.
    """
    i, found = 0, 0
    rise = constant + more[begin]
    while i < count and worth[i] <= more_worth[begin]:
        new_worth[found], new_level[found] = worth[i], level[i] + rise
        i += 1
        found += 1
    for j in range(begin, end):
        at = more_worth[j]
        new_worth[found] = at
        new_level[found] = value_between(worth, level, i, count, at) + more[j] + constant
        found += 1
        if j + 1 == end:
            break
        width, step = more_worth[j + 1] - at, more[j + 1] - more[j]
        slope = step / width if width > 0.0 else 0.0
        while i < count and worth[i] <= more_worth[j + 1]:
            new_worth[found] = worth[i]
            new_level[found] = level[i] + min((worth[i] - at) * slope, step) + more[j] + constant
            i += 1
            found += 1
    rise = constant + more[end - 1]
    while i < count:
        new_worth[found], new_level[found] = worth[i], level[i] + rise
        i += 1
        found += 1
    return found


@inlined
def cut_below(worth: Floats, level: Floats, count: int, floor: float) -> tuple[int, float]:
    """Let no level be below ``floor``: the first vertex left, and the value where levels leave it."""
    if level[0] >= floor:
        return 0, -np.inf
    i = 1
    while i < count and level[i] < floor:
        i += 1
    if i == count:
        # All levels are at the floor, up to rounding: the last value reaches it.
        level[count - 1] = floor
        return count - 1, worth[count - 1]
    part = (floor - level[i - 1]) / (level[i] - level[i - 1])
    at = worth[i - 1] + part * (worth[i] - worth[i - 1])
    worth[i - 1], level[i - 1] = at, floor
    return i - 1, at


@inlined
def cut_above(worth: Floats, level: Floats, begin: int, count: int, roof: float) -> tuple[int, float]:
    """Let no level be above ``roof``: the number of vertices left, and the value where levels reach it."""
    if level[count - 1] <= roof:
        return count, np.inf
    i = count - 2
    while i >= begin and level[i] > roof:
        i -= 1
    if i < begin:
        level[begin] = roof
        return begin + 1, worth[begin]
    part = (roof - level[i]) / (level[i + 1] - level[i])
    at = worth[i] + part * (worth[i + 1] - worth[i])
    worth[i + 1], level[i + 1] = at, roof
    return i + 2, at


@compiled
def values_of_energy(
    start: Ints, worth: Floats, gain: Floats, carried: Floats, drift: Floats, initial: float, lower: Floats,
    upper: Floats, least: Floats, end_value: float, buffer: Floats, value: Floats,
) -> None:  # fmt: skip
    """What a kWh more is worth at the end of each of T intervals, all in scaled units.

    Parameters
    ----------
    start, worth, gain
        Responses of the intervals, interval t's vertices are ``start[t]:start[t+1]``, without drift.
    carried
        Part of energy that comes in from the interval before, one but where a scale begins, ``(T,)``.
    drift
        Energy added whatever is done, ``(T,)``.
    initial, lower, upper
        Energy at the beginning and its bounds at the end of each interval, ``(T,)``.
    least, end_value
        Least values ``(T,)``, and the value at the end.
    buffer
        Room for four rows of all vertices and 4 T more.
    value
        Filled, ``(T,)``.
    """
    T = drift.size
    enter, leave = np.empty(T), np.empty(T)
    here, there = 0, 2
    begin, count = 0, 0
    constant = initial
    for t in range(T):
        first, last = start[t], start[t + 1]
        if carried[t] != 1.0:
            constant *= carried[t]
            carry(buffer[here, begin:], buffer[here + 1, begin:], count - begin, carried[t])
        if count == 0 and last > first:
            for i in range(first, last):
                buffer[here, i - first] = worth[i]
                buffer[here + 1, i - first] = constant + gain[i] + drift[t]
            begin, count = 0, last - first
        elif count > 0 and last > first:
            count = add(
                buffer[here, begin:], buffer[here + 1, begin:], count - begin, worth, gain, first, last,
                drift[t], buffer[there], buffer[there + 1],
            )  # fmt: skip
            begin = 0
            here, there = there, here
        else:
            for i in range(begin, count):
                buffer[here + 1, i] += drift[t]
        if count == 0:
            enter[t], leave[t] = -np.inf, np.inf
            constant = min(max(constant + drift[t], lower[t]), upper[t])
            continue
        if least[t] > buffer[here, begin]:
            count = spill(buffer[here, begin:], buffer[here + 1, begin:], count - begin, least[t], lower[t])
            count += begin
        gone, enter[t] = cut_below(buffer[here, begin:], buffer[here + 1, begin:], count - begin, lower[t])
        begin += gone
        count, leave[t] = cut_above(buffer[here], buffer[here + 1], begin, count, upper[t])
        if buffer[here + 1, begin] == buffer[here + 1, count - 1]:
            constant, begin, count = buffer[here + 1, begin], 0, 0
    now = end_value
    for t in range(T - 1, -1, -1):
        now = max(min(max(now, enter[t]), leave[t]), least[t])
        value[t] = now
        now *= carried[t]


@inlined
def carry(worth: Floats, level: Floats, count: int, part: float) -> None:
    """Bring a function to a scale that takes over a part of each level."""
    for i in range(count):
        worth[i] = min(max(worth[i] / part, -MOST_WORTH), MOST_WORTH)
        level[i] *= part


@inlined
def spill(worth: Floats, level: Floats, count: int, least: float, lower: float) -> int:
    """Let energy go where it is worth less than ``least``: the number of vertices left, at most one more."""
    i = 0
    while i < count and worth[i] < least:
        i += 1
    at = value_between(worth, level, i, count, least)
    keep = count - i
    if i >= 2:
        for k in range(keep):
            worth[2 + k], level[2 + k] = worth[i + k], level[i + k]
    else:
        for k in range(keep - 1, -1, -1):
            worth[2 + k], level[2 + k] = worth[i + k], level[i + k]
    worth[0] = worth[1] = least
    level[0], level[1] = min(lower, at), at
    return keep + 2
