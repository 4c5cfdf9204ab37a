"""Newton's method on the dual of a market over a horizon.

Where a party's answer would jump at a price, as that of a lone member or of a LAM that takes prices as given,
a small slope is added around a centre (a proximal step); the centre moves until it makes no difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from market.errors import NotConverged
from market.horizon.case import HorizonCase
from market.horizon.feeder import FeederLimits
from market.horizon.members import FLATTEST, Answers, Members, lam_reach, price_size
from market.horizon.search import Way, best_part, between
from market.horizon.start import Near
from market.horizon.step import Point, Target, WamTerms, model_equilibrium
from market.model.arrays import Floats

STEPS = 80
"""Steps after which a search is given up, or begun anew with blurred answers."""

PATIENCE = 8
"""Steps that bring the model's equilibrium no nearer, after which each must make the dual rise for sure."""

BEYOND = 50.0
"""Prices of limits beyond the grid's by this factor tell that a limit may not be met."""

SETTLED = 1e-10
"""Part of the prices that moving centres may still change."""

EXACT = 1e-10
"""Part of the largest LAM's power by which answers may miss the model's at the end."""

ROUNDING = 16.0 * float(np.finfo(np.float64).eps)
"""Part of a price that its sums may lose."""

FIRST_RIDGE, LEAST_RIDGE = 10.0, 1e-5
"""Slope added to each LAM's answers in the model, in terms of its whole power over the prices: at first, and
below which it is left out. Answers that are saturated where the search begins say nothing of those nearby."""


@dataclass(frozen=True)
class Found:
    """Where the search ended: prices, what members answer there, and the steps that it took."""

    point: Point
    answers: Answers
    steps: int


class Newton:
    """The search for one case.

    Parameters
    ----------
    case, members, limits
        The case, its members and its feeder's limits.
    """

    def __init__(self, case: HorizonCase, members: Members, limits: FeederLimits) -> None:
        self._members, self._limits = members, limits
        self._size, reach = price_size(case), lam_reach(case)
        most = max(float(reach.max()), 1e-9)
        true = np.stack([interval.wam_slope for interval in case.intervals], axis=1)
        slope = np.where(true > 0, true, FLATTEST * self._size / most)
        fee = np.stack([interval.wam_fee for interval in case.intervals], axis=1)
        self._terms = WamTerms(slope, fee, np.zeros_like(fee))
        self._added, self._offset, self._least_slope = slope - true, np.zeros_like(fee), float(slope.min())
        self._swing = np.maximum(reach, 1e-9 * most)[:, None] / self._size
        self._tolerance = EXACT * most
        self._ridge, self._trust = FIRST_RIDGE, 0.1
        self._far: list[float] = []

    def solve(self, now: Point, start: Sequence[Near] | None, *, roughly: bool = False) -> Found:
        """Search from a point; ``start`` has the net purchases there, where they are known.

        Searching ``roughly`` leaves centres where they are.

        Raises
        ------
        NotConverged
            Prices did not settle.
        """
        if start is not None:
            self._recentre(np.stack([near.net_kw for near in start], axis=1))
            self._ridge = 0.0
        answers, missed = self._answer(now), np.inf
        for step in range(1, STEPS + 1):
            target = self._target(now, answers)
            part, answers = self._go(now, target, answers)
            now = between(now, target.point, part)
            missed = float(np.abs(target.kw - answers.kw).max()) if part == 1.0 else np.inf
            self._learn(part)
            if missed <= self._tolerance + self._rounding_kw(now):
                if roughly or self._recentre(answers.kw) <= SETTLED * self._size:
                    return Found(now, answers, step)
                answers = self._answer(now)
        raise NotConverged(STEPS, missed, self._what_rises(now))

    def _what_rises(self, now: Point) -> str:
        """The limit whose price is far beyond all others, in words; nothing where none is."""
        far = int(np.argmax(np.abs(now.y)))
        if abs(now.y[far]) < BEYOND * self._size:
            return ""
        t = int(self._limits.interval[far])
        row = far - int(self._limits.head[t])
        name = f"network row {row - 1}" if row else "the grid's limit"
        return (
            f"the price of {name} in interval {t} rises without end, so that no trade may meet it; widen it"
        )

    def _answer(self, point: Point) -> Answers:
        return self._members.at(point.price + self._offset)

    def _target(self, now: Point, answers: Answers) -> Target:
        """Equilibrium of the model at a point."""
        fall = answers.fall
        if self._ridge:
            each = np.arange(fall.shape[1])
            fall = fall.copy()
            fall[:, each, each] += self._ridge * self._swing
        return model_equilibrium(self._limits, self._terms, now, answers.kw, fall, 0.1 * self._tolerance)

    def _go(self, now: Point, target: Target, answers: Answers) -> tuple[float, Answers]:
        """How far to go to the target, and what members answer there."""
        far = max(
            np.abs(target.point.price - now.price).max(), np.abs(target.point.y - now.y).max(initial=0.0)
        )
        if far <= 1e-13 * self._size:
            # Only rounding is left, of which the dual's slope along the way would be made.
            return 1.0, self._answer(target.point)
        way = Way(self._limits, self._terms, now, target.point)
        self._far.append(far)
        return best_part(
            way,
            answers.kw,
            lambda part: self._answer(between(now, target.point, part)),
            careful=self._is_stuck,
        )

    @property
    def _is_stuck(self) -> bool:
        """Whether models' equilibria have come no nearer for a while."""
        last, before = self._far[-PATIENCE:], self._far[:-PATIENCE]
        return bool(before) and min(last) > 0.5 * min(before)

    def _learn(self, part: float) -> None:
        """Trust the model more after whole steps, less after short ones, and then grow bold slowly."""
        if part < 0.9:
            self._ridge, self._trust = max(4.0 * self._ridge, 1e-3), 0.5
        else:
            self._ridge = self._trust * self._ridge if self._ridge > LEAST_RIDGE else 0.0
            self._trust = max(0.1, 0.3 * self._trust)

    def _rounding_kw(self, now: Point) -> float:
        """What rounding of prices alone may make of answers [kW]."""
        return ROUNDING * float(np.abs(now.price).max()) / min(self._members.least_slope, self._least_slope)

    def _recentre(self, kw: Floats) -> float:
        """Move the centres to net purchases ``(M, T)``; the most that this changes a price [$/kWh]."""
        own, wide = -self._members.added * kw, -self._added * kw
        changed = max(np.abs(own - self._offset).max(), np.abs(wide - self._terms.offset).max())
        self._offset, self._terms = own, replace(self._terms, offset=wide)
        return float(changed)
