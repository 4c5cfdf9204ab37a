"""The pool within limits, from a proximal step near its solution to the solution itself, or to none.

A proximal step slopes the jumps of members' flows. Where it ends, limits that bind and jumps that flows stand
in are known; with these given, prices and flows follow from linear equations. What comes of them is checked
against the members' own answers, so that it is the exact solution or not taken.
"""

from __future__ import annotations

import numpy as np

from market.model.arrays import Floats, Ints
from market.model.outside import ROUNDED_PRICE
from market.solver.dual import DualPoint
from market.solver.dual_function import Dual, DualValues, beyond_kw
from market.solver.pool_answers import PoolAnswers

STEPS = 8
"""Bound on changes of the pieces that members stand on."""

ROUNDING_KW = 1e-9
"""A residual above this is no rounding, however steep answers are."""

SAME_CHARGE = 1e-12
"""Charges at which members of one LAM jump are the same within this part of the utility's prices."""


def exact_point(
    dual: Dual, exact: PoolAnswers, sloped: PoolAnswers, near: DualPoint, tolerance: float
) -> DualPoint | None:
    """The solution of a dual whose answers jump, from that of a proximal step; ``None`` where it is not near.

    Parameters
    ----------
    dual
        Limits over the three variables of each LAM; its answers are not asked.
    exact, sloped
        What members answer, and what they did in the proximal step.
    near
        Where the proximal step ended.
    tolerance
        Residual at which to stop [kW].
    """
    jumps = _jumps(exact, sloped.jumps(near.y @ dual.A))
    if jumps is None:
        return None
    lam, charge = jumps
    lams = exact.lams
    held = 2 * lams + lam
    y, drawn = near.y.copy(), near.kw[held]
    if not dual.A[1:, held].any(axis=0).all():
        drawn = np.clip(drawn, *_ends(exact, y @ dual.A, held))
    for iteration in range(STEPS):
        now, own_slope = _values(dual, exact, y, held, drawn)
        off = charge - exact.charge(now.mu)[lam]
        is_met = now.residual_kw <= tolerance + min(dual.rounding_kw(now), ROUNDING_KW)
        slack = ROUNDED_PRICE * exact.price_size(now.mu)[lam]
        if is_met and (np.abs(off) <= 0.01 * slack).all():
            least, most = _ends(exact, now.mu, held)
            aside = own_slope * slack - tolerance
            if ((drawn < least + aside) | (drawn > most - aside)).any():
                return None
            return DualPoint(y, now.kw, now.value, now.residual_kw, near.iterations + iteration)
        low, high = dual.stairs.admissible(y)
        free = np.flatnonzero(low == high)
        rows = dual.A[free]
        # A flow that no such limit feels may be anything within its jump.
        felt = np.flatnonzero(rows[:, held].any(axis=0))
        across = rows[:, held[felt]]
        none = np.zeros((felt.size, felt.size))
        system = np.block([[-(rows * now.slope) @ rows.T, across], [across.T, none]])
        try:
            step = np.linalg.solve(system, np.concatenate([low[free] - now.value[free], off[felt]]))
        except np.linalg.LinAlgError:
            return None
        if not np.isfinite(step).all():
            return None
        y[free] += step[: free.size]
        drawn[felt] += step[free.size :]
    return None


def _jumps(exact: PoolAnswers, jumps: tuple[Ints, Floats]) -> tuple[Ints, Floats] | None:
    """LAMs whose flows stand in a jump, ascending, and its charge; ``None`` where one stands in several."""
    lam, charge = jumps
    at, first = np.unique(lam, return_index=True)
    once = charge[first]
    same = SAME_CHARGE * exact.tariff_size
    return None if (np.abs(charge - once[np.searchsorted(at, lam)]) > same).any() else (at, once)


def _values(
    dual: Dual, exact: PoolAnswers, y: Floats, held: Ints, drawn: Floats
) -> tuple[DualValues, Floats]:
    """The market at prices where some flows are given, and how these fall beside their jumps."""
    mu = y @ dual.A
    kw, slope = exact.at(mu)
    own_slope = slope[held]
    kw[held], slope[held] = drawn, 0.0
    value = dual.base + dual.A @ kw
    residual_kw = beyond_kw(value, *dual.stairs.admissible(y))
    return DualValues(y, mu, kw, slope, value, residual_kw), own_slope


def _ends(exact: PoolAnswers, mu: Floats, held: Ints) -> tuple[Floats, Floats]:
    """Least and most that flows may be within their jumps, at charges that rounding may have moved."""
    if not held.size:
        return np.zeros(0), np.zeros(0)
    beside = np.zeros_like(mu)
    beside[held] = ROUNDED_PRICE * exact.price_size(mu)[held - 2 * exact.lams]
    return exact.powers(mu + beside)[held], exact.powers(mu - beside)[held]
