"""Prices at which a linear model of limited values meets every staircase: one step of Newton's method."""

from __future__ import annotations

import numpy as np

from market.model.arrays import Bools, Floats, Ints
from market.solver.staircase import Staircases

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
    model = _Model(A, slope, ridge, y, value)
    position = _Position(stairs, y)
    moved = np.zeros(A.shape[1])
    released = -1
    for _ in range(STEPS):
        free = position.free.nonzero()[0]
        if free.size:
            step, along = model.step(position, free, moved)
            if not np.isfinite(step).all():
                break  # dependent rows under extreme slopes: what was found so far still points uphill
            part, stopped = position.advance(free, step)
            moved += part * along
            if stopped is not None:
                if stopped == released and part == 0.0:
                    # Only rounding sends a released row straight back: what is left is below it.
                    break
                continue
        now = model.values(position.price, moved)
        worst, off = position.furthest_off(now)
        if off <= tolerance:
            break
        position.release(worst, float(now[worst]))
        released = worst
    return position.price


class _Model:
    """Values as linear functions of the rows' prices.

    Rows that were ever free lie together, with the products of each two of them, which change with no price.

    Parameters
    ----------
    A, slope
        Rows over the variables ``(n, M)`` and the variables' slopes ``(M,)``.
    ridge, y, value
        As `local_minimum` has them.
    """

    def __init__(self, A: Floats, slope: Floats, ridge: float, y: Floats, value: Floats) -> None:
        self._a, self._ridge, self._y, self._value = A, ridge, y, value
        self._weighted = A * slope
        self._place = np.full(y.size, -1, dtype=np.intp)
        self._count = 0
        self._rows = self._weighted_rows = np.zeros((0, A.shape[1]))
        self._gram = np.zeros((0, 0))

    def values(self, price: Floats, moved: Floats) -> Floats:
        """Values of the rows at their prices ``(n,)``, which moved the variables' by ``moved`` ``(M,)``."""
        return self._value - self._weighted @ moved - self._ridge * (price - self._y)

    def step(self, position: _Position, free: Ints, moved: Floats) -> tuple[Floats, Floats]:
        """Change of the ``free`` rows' prices that brings all onto their treads, and of the variables'."""
        self._gather(free[self._place[free] < 0])
        place, count = self._place[free], self._count
        gram = self._gram[place[:, None], place]
        gram.flat[:: free.size + 1] += max(self._ridge, 1e-13 * float(gram.max(initial=0.0)))
        along = (self._weighted_rows[:count] @ moved)[place]
        now = self._value[free] - along - self._ridge * (position.price[free] - self._y[free])
        step = np.asarray(np.linalg.solve(gram, now - position.tread_level(free)), dtype=np.float64)
        every = np.zeros(count)
        every[place] = step
        return step, every @ self._rows[:count]

    def _gather(self, new: Ints) -> None:
        """Lay rows beside those that were free before."""
        if not new.size:
            return
        before, after = self._count, self._count + new.size
        if after > len(self._rows):
            room = max(2 * after, 8)
            self._rows, old = np.empty((room, self._a.shape[1])), self._rows
            self._weighted_rows, weighted = np.empty_like(self._rows), self._weighted_rows
            self._gram, gram = np.empty((room, room)), self._gram
            self._rows[:before], self._weighted_rows[:before] = old[:before], weighted[:before]
            self._gram[:before, :before] = gram[:before, :before]
        self._rows[before:after], self._weighted_rows[before:after] = self._a[new], self._weighted[new]
        products = self._weighted_rows[before:after] @ self._rows[:after].T
        self._gram[before:after, :after] = products
        self._gram[:before, before:after] = products[:, :before].T
        self._place[new], self._count = np.arange(before, after), after


class _Position:
    """Where each of n rows stands on its staircase.

    A free row is on a tread: its price lies between two kinks and moves, its value is the tread's. Any other
    row is held at a kink: its value lies anywhere on the riser, between two treads.

    Attributes
    ----------
    price
        Of each row, ``(n,)``.
    free
        Whether each row is on a tread, ``(n,)``.
    """

    def __init__(self, stairs: Staircases, y: Floats) -> None:
        self._stairs = stairs
        self.price = y.copy()
        # A free row's tread, or that below a held row's riser; and the one above the riser.
        self._tread, self._upper = stairs.below(y), stairs.upto(y)
        self.free: Bools = self._tread == self._upper
        self._row = np.arange(y.size)
        beyond = np.full((y.size, 1), np.inf)
        self._edge = np.concatenate([-beyond, stairs.kink, beyond], axis=1)
        # Ends of held rows' risers; a free row is never off them.
        self._lowest = np.where(self.free, -np.inf, stairs.level[self._row, self._tread])
        self._highest = np.where(self.free, np.inf, stairs.level[self._row, self._upper])

    def tread_level(self, rows: Ints) -> Floats:
        """Values that free rows have on their treads."""
        return np.asarray(self._stairs.level[rows, self._tread[rows]])

    def advance(self, rows: Ints, step: Floats) -> tuple[float, int | None]:
        """Move free rows' prices until the first of them comes to a kink, where it is held.

        Returns
        -------
        part, stopped
            How much of the step was made, 1 for all of it, and the row that is held now, if any.
        """
        price, tread = self.price[rows], self._tread[rows]
        low, high = self._edge[rows, tread], self._edge[rows, tread + 1]
        passes = ((step < 0) & (price + step < low)) | ((step > 0) & (price + step > high))
        if not passes.any():
            self.price[rows] += step
            return 1.0, None
        kink = np.where(step < 0, low, high)
        reach = np.where(passes, (kink - price) / np.where(passes, step, 1.0), np.inf)
        first = int(np.argmin(reach))
        part = min(max(float(reach[first]), 0.0), 1.0)
        self.price[rows] += part * step
        self._hold(int(rows[first]), float(kink[first]))
        return part, int(rows[first])

    def _hold(self, row: int, kink: float) -> None:
        """Hold a row at a kink."""
        self.price[row] = kink
        self.free[row] = False
        kinks = self._stairs.kink[row]
        self._tread[row] = np.count_nonzero(kinks < kink)
        self._upper[row] = np.count_nonzero(kinks <= kink)
        levels = self._stairs.level[row]
        self._lowest[row], self._highest[row] = levels[self._tread[row]], levels[self._upper[row]]

    def furthest_off(self, value: Floats) -> tuple[int, float]:
        """The held row whose value ``(n,)`` is furthest off its riser, and by how much."""
        off = np.maximum(value - self._highest, self._lowest - value)
        worst = int(off.argmax())
        return worst, max(float(off[worst]), 0.0)

    def release(self, row: int, value: float) -> None:
        """Set a held row free, on the tread at the end of its riser that its value is beyond."""
        self.free[row] = True
        if value > self._highest[row]:
            self._tread[row] = self._upper[row]
        self._lowest[row], self._highest[row] = -np.inf, np.inf
