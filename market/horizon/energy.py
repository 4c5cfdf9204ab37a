"""From values of energy to energy: what a store gains in each interval where its response may jump."""

from __future__ import annotations

import numpy as np

from market.horizon.compiled import compiled, inlined
from market.model.arrays import Floats, Ints


@inlined
def range_at(worth: Floats, gain: Floats, at: float) -> tuple[float, float, float]:
    """Lowest and highest gain at a value, which differ where the response jumps, and its slope there."""
    count = worth.size
    if count == 0:
        return 0.0, 0.0, 0.0
    i = 0
    while i < count and worth[i] < at:
        i += 1
    if i == count:
        return gain[count - 1], gain[count - 1], 0.0
    if worth[i] > at:
        if i == 0:
            return gain[0], gain[0], 0.0
        slope = (gain[i] - gain[i - 1]) / (worth[i] - worth[i - 1])
        here = gain[i - 1] + slope * (at - worth[i - 1])
        return here, here, slope
    k = i
    while k + 1 < count and worth[k + 1] == at:
        k += 1
    slope = 0.0
    if k + 1 < count:
        slope = (gain[k + 1] - gain[k]) / (worth[k + 1] - worth[k])
    return gain[i], gain[k], slope


@compiled
def gains(
    start: Ints, worth: Floats, gain: Floats, carried: Floats, drift: Floats, initial: float, lower: Floats,
    upper: Floats, least: Floats, end_value: float, value: Floats, found: Floats, slope: Floats,
    spilled: Floats, state: Floats, is_split: Ints,
) -> None:  # fmt: skip
    """Energy gained in each of T intervals at the values of energy, in scaled units.

    Where responses jump at one value, each interval takes the part of its jump that the states allow.

    Parameters
    ----------
    start, worth, gain, carried, drift, initial, lower, upper, least, end_value, value
        As `market.horizon.plan.values_of_energy` has them.
    found, slope
        Filled with gains and the slopes of the responses there, ``(T,)`` each.
    spilled
        Filled with energy that is let go, ``(T,)``.
    state
        Filled with the energy at the end of each interval, ``(T,)``.
    is_split
        Filled with 1 where a response stands within a jump, or energy is spilled, ``(T,)``.
    """
    T = drift.size
    low, high = np.empty(T + 1), np.empty(T + 1)
    from_, to = np.empty(T), np.empty(T)
    low[0] = high[0] = initial
    for t in range(T):
        from_[t], to[t], slope[t] = range_at(
            worth[start[t] : start[t + 1]], gain[start[t] : start[t + 1]], value[t]
        )
        behind = carried[t + 1] * value[t + 1] if t + 1 < T else end_value
        low[t + 1] = carried[t] * low[t] + from_[t] + drift[t]
        high[t + 1] = carried[t] * high[t] + to[t] + drift[t]
        if value[t] <= least[t]:
            low[t + 1] = lower[t]
        if value[t] < behind:
            low[t + 1] = high[t + 1] = upper[t]
        elif value[t] > behind:
            low[t + 1] = high[t + 1] = lower[t]
        low[t + 1] = min(max(low[t + 1], lower[t]), upper[t])
        high[t + 1] = min(max(high[t + 1], lower[t]), upper[t])
    now = high[T]
    for t in range(T - 1, -1, -1):
        state[t] = now
        room = carried[t] * (high[t] - low[t]) + to[t] - from_[t]
        part = 0.0
        if room > 0.0:
            part = min(max((now - drift[t] - carried[t] * low[t] - from_[t]) / room, 0.0), 1.0)
        before = low[t] + part * (high[t] - low[t])
        found[t] = from_[t] + part * (to[t] - from_[t])
        spilled[t] = 0.0
        if value[t] <= least[t]:
            spilled[t] = max(carried[t] * before + found[t] + drift[t] - now, 0.0)
        is_split[t] = 1 if (0.0 < part < 1.0 and to[t] > from_[t]) or spilled[t] > 0.0 else 0
        now = before
