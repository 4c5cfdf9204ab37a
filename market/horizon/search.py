"""How far to go towards a model's equilibrium: to where the dual's slope along the way is nearly zero."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from market.horizon.feeder import FeederLimits
from market.horizon.lams import Settled
from market.horizon.line import NEAR
from market.horizon.step import Point
from market.model.arrays import Floats
from market.solver.root import Bracket

TRIES = 8


def between(start: Point, end: Point, part: float) -> Point:
    """Point on the way from one to another, on the sides of the end."""
    if part == 1.0:
        return end
    price = start.price + part * (end.price - start.price)
    return Point(price, start.y + part * (end.y - start.y), end.side)


class Way:
    """The slope of the negative dual on the way from some prices of limits to others; it never falls.

    Parameters
    ----------
    limits
        The market's limits.
    start, end
        Prices of the limits, ``(n,)`` each.
    """

    def __init__(self, limits: FeederLimits, start: Floats, end: Floats) -> None:
        self._limits = limits
        self._moving = np.flatnonzero(end - start)
        self._stairs = limits.stairs.take(self._moving)
        self._start, self._speed = start[self._moving], (end - start)[self._moving]

    def slope(self, part: float, kw: Floats) -> float:
        """Slope at a part of the way, where LAMs at their equilibria buy ``kw``, ``(M, T)`` [kW $/kWh]."""
        low, high = self._stairs.admissible(self._start + part * self._speed)
        # Ahead of the point at its start, behind it elsewhere, so that a step that ends at a kink may stop.
        level = np.where((self._speed > 0) == (part == 0.0), high, low)
        return float((level - self._limits.values(kw)[self._moving]) @ self._speed)


@dataclass(frozen=True)
class Gone:
    """Where a step ended.

    Attributes
    ----------
    part
        How much of the way was gone.
    there
        LAMs at their equilibria there.
    behind
        The slope at the end of the whole way, in terms of the one at its start, which is negative: how far
        the dual's best point lies behind the end, or ahead of it where this is negative.
    """

    part: float
    there: Settled
    behind: float


def best_part(way: Way, kw: Floats, settled: Callable[[float, bool], Settled], *, careful: bool) -> Gone:
    """Go a way, or up to where the dual still rises.

    Parameters
    ----------
    way
        The way.
    kw
        Net purchases at its start, ``(M, T)`` [kW].
    settled
        LAMs at a part of the way, roughly or more exactly.
    careful
        Whether the dual must rise for sure: no point is then taken behind its best one, which costs answers.
    """
    first = way.slope(0.0, kw)
    enough, tries = NEAR * abs(first), TRIES
    most = enough
    if careful:
        most, tries = 1e-6 * enough, 4 * TRIES
    for exactly in (False, True):
        there = settled(1.0, exactly)
        last = way.slope(1.0, there.answers.kw)
        behind = last / abs(first) if first < 0.0 else 0.0
        if first >= 0.0 or last <= most:
            return Gone(1.0, there, behind)
        if last > enough:
            break
    bracket = Bracket(0.0, first, 1.0, last)
    part = 1.0
    for k in range(tries):
        inside = bracket.inside
        if inside is None:
            break
        # Where the slope stays for long and then rises suddenly, lines hardly move and halves do.
        part = inside if k % 2 == 0 else 0.5 * (bracket.low + bracket.high)
        there = settled(part, True)
        value = way.slope(part, there.answers.kw)
        if value <= most:
            break
        bracket = bracket.narrowed(part, value)
    return Gone(part, there, behind)
