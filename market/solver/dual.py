"""Newton's method on the concave dual of a market: find the prices at which every limit is met.

The variables answer prices along monotone piecewise-linear curves, each limit is a staircase over its own
price, so the dual is piecewise quadratic. Local quadratic models are solved exactly and followed by a line
search on the true dual, which ends after finitely many steps at rounding accuracy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from market.model.arrays import Floats
from market.model.curves import Curves, answer, respond
from market.solver.local_model import local_minimum
from market.solver.staircase import Staircases

ITERATIONS = 400
RIDGE = 1e-10
ROUNDING_KW = 1e-7
EPS = float(np.finfo(np.float64).eps)
SETTLINGS = 3
NEAR = 0.2
"""A step may stop where the dual's slope along it has fallen to this part."""


@dataclass(frozen=True)
class DualPoint:
    """Prices ``y`` ``(n,)``, what the M variables answer, and how far the limits are missed [kW]."""

    y: Floats
    kw: Floats
    value: Floats
    residual_kw: float
    iterations: int


def solve_dual(
    curves: Curves, A: Floats, base: Floats, stairs: Staircases, y: Floats, tolerance: float
) -> DualPoint:
    """Prices y with ``base + A q(A' y)`` on the staircases at y.

    Parameters
    ----------
    curves
        Answers of the M variables to their prices, without jumps.
    A
        Rows of the limits over the variables, ``(n, M)``, each of a size near one.
    base
        Values at zero, ``(n,)`` [kW].
    stairs
        n staircases, elastic so that an optimum exists.
    y
        Prices to start from, ``(n,)``.
    tolerance
        Residual at which to stop [kW].

    Returns
    -------
    DualPoint
        With the residual that was reached; the caller judges it.
    """
    span = np.maximum(curves.price[curves.start[1:] - 1] - curves.price[curves.start[:-1]], 1e-6)
    # Far from the solution tangents say little: the first model knows how far answers go in all.
    chord = (curves.highest_kw - curves.lowest_kw) / span
    ridge = RIDGE * max(float(chord.mean()), 1e-6)
    best = np.inf
    idle = 0
    for iteration in range(ITERATIONS + 1):
        mu = y @ A
        kw, slope = answer(curves, mu)
        value = base + A @ kw
        low, high = stairs.admissible(y)
        residual = float(np.maximum(value - high, low - value).max(initial=0.0))
        # Rounding of prices, felt through the slopes, is all that can be asked for.
        blur = np.abs(A) @ (slope * (np.abs(y) @ np.abs(A)))
        if residual <= tolerance + 4.0 * EPS * float(blur.max()) or idle >= 8 or iteration == ITERATIONS:
            break
        target = local_minimum(stairs, A, np.maximum(slope, chord), ridge, y, value, 0.1 * tolerance)
        direction = target - y
        if not direction.any():
            idle += 1
            ridge *= 1e-2
            continue
        along = direction @ A
        t = _line_search(curves, base, stairs, y, direction, mu, along, kw)
        if t > 1.0:
            # The ridge, not the curves, kept the step short.
            ridge *= 0.1
        chord = np.zeros(len(curves))
        if not 0.5 < t < 2.0:
            # The tangents misled over this distance: let the next model know how far the answers really went.
            far, _ = answer(curves, mu + along)
            np.divide(np.abs(far - kw), np.abs(along), out=chord, where=along != 0)
        y = target if t == 1.0 else _snap(stairs, y + t * direction)
        # The residual may rise on the way; it tells that only rounding is left once it is small.
        idle = idle + 1 if 0.9 * best < residual < ROUNDING_KW else 0
        best = min(best, residual)
    point = DualPoint(y, kw, value, residual, iteration)
    return point if residual <= tolerance else _settled(curves, A, base, stairs, point, slope)


def _settled(
    curves: Curves, A: Floats, base: Floats, stairs: Staircases, point: DualPoint, slope: Floats
) -> DualPoint:
    """Move answers along their slopes to where the limits are met, and prices with them.

    On a steep curve the last bit of a price is more power than a limit may be missed by: there quantities
    lead and prices follow.
    """
    low, high = stairs.admissible(point.y)
    lowest, highest = curves.lowest_kw, curves.highest_kw
    near, far = stairs.riser(point.y)
    root = np.sqrt(slope)
    for _ in range(SETTLINGS):
        missing = np.clip(point.value, low, high) - point.value
        rows = np.flatnonzero((low == high) | (missing != 0.0))
        reduced = A[rows] * root
        shift = np.linalg.lstsq(reduced, missing[rows], rcond=EPS)[0]
        kw = np.clip(point.kw + root * shift, lowest, highest)
        value = base + A @ kw
        residual = float(np.maximum(value - high, low - value).max(initial=0.0))
        if not residual < point.residual_kw:
            break
        y = point.y.copy()
        y[rows] -= np.linalg.lstsq(reduced.T, shift, rcond=EPS)[0]
        y = np.clip(y, near, far)
        point = replace(point, y=y, kw=kw, value=value, residual_kw=residual)
    return point


def _snap(stairs: Staircases, y: Floats) -> Floats:
    """Put prices that rounding left beside a kink onto it."""
    gap = np.abs(stairs.kink - y[:, None])
    nearest = np.argmin(gap, axis=1)
    row = np.arange(y.size)
    kink = stairs.kink[row, nearest]
    return np.where(gap[row, nearest] <= 1e-14 * (1.0 + np.abs(kink)), kink, y)


def _line_search(
    curves: Curves,
    base: Floats,
    stairs: Staircases,
    y: Floats,
    direction: Floats,
    mu: Floats,
    along: Floats,
    kw: Floats,
) -> float:
    """Step length at which the dual's slope along a direction vanishes, or nearly so."""
    moving = np.flatnonzero(direction)
    start, speed = y[moving], direction[moving]
    kink, level = stairs.kink[moving], stairs.level[moving]
    row = np.arange(moving.size)
    fixed = float(base[moving] @ speed)
    up = (speed > 0)[:, None]

    def rate(t: float, *, before: bool = False) -> float:
        """Slope of the negative dual just behind (or before) step length t; it never falls."""
        at = (start + t * speed)[:, None]
        passed = np.count_nonzero((kink < at) | ((kink == at) & (up != before)), axis=1)
        answered = respond(curves, mu + t * along) if t else kw
        return float(level[row, passed] @ speed) - fixed - float(along @ answered)

    first = rate(0.0)
    if first >= 0.0:
        return 1.0
    low, low_rate = 0.0, first
    high = 1.0
    high_rate = rate(high, before=True)
    while high_rate < NEAR * first and high < 1e18:
        low, low_rate = high, high_rate
        high *= 4.0
        high_rate = rate(high, before=True)
    if abs(high_rate) <= -NEAR * first:
        return high
    times = ((kink - start[:, None]) / speed[:, None]).ravel()
    times = np.unique(times[(times > low) & (times < high)])
    left, right = 0, times.size
    while left < right:
        middle = (left + right) // 2
        middle_rate = rate(float(times[middle]))
        if middle_rate >= 0.0:
            right = middle
            high, high_rate = float(times[middle]), middle_rate
        else:
            left = middle + 1
            low, low_rate = float(times[middle]), middle_rate
    if right < times.size:
        high_rate = rate(high, before=True)
        if high_rate <= 0.0:
            return high
    return _root(rate, low, low_rate, high, high_rate, -NEAR * first)


def _root(
    rate: Callable[[float], float], low: float, low_rate: float, high: float, high_rate: float, enough: float
) -> float:
    """Zero of a rising function, to within ``enough``: false position, halved when it stalls."""
    for _ in range(100):
        # Rates without a difference, or one without end, tell no more than where the middle is.
        apart = low_rate - high_rate
        weight = low_rate / apart if apart < 0.0 and np.isfinite(apart) else 0.5
        t = low + weight * (high - low)
        if not low < t < high:
            t = 0.5 * (low + high)
            if not low < t < high:
                break
        now = rate(t)
        if abs(now) <= enough:
            return t
        if now > 0:
            width = high - low
            high, high_rate = t, now
            low_rate *= 0.5 if high - low > 0.5 * width else 1.0
        else:
            width = high - low
            low, low_rate = t, now
            high_rate *= 0.5 if high - low > 0.5 * width else 1.0
    return high if low == 0.0 else low
