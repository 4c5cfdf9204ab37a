"""How far to go towards a model's equilibrium: to where the dual's slope along the way is nearly zero."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from market.horizon.feeder import FeederLimits
from market.horizon.members import Answers
from market.horizon.step import Point, WamTerms
from market.model.arrays import Floats
from market.solver.root import Bracket

NEAR = 0.6
"""A step may stop where the dual's slope along it has fallen to this part."""

TRIES = 8


def between(start: Point, end: Point, part: float) -> Point:
    """Point on the way from one to another, on the sides of the end."""
    if part == 1.0:
        return end
    price = start.price + part * (end.price - start.price)
    return Point(price, start.y + part * (end.y - start.y), end.side)


class Way:
    """The slope of the negative dual on the way from one point to another; it never falls.

    Parameters
    ----------
    limits, terms
        The market's limits and what LAMs reckon with.
    start, end
        The two points.
    """

    def __init__(self, limits: FeederLimits, terms: WamTerms, start: Point, end: Point) -> None:
        self._limits, self._terms, self._start, self._end = limits, terms, start, end
        self._gap = start.price - limits.prices(start.y)
        self._wam = limits.prices(end.y) - limits.prices(start.y)
        self._moving = np.flatnonzero(end.y - start.y)
        self._stairs = limits.stairs.take(self._moving)

    def slope(self, part: float, kw: Floats) -> float:
        """Slope at a part of the way, where members answer with net purchases ``kw`` [kW $/kWh]."""
        price = self._end.price - self._start.price
        wanted = self._terms.wanted_kw(self._gap + part * (price - self._wam))
        y, speed = self._start.y[self._moving], (self._end.y - self._start.y)[self._moving]
        at = y + part * speed
        low, high = self._stairs.admissible(at)
        # Ahead of the point at its start, behind it elsewhere, so that a step that ends at a kink may stop.
        level = np.where((speed > 0) == (part == 0.0), high, low)
        fixed = float((level - self._limits.base[self._moving]) @ speed)
        return float(((wanted - kw) * price).sum() - (wanted * self._wam).sum()) + fixed


def best_part(
    way: Way, kw: Floats, answer: Callable[[float], Answers], *, careful: bool
) -> tuple[float, Answers]:
    """Part of the way that is gone, up to all of it, and what members answer there.

    Parameters
    ----------
    way
        The way.
    kw
        Net purchases at its start, ``(M, T)`` [kW].
    answer
        What members answer at a part of the way.
    careful
        Whether the dual must rise for sure: no point is then taken behind its best one, which costs answers.
    """
    first = way.slope(0.0, kw)
    answers = answer(1.0)
    last = way.slope(1.0, answers.kw)
    enough, tries = NEAR * abs(first), TRIES
    most = enough
    if careful:
        most, tries = 1e-6 * enough, 4 * TRIES
    if first >= 0.0 or last <= most:
        return 1.0, answers
    bracket = Bracket(0.0, first, 1.0, last)
    before: tuple[float, Answers] | None = None
    part = 1.0
    for _ in range(tries):
        inside = bracket.inside
        if inside is None:
            break
        part = inside
        answers = answer(part)
        value = way.slope(part, answers.kw)
        if -enough <= value <= most:
            return part, answers
        bracket = bracket.narrowed(part, value)
        if value < 0.0:
            before = part, answers
    return before if careful and before is not None else (part, answers)
