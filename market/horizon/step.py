"""One step of Newton's method on the dual: prices at which a linear model of all answers is an equilibrium.

Members' answers are taken as linear, ``S(price) = kw - fall (price - now)``; the WAM's fee and slope, the
grid and the rows are in the model as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market.horizon.feeder import FeederLimits
from market.horizon.gram import gram_of
from market.horizon.lam import CHANGES, WamTerms
from market.horizon.response import Response
from market.horizon.rows import meet
from market.model.arrays import Floats, Ints

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
    limits: FeederLimits, terms: WamTerms, now: Point, kw: Floats, fall: Floats, resting: Floats,
    tolerance: float, far: float = np.inf,
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
    resting
        Fall that is added where a LAM rests, ``(M,)`` [kW per $/kWh].
    terms
        What a LAM reckons with beside its locational price.
    tolerance
        How far limits and LAMs' wishes may be missed in the model [kW].
    far
        Price of a limit beyond which no more limits are sought [$/kWh].
    """
    side, y = now.side, now.y
    response = Response(now.price, kw, fall, resting, terms, side, tolerance)
    for _ in range(CHANGES):
        y = _limits_met(limits, response, y, tolerance, far)
        wam_price = limits.prices(y)
        price, net_kw = response.at(wam_price)
        changed = _sides(side, net_kw, price - wam_price - terms.offset, terms, tolerance)
        if (changed == side).all():
            break
        side = changed
        response.turn(side)
    return Target(Point(price, y, side), net_kw)


def _sides(side: Ints, net_kw: Floats, gap: Floats, terms: WamTerms, tolerance: float) -> Ints:
    """Who buys, sells or rests, given net purchases and local less locational prices."""
    stops = (side != 0) & (side * net_kw < -tolerance) & (terms.fee > 0)
    starts = (side == 0) & (np.abs(gap) > terms.fee * (1.0 + 1e-12) + terms.slope * tolerance)
    new = np.where(stops, 0, np.where(starts, np.sign(gap), side))
    return np.asarray(new, dtype=np.intp)


def _limits_met(limits: FeederLimits, response: Response, y: Floats, tolerance: float, far: float) -> Floats:
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
        gram = gram_of(
            limits.A[rows], limits.interval[rows], response.inverse, response.ease, response.trades, gram
        )
        value = limits.values(net_kw)[rows]
        y = y.copy()
        y[rows] = meet(limits.stairs.take(rows), gram, limits.interval[rows], y[rows], value, 0.1 * tolerance)
        if np.abs(y).max() > far:
            break
    return y
