"""One step of Newton's method on the dual: prices at which a linear model of all answers is an equilibrium.

Members' answers are taken as linear, ``S(price) = kw - fall (price - now)``; the WAM's fee and slope, the
grid and the rows are in the model as they are.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from market.horizon.feeder import FeederLimits
from market.horizon.gram import gram_of
from market.horizon.lam import CHANGES, WamTerms
from market.horizon.rows import meet
from market.model.arrays import Bools, Floats, Ints

CORES = os.cpu_count() or 1

GATHERINGS = 12
"""Times that rows which turn out violated are taken in."""


@dataclass(frozen=True)
class Point:
    """Where the search is.

    Attributes
    ----------
    price
        Local prices, ``(M, T)`` [$/kWh].
    y
        Prices of the feeder's limits, ``(n,)``, as `FeederLimits` counts them.
    side
        Whether each LAM buys (1), sells (-1) or rests (0), ``(M, T)``.
    """

    price: Floats
    y: Floats
    side: Ints


@dataclass(frozen=True)
class Target:
    """Where the model is an equilibrium: the point, and the net purchases that the model has there."""

    point: Point
    kw: Floats


def model_equilibrium(
    limits: FeederLimits, terms: WamTerms, now: Point, kw: Floats, fall: Floats, tolerance: float,
    far: float = np.inf,
) -> Target:  # fmt: skip
    """Equilibrium of the linear model.

    Parameters
    ----------
    limits
        The feeder's limits.
    now
        Where the model is exact.
    kw, fall
        Net purchases there ``(M, T)`` and their fall with the prices ``(M, T, T)``.
    terms
        What a LAM reckons with beside its locational price.
    tolerance
        How far limits may be missed in the model [kW].
    far
        Price of a limit beyond which no more limits are sought [$/kWh].
    """
    side, y = now.side, now.y
    response = _Response(now.price, kw, fall, terms, side)
    for _ in range(CHANGES):
        y = _limits_met(limits, response, y, tolerance, far)
        wam_price = limits.prices(y)
        price = response.price(wam_price)
        net_kw = kw - times(fall, price - now.price)
        changed = _sides(side, net_kw, price - wam_price - terms.offset, terms.fee, tolerance)
        if (changed == side).all():
            break
        side = changed
        response.turn(side)
    return Target(Point(price, y, side), net_kw)


def _sides(side: Ints, net_kw: Floats, gap: Floats, fee: Floats, tolerance: float) -> Ints:
    """Who buys, sells or rests, given net purchases and local less locational prices."""
    stops = (side != 0) & (side * net_kw < -tolerance) & (fee > 0)
    starts = (side == 0) & (np.abs(gap) > fee * (1.0 + 1e-12))
    new = np.where(stops, 0, np.where(starts, np.sign(gap), side))
    return np.asarray(new, dtype=np.intp)


class _Response:
    """Net purchases and local prices as linear functions of the locational prices, with sides held.

    Parameters
    ----------
    price, kw, fall
        Where the model is exact, net purchases there, ``(M, T)`` each, and their fall ``(M, T, T)``.
    terms
        What a LAM reckons with beside its locational price.
    side
        Who buys, sells or rests, ``(M, T)``.
    """

    def __init__(self, price: Floats, kw: Floats, fall: Floats, terms: WamTerms, side: Ints) -> None:
        self._now, self._kw, self._own_fall, self._terms = price, kw, fall, terms
        self._side = side
        self._constant, self._follows = np.empty_like(kw), np.empty_like(fall)
        self.fall = np.empty_like(fall)
        self._solve(np.arange(len(kw)))

    def turn(self, side: Ints) -> None:
        """Hold other sides."""
        changed = np.flatnonzero((side != self._side).any(axis=1))
        self._side = side
        self._solve(changed)

    def _solve(self, lams: Ints) -> None:
        """Work out the functions of some LAMs, on all cores."""
        with ThreadPoolExecutor(CORES) as cores:
            list(cores.map(self._solve_some, np.array_split(lams, min(CORES, max(lams.size, 1)))))

    def _solve_some(self, lams: Ints) -> None:
        terms, side, fall, kw = self._terms, self._side[lams], self._own_fall[lams], self._kw[lams]
        fee, slope = terms.fee[lams], terms.slope[lams]
        trades: Bools = np.asarray((side != 0) | (fee == 0))
        each = np.arange(kw.shape[1])
        steepest = np.maximum(np.diagonal(fall, axis1=1, axis2=2).max(axis=1), 1e-9)
        system = np.where(trades, slope, 1.0 / steepest[:, None])[:, :, None] * fall
        system[:, each, each] += np.where(trades, 1.0, 1e-10)
        wanted = side * fee + slope * kw + terms.offset[lams] - self._now[lams]
        inverse = np.asarray(np.linalg.inv(system), dtype=np.float64)
        self._constant[lams] = times(inverse, np.where(trades, wanted, kw / steepest[:, None]))
        self._follows[lams] = inverse * trades[:, None, :]
        self.fall[lams] = fall @ self._follows[lams]

    def price(self, wam_price: Floats) -> Floats:
        """Local prices, ``(M, T)``."""
        return self._now + self._constant + times(self._follows, wam_price)

    def net_kw(self, wam_price: Floats) -> Floats:
        """Net purchases, ``(M, T)``."""
        return self._kw - times(self._own_fall, self.price(wam_price) - self._now)


def times(matrices: Floats, vectors: Floats) -> Floats:
    """Matrices ``(M, T, T)`` times vectors ``(M, T)``, one by one."""
    return np.asarray(np.matmul(matrices, vectors[:, :, None])[:, :, 0])


def _limits_met(limits: FeederLimits, response: _Response, y: Floats, tolerance: float, far: float) -> Floats:
    """Prices of limits at which the responses meet them all: those that matter, found as they are missed.

    Once one is beyond ``far``, no more are sought.
    """
    rows = np.flatnonzero(y != 0.0)
    rows = np.concatenate([limits.head, np.setdiff1d(rows, limits.head)])
    gram = np.zeros((0, 0))
    for _ in range(GATHERINGS):
        net_kw = response.net_kw(limits.prices(y))
        beyond = np.abs(limits.beyond(net_kw, y))
        beyond[rows[: gram.shape[0]]] = 0.0
        # Rows of one interval say much the same: the worst of them stands for the others until it is met.
        worst = np.maximum.reduceat(beyond, limits.head)
        more = np.flatnonzero((beyond > tolerance) & (beyond >= worst[limits.interval]))
        if not more.size and gram.shape[0]:
            break
        rows = np.concatenate([rows, np.setdiff1d(more, rows)])
        gram = gram_of(limits.A[rows], limits.interval[rows], response.fall, gram)
        value = limits.values(net_kw)[rows]
        y = y.copy()
        y[rows] = meet(limits.stairs.take(rows), gram, limits.interval[rows], y[rows], value, 0.1 * tolerance)
        if np.abs(y).max() > far:
            break
    return y
