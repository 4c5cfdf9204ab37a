"""Prices at which a linear model of limited values meets every staircase: one step of Newton's method."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from market.model.arrays import Floats, Ints
from market.solver.staircase import Staircases

ROOM = 32
"""Free rows for which there is room from the first."""

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
    weighted = A * slope
    held, free = _Held(stairs, ridge, y, value), _Free(A, weighted, ridge)
    free.add(held.release_all())
    moved = np.zeros(A.shape[1])
    released = -1
    for _ in range(STEPS):
        if free.count:
            step = free.step(moved)
            if not math.isfinite(step.sum()):
                break  # dependent rows under extreme slopes: what was found so far still points uphill
            part, along, stopped = free.advance(step)
            moved += along
            if stopped is not None:
                held.hold(*stopped)
                if stopped[0] == released and part == 0.0:
                    # Only rounding sends a released row straight back: what is left is below it.
                    break
                continue
        fallen = weighted @ moved
        worst, off = held.furthest_off(fallen)
        if off <= tolerance:
            break
        free.add(held.release(worst, fallen))
        released = worst
    return held.prices_with(free)


class _Treads(NamedTuple):
    """Rows that are set free, ``(k,)`` each, or one row.

    ``low`` and ``high`` are the kinks at both ends of their treads, ``wanted`` is what the variables must
    take off their values, less the ridge's part of their prices.
    """

    row: Ints | int
    price: Floats | float
    low: Floats | float
    high: Floats | float
    wanted: Floats | float


class _Free:
    """Free rows, each on a tread: its price lies between two kinks and moves, its value is the tread's.

    They lie together in the order in which they were set free, with the products of each two of them.

    Parameters
    ----------
    A, weighted
        Rows over the variables, as they are and times the variables' slopes, ``(n, M)`` each.
    ridge
        As `local_minimum` has it.

    Attributes
    ----------
    count
        How many they are.
    """

    def __init__(self, A: Floats, weighted: Floats, ridge: float) -> None:
        self._all, self._all_weighted, self._ridge = A, weighted, ridge
        self.count = 0
        self._row = np.zeros(0, dtype=np.intp)
        # Their prices, both ends of their treads, and what is wanted of them; they themselves, and weighted.
        self._numbers, self._both = np.zeros((4, 0)), np.zeros((2, 0, A.shape[1]))
        self._gram = np.zeros((0, 0))
        self._name_parts()

    def _name_parts(self) -> None:
        self._price, self._low, self._high, self._wanted = self._numbers
        self._rows, self._weighted = self._both

    @property
    def row(self) -> Ints:
        """Which rows they are, ``(count,)``."""
        return self._row[: self.count]

    @property
    def price(self) -> Floats:
        """Their prices, ``(count,)``."""
        return self._price[: self.count]

    def add(self, new: _Treads) -> None:
        """Lay rows beside those that are free."""
        before, after = self.count, self.count + np.size(new.row)
        if after > self._row.size:
            self._grow(max(2 * after, ROOM))
        place = slice(before, after)
        self._row[place], self._price[place] = new.row, new.price
        self._low[place], self._high[place], self._wanted[place] = new.low, new.high, new.wanted
        self._rows[place], self._weighted[place] = self._all[new.row], self._all_weighted[new.row]
        products = self._weighted[place] @ self._rows[:after].T
        self._gram[place, :after] = products
        self._gram[:before, place] = products[:, :before].T
        self.count = after

    def _grow(self, room: int) -> None:
        some, row, gram = slice(self.count), np.empty(room, dtype=np.intp), np.empty((room, room))
        numbers, both = np.empty((4, room)), np.empty((2, room, self._both.shape[2]))
        row[some], gram[some, some] = self._row[some], self._gram[some, some]
        numbers[:, some], both[:, some] = self._numbers[:, some], self._both[:, some]
        self._row, self._numbers, self._both, self._gram = row, numbers, both, gram
        self._name_parts()

    def _remove(self, at: int) -> None:
        """Close up behind a row that is free no more."""
        end, self.count = self.count, self.count - 1
        left, right = slice(at, end - 1), slice(at + 1, end)
        self._row[left] = self._row[right]
        self._numbers[:, left], self._both[:, left] = self._numbers[:, right], self._both[:, right]
        self._gram[left, :end] = self._gram[right, :end]
        self._gram[: end - 1, left] = self._gram[: end - 1, right]

    def step(self, moved: Floats) -> Floats:
        """Changes of their prices that bring all onto their treads, ``(count,)``.

        ``moved`` is how far the variables' prices have been moved so far, ``(M,)``.
        """
        some = slice(self.count)
        gram = self._gram[some, some].copy()
        gram.reshape(-1)[:: self.count + 1] += max(self._ridge, 1e-13 * float(gram.max()))
        missing = self._wanted[some] - self._weighted[some] @ moved
        missing -= self._ridge * self._price[some]
        return np.asarray(np.linalg.solve(gram, missing), dtype=np.float64)

    def advance(self, step: Floats) -> tuple[float, Floats, tuple[int, float] | None]:
        """Move their prices until the first of them comes to a kink, where it is free no more.

        Returns
        -------
        part, along, stopped
            How much of the step was made, 1 for all of it; how far that moved the variables' prices,
            ``(M,)``; and the row that has stopped and its kink, if any.
        """
        some = slice(self.count)
        price, low, high = self._price[some], self._low[some], self._high[some]
        along, ahead = step @ self._rows[some], price + step
        passes = (ahead < low) | (ahead > high)
        if not passes.any():
            price[:] = ahead
            return 1.0, along, None
        which = np.flatnonzero(passes)
        kink = np.where(step[which] < 0, low[which], high[which])
        reach = (kink - price[which]) / step[which]
        first = int(np.argmin(reach))
        part, at = min(max(float(reach[first]), 0.0), 1.0), int(which[first])
        price[:] = np.minimum(np.maximum(price + part * step, low), high)
        stopped = int(self._row[at]), float(kink[first])
        self._remove(at)
        return part, part * along, stopped


class _Held:
    """Rows held at kinks: a held row's value lies anywhere on its riser, between two treads.

    Parameters
    ----------
    stairs, ridge, y, value
        As `local_minimum` has them.
    """

    def __init__(self, stairs: Staircases, ridge: float, y: Floats, value: Floats) -> None:
        self._stairs, self._ridge, self._y, self._value = stairs, ridge, y, value
        self._price = y.copy()
        # The treads below and above each row's riser, and its ends, beyond which no free row is.
        self._tread, self._upper = stairs.below(y), stairs.upto(y)
        row = np.arange(y.size)
        self._lowest, self._highest = stairs.level[row, self._tread], stairs.level[row, self._upper]
        # Values less what their own prices have moved them.
        self._base = value.copy()

    def release_all(self) -> _Treads:
        """Set free the rows that stand on no kink."""
        row = np.flatnonzero(self._tread == self._upper)
        self._lowest[row], self._highest[row] = -np.inf, np.inf
        tread, beyond = self._tread[row], np.full((row.size, 1), np.inf)
        edge = np.concatenate([-beyond, self._stairs.kink[row], beyond], axis=1)
        place = np.arange(row.size)
        wanted = self._value[row] + self._ridge * self._y[row] - self._stairs.level[row, tread]
        return _Treads(row, self._price[row], edge[place, tread], edge[place, tread + 1], wanted)

    def release(self, row: int, fallen: Floats) -> _Treads:
        """Set a row free, on the tread at the end of its riser that its value is beyond."""
        if self._base[row] - fallen[row] > self._highest[row]:
            self._tread[row] = self._upper[row]
        self._lowest[row], self._highest[row] = -np.inf, np.inf
        kinks, tread = self._stairs.kink[row], self._tread[row]
        low = kinks[tread - 1] if tread > 0 else -np.inf
        high = kinks[tread] if tread < kinks.size else np.inf
        wanted = self._value[row] + self._ridge * self._y[row] - self._stairs.level[row, tread]
        return _Treads(row, self._price[row], low, high, wanted)

    def hold(self, row: int, kink: float) -> None:
        """Hold a row at a kink."""
        kinks, levels = self._stairs.kink[row], self._stairs.level[row]
        self._price[row] = kink
        self._tread[row], self._upper[row] = np.count_nonzero(kinks < kink), np.count_nonzero(kinks <= kink)
        self._lowest[row], self._highest[row] = levels[self._tread[row]], levels[self._upper[row]]
        self._base[row] = self._value[row] - self._ridge * (kink - self._y[row])

    def furthest_off(self, fallen: Floats) -> tuple[int, float]:
        """The row whose value is furthest off its riser, and by how much.

        ``fallen`` is what the variables have taken off the values, ``(n,)``.
        """
        now = self._base - fallen
        off = np.maximum(now - self._highest, self._lowest - now)
        worst = int(off.argmax())
        return worst, max(float(off[worst]), 0.0)

    def prices_with(self, free: _Free) -> Floats:
        """Prices of all rows, ``(n,)``."""
        self._price[free.row] = free.price
        return self._price
