"""Maximal monotone staircases: which values a limited quantity may take at each price on its limit.

A network row is held at its lower limit by a negative price, free between its limits at price zero, and held
at its upper limit by a positive one. The grid's power is a staircase too: full export below the export
price, nothing between the two prices, full import above the import price. Steps to infinity at a very high
price make every limit elastic, so that a dual always has an optimum and an infeasible limit shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market.model.arrays import Floats, Ints


@dataclass(frozen=True)
class Staircases:
    """``n`` staircases with ``k`` kinks each.

    Attributes
    ----------
    kink
        Prices at which the value is free within a riser, ascending, ``(n, k)``.
    level
        Value between the kinks, non-decreasing, ``(n, k+1)``.
    """

    kink: Floats
    level: Floats

    def below(self, y: Floats) -> Ints:
        """Number of kinks strictly below each price, ``(n,)``."""
        return np.asarray(np.count_nonzero(self.kink < y[:, None], axis=1), dtype=np.intp)

    def upto(self, y: Floats) -> Ints:
        """Number of kinks at or below each price, ``(n,)``."""
        return np.asarray(np.count_nonzero(self.kink <= y[:, None], axis=1), dtype=np.intp)

    def admissible(self, y: Floats) -> tuple[Floats, Floats]:
        """Lowest and highest value at each price, ``(n,)`` each; they differ at kinks only."""
        row = np.arange(y.size)
        return self.level[row, self.below(y)], self.level[row, self.upto(y)]

    def riser(self, y: Floats) -> tuple[Floats, Floats]:
        """Kinks on either side of each price, ``(n,)`` each; the price itself at a kink."""
        row = np.arange(y.size)
        beyond = np.full((y.size, 1), np.inf)
        below = np.concatenate([-beyond, self.kink], axis=1)[row, self.upto(y)]
        above = np.concatenate([self.kink, beyond], axis=1)[row, self.below(y)]
        return np.minimum(below, y), np.maximum(above, y)


STEPS = 40
"""Changes of the free set per model; a model left early still points uphill on the dual."""


def local_minimum(
    stairs: Staircases, A: Floats, slope: Floats, ridge: float, y: Floats, value: Floats, tolerance: float
) -> Floats:
    """Prices at which a linear model of the values meets every staircase.

    Solves ``value - (A S A' + ridge I)(z - y)  in  stairs(z)`` for z, the optimality condition of a convex
    quadratic program with one piecewise-linear term per row. An active-set method in the manner of Lawson and
    Hanson's non-negative least squares: the row furthest off its riser is set free, free rows are solved
    together, and a row that would pass a kink stops there. The objective falls with every step, so no set
    of free rows returns.

    Parameters
    ----------
    stairs
        n staircases.
    A
        Rows over the M variables, ``(n, M)``.
    slope
        Slope of each variable, >= 0, ``(M,)``.
    ridge
        Positive weight that keeps dependent rows solvable and their prices small.
    y
        Prices to start from, ``(n,)``.
    value
        Values at ``y``, ``(n,)``.
    tolerance
        How far a row may stay off its riser.

    Returns
    -------
    Floats
        Prices z, ``(n,)``.
    """
    n = y.size
    row = np.arange(n)
    z = y.copy()
    flat = stairs.below(z)
    roof = stairs.upto(z)
    free = flat == roof
    riser_low, riser_high = stairs.level[row, flat], stairs.level[row, roof]
    beyond = np.full((n, 1), np.inf)
    edge = np.concatenate([-beyond, stairs.kink, beyond], axis=1)
    weighted = A * slope
    move = np.zeros(A.shape[1])
    released = -1
    for _ in range(STEPS):
        F = np.flatnonzero(free)
        if F.size:
            rows = A[F]
            gram = weighted[F] @ rows.T
            gram.flat[:: F.size + 1] += max(ridge, 1e-13 * float(gram.max(initial=0.0)))
            now = value[F] - weighted[F] @ move - ridge * (z[F] - y[F])
            step = np.linalg.solve(gram, now - stairs.level[F, flat[F]])
            low, high = edge[F, flat[F]], edge[F, flat[F] + 1]
            bound = np.where(step < 0, low, high)
            passes = ((step < 0) & (z[F] + step < low)) | ((step > 0) & (z[F] + step > high))
            if passes.any():
                reach = np.where(passes, (bound - z[F]) / np.where(passes, step, 1.0), np.inf)
                first = int(np.argmin(reach))
                part = min(max(float(reach[first]), 0.0), 1.0)
                z[F] += part * step
                stop = F[first]
                z[stop] = bound[first]
                move += part * (step @ rows)
                free[stop] = False
                kinks = stairs.kink[stop]
                flat[stop] = np.count_nonzero(kinks < z[stop])
                roof[stop] = np.count_nonzero(kinks <= z[stop])
                riser_low[stop] = stairs.level[stop, flat[stop]]
                riser_high[stop] = stairs.level[stop, roof[stop]]
                if stop == released and part == 0.0:
                    # Only rounding sends a released row straight back: what is left is below it.
                    break
                continue
            z[F] += step
            move += step @ rows
        now = value - weighted @ move - ridge * (z - y)
        off = np.where(free, 0.0, np.maximum(now - riser_high, riser_low - now))
        worst = int(np.argmax(off))
        if off[worst] <= tolerance:
            break
        free[worst] = True
        if now[worst] > riser_high[worst]:
            flat[worst] = roof[worst]
        released = worst
    return z
