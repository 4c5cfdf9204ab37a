"""Newton's method on the concave dual of a market: find the prices at which every limit is met.

The variables' answers to prices are monotone and piecewise linear, each limit is a staircase over its own
price, so the dual is piecewise quadratic. Local quadratic models are solved exactly and followed by a line
search on the true dual, which ends after finitely many steps at rounding accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from market.model.arrays import Floats
from market.model.limits import MISSED_KW
from market.solver.dual_function import EPS, Answers, Dual, SlopeAlong, beyond_kw
from market.solver.line_search import NEAR, step_length
from market.solver.local_model import local_minimum
from market.solver.staircase import Staircases
from market.solver.step_policy import Idleness, ModelSlopes, Ridge, snap

ITERATIONS = 400
NEAR_ITERATIONS = 40
"""The same from prices that are said to be near; where they are not, others are to be tried."""

REFINEMENTS = 3


@dataclass(frozen=True)
class DualPoint:
    """Prices ``y`` ``(n,)``, what the K variables answer, and how far the limits are missed [kW]."""

    y: Floats
    kw: Floats
    value: Floats
    residual_kw: float
    iterations: int


def solve_dual(
    answers: Answers,
    A: Floats,
    base: Floats,
    stairs: Staircases,
    y: Floats,
    tolerance: float,
    *,
    near: bool = False,
    ease: float = NEAR,
    is_kept: bool = False,
) -> DualPoint:
    """Prices y with ``base + A q(A' y)`` on the staircases at y.

    Parameters
    ----------
    answers
        Of the K variables to their prices.
    A
        Rows of the limits over the variables, ``(n, K)``, each of a size near one.
    base
        Values at zero, ``(n,)`` [kW].
    stairs
        n staircases, elastic so that an optimum exists.
    y
        Prices to start from, ``(n,)``.
    tolerance
        Residual at which to stop [kW].
    near
        Whether the prices to start from are near the solution.
    ease
        ``near`` of `market.solver.line_search.step_length`: the larger, the fewer answers a step asks for.
    is_kept
        Whether a step begins with what was answered where the one before ended. Rounding parts it from what
        these prices have as answers, so that the end is always asked for anew.

    Returns
    -------
    DualPoint
        With the residual that was reached; the caller judges it.
    """
    dual = Dual(answers, A, base, stairs)
    slopes, ridge, idleness = ModelSlopes(answers, near=near), Ridge(answers), Idleness()
    most = NEAR_ITERATIONS if near else ITERATIONS
    now, is_asked = dual.at(y), True
    for iteration in range(most + 1):
        is_met = now.residual_kw <= tolerance or now.residual_kw <= tolerance + dual.rounding_kw(now)
        is_over = is_met or idleness.lasts or iteration == most
        if is_over and not is_asked:
            now, is_asked = dual.at(y), True
            is_over = now.residual_kw <= tolerance + dual.rounding_kw(now) or not is_met
        if is_over:
            break
        slope = slopes.over(now.slope)
        target = local_minimum(stairs, A, slope, ridge.weight, y, now.value, 0.1 * tolerance)
        direction = target - y
        if not direction.any():
            ridge.held_all()
            idleness.no_step()
            continue
        along = direction @ A
        line = SlopeAlong(dual, now, direction, along, is_kept=is_kept)
        t = step_length(line, ease)
        whole, end = line.kept(1.0), line.kept(t)
        slopes.learn(now, along, t, None if whole is None else whole[0])
        ridge.learn(t)
        idleness.learn(now.residual_kw)
        y = target if t == 1.0 else snap(stairs, y + t * direction)
        now = dual.at(y) if end is None else dual.given(y, now.mu + t * along, *end)
        is_asked = end is None
    point = DualPoint(y, now.kw, now.value, now.residual_kw, iteration)
    # One limit of a great size says what rounding leaves of all; others can be met better than that.
    is_met = now.residual_kw <= min(tolerance, MISSED_KW)
    return point if is_met else _refined(dual, point, now.slope)


def _refined(dual: Dual, point: DualPoint, slope: Floats) -> DualPoint:
    """Move answers along their slopes to where the limits are met, and prices with them.

    On a steep curve the last bit of a price is more power than a limit may be missed by: there quantities
    lead and prices follow.
    """
    A, answers = dual.A, dual.answers
    low, high = dual.stairs.admissible(point.y)
    near, far = dual.stairs.riser(point.y)
    root = np.sqrt(slope)
    for _ in range(REFINEMENTS):
        missing = np.clip(point.value, low, high) - point.value
        rows = np.flatnonzero((low == high) | (missing != 0.0))
        reduced = A[rows] * root
        shift = np.linalg.lstsq(reduced, missing[rows], rcond=EPS)[0]
        kw = np.clip(point.kw + root * shift, answers.lowest_kw, answers.highest_kw)
        value = dual.base + A @ kw
        residual_kw = beyond_kw(value, low, high)
        if not residual_kw < point.residual_kw:
            break
        y = point.y.copy()
        y[rows] -= np.linalg.lstsq(reduced.T, shift, rcond=EPS)[0]
        y = np.clip(y, near, far)
        point = replace(point, y=y, kw=kw, value=value, residual_kw=residual_kw)
    return point
