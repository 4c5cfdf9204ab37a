"""Newton's method on the dual of a market over a horizon.

At each point LAMs stand at their equilibria at the locational prices that the limits' prices make, so that
one LAM whose members answer unlike their model holds up nobody else. Far from the solution this is rough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from market.horizon import allowed
from market.horizon.case import HorizonCase
from market.horizon.feeder import FeederLimits
from market.horizon.lams import Lams, Settled
from market.horizon.line import CUT
from market.horizon.members import Answers, Members, lam_reach, price_size
from market.horizon.search import Gone, Way, best_part, between
from market.horizon.start import Near
from market.horizon.step import Point, Target, model_equilibrium
from market.horizon.unsettled import BEYOND, unsettled
from market.model.arrays import Floats

STEPS = 80
"""Steps after which a search is given up, or begun anew with blurred answers."""

PATIENCE = 8
"""Steps that bring the model's equilibrium no nearer, after which each must make the dual rise for sure."""

DOUBTS = 8
"""Models with prices of limits beyond that factor that are not believed."""

SETTLED = 1e-10
"""Part of the prices that moving centres may still change."""

EXACT = 1e-10
"""Part of the largest LAM's power by which answers may miss the model's at the end."""

ROUGH, NEARER, CLOSER = 0.1, 1e-2, 0.05
"""Parts of the largest LAM's power by which LAMs may miss their equilibria, the first without a start,
and part of the last miss."""

LOOSE, EXACT_FROM = 0.03, 1e-4
"""A model may be missed by the first part of what LAMs may miss, until that is below the second part of the
largest LAM's power."""

FIRST_RIDGE, LEAST_RIDGE = 10.0, 1e-5
"""Slope added to each LAM's answers in the model, in terms of its whole power over the prices: at first, and
below which it is left out. Answers that are saturated where the search begins say nothing of those nearby."""

BEHIND = 0.3
"""Part of the dual's slope at a step's beginning which, fallen at its end, asks for as much slope again."""

TIES = (0.1, 0.02)
"""Slope that holds each power of members with several stores to its centre at first, as a part of the prices
over its owner's power: with no start and with one."""

ROUNDS, NEARS = 30, 0.3
"""Moves of centres of a member with several stores one after the other, where the last step moved prices by
no more than the second part of the step before. Where prices depend on what one of them does, both have to
move in turns, which ends at a solution for sure."""

CENTRED = (0.01, 0.1)
"""Part of what a step moved prices by that centres of members with several stores may still move them by: to
the end, and where a search ends roughly."""


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
    held
        Its LAMs, whose centres stay where they are; without, LAMs whose centres move as there is need.
    """

    def __init__(
        self, case: HorizonCase, members: Members, limits: FeederLimits, held: Lams | None = None
    ) -> None:  # fmt: skip
        self._case, self._is_held = case, held is not None
        self._lams, self._limits = held or Lams(case, members), limits
        self._size = price_size(case)
        self._most = max(float(lam_reach(case).max()), 1e-9)
        self._tolerance = EXACT * self._most
        self._allowed_kw = np.minimum(allowed.of_lams(case), self._tolerance)
        self._within = 0.1 * min(self._tolerance, float(limits.allowed_kw.min()))
        self._ridge, self._trust = 0.0, 0.1
        self._far: list[float] = []
        self._doubts = DOUBTS

    def solve(
        self, now: Point, start: Sequence[Near] | None, *, roughly: float | None = None,
        ridge: float = FIRST_RIDGE, most: int = STEPS,
    ) -> Found:  # fmt: skip
        """Search from a point.

        Parameters
        ----------
        now
            The point.
        start
            What is known near the solution, from which the point was made: its net purchases are a centre.
        roughly
            Part of the largest LAM's power by which answers may miss the model's at the end, where that is
            not as exactly as can be; centres then stay where they are.
        ridge
            Slope added at first where there is no start, as `FIRST_RIDGE`.
        most
            Steps after which the search is given up.

        Raises
        ------
        NotConverged
            Prices did not settle.
        """
        self._ridge = ridge
        if roughly is not None:
            self._tolerance = roughly * self._most
            self._allowed_kw = np.full_like(self._allowed_kw, self._tolerance)
            self._within = 0.1 * self._tolerance
        if start is not None:
            self._lams.recentre(np.stack([near.net_kw for near in start], axis=1))
            self._ridge = 0.0
        rough = (ROUGH if start is None else NEARER) * self._most
        self._lams.tie_homes(TIES[start is not None])
        here = self._settled(now, rough)
        for step in range(1, most + 1):
            is_exact = rough <= max(EXACT_FROM * self._most, self._tolerance)
            target = self._target(here, self._within if is_exact else max(self._within, LOOSE * rough))
            far = float(np.abs(target.point.price - here.point.price).max())
            gone = self._go(here, target, rough)
            here = gone.there
            missed = np.inf
            if gone.part == 1.0:
                missed = max(float(np.abs(target.kw - here.answers.kw).max()), here.missed_kw)
                rough = min(rough, CLOSER * missed)
            self._learn(gone)
            ends = is_exact and missed <= self._enough(here.point)
            if ends and (roughly is not None or self._holds(here)):
                if roughly is not None:
                    return Found(here.point, here.answers, step)
                moved = self._lams.centre_homes(here.answers, far, 0.0, self._rounds)
                if not self._is_held:
                    moved = max(moved, self._lams.recentre(here.answers.kw))
                if moved <= SETTLED * self._size:
                    return Found(here.point, here.answers, step)
                here = self._settled(here.point, 0.0)
            elif self._lams.has_homes:
                part = CENTRED[roughly is not None]
                if self._lams.centre_homes(here.answers, far, part, self._rounds):
                    here = self._settled(here.point, rough)
        raise unsettled(self._case, self._limits, here, most, is_held=self._is_held)

    def _enough(self, point: Point) -> float:
        """How far answers may be from the model's at the end [kW]."""
        return self._tolerance + float(self._lams.rounding_kw(point.price).max())

    def _exact_kw(self, point: Point) -> Floats:
        """How far answers may be off at the end, ``(M, T)`` [kW]."""
        return np.asarray(self._allowed_kw + self._lams.rounding_kw(point.price))

    def _settled(self, guess: Point, tolerance: float) -> Settled:
        """LAMs at the prices of limits of a point, off by ``tolerance`` or what is allowed at the end."""
        allowed_kw = np.maximum(self._exact_kw(guess), tolerance)
        return self._lams.at(guess, self._limits.prices(guess.y), allowed_kw)

    def _holds(self, here: Settled) -> bool:
        """Whether LAMs and limits are met as exactly as the certificate asks."""
        if not (here.off_kw <= self._exact_kw(here.point)).all():
            return False
        rounding_kw = self._lams.rounding_kw(here.point.price).sum(axis=0)
        return self._limits.are_met(here.answers.kw, here.point.y, rounding_kw)

    def _target(self, here: Settled, within: float) -> Target:
        """Equilibrium of the model at a point, missed by no more than ``within`` [kW].

        Where hardly anybody's answer seems to fall, limits' prices in it go far beyond any price; more fall
        is then added, a few times, before such prices are believed.
        """
        fall, terms = here.answers.fall, self._lams.terms
        each = np.arange(fall.shape[1])
        while True:
            model = fall
            if self._ridge:
                model = fall.copy()
                model[:, each, each] += self._ridge * self._lams.swing[:, None]
            far = BEYOND * self._size if self._doubts else np.inf
            target = model_equilibrium(
                self._limits, terms, here.point, here.answers.kw, model, self._lams.resting, within, far
            )
            if np.abs(target.point.y).max(initial=0.0) <= far:
                return target
            self._doubts -= 1
            self._ridge, self._trust = min(max(10.0 * self._ridge, 1e-2), FIRST_RIDGE), 0.5

    def _go(self, here: Settled, target: Target, rough: float) -> Gone:
        """Go to the target, or as far as is good."""
        now, end = here.point, target.point
        far = max(np.abs(end.price - now.price).max(), np.abs(end.y - now.y).max(initial=0.0))
        if far <= 1e-13 * self._size:
            # Only rounding is left, of which the dual's slope along the way would be made.
            return Gone(1.0, self._settled(end, 0.0), 0.0)
        self._far.append(far)

        known = {0.0: now, 1.0: end}

        def settled(part: float, exactly: bool) -> Settled:
            # LAMs are sought between where they stood at the nearest parts.
            low, high = max(one for one in known if one <= part), min(one for one in known if one >= part)
            guess = between(known[low], known[high], (part - low) / ((high - low) or 1.0))
            there = self._settled(guess, CLOSER * rough if exactly else rough)
            known[part] = there.point
            return there

        way = Way(self._limits, now.y, end.y)
        return best_part(way, here.answers.kw, settled, careful=self._is_stuck)

    @property
    def _is_stuck(self) -> bool:
        """Whether models' equilibria have come no nearer for a while."""
        last, before = self._far[-PATIENCE:], self._far[:-PATIENCE]
        return bool(before) and min(last) > 0.5 * min(before)

    @property
    def _rounds(self) -> int:
        """How often centres of members with several stores may move before prices do."""
        is_near = len(self._far) > 1 and self._far[-1] < NEARS * self._far[-2]
        return ROUNDS if is_near else 1

    def _learn(self, gone: Gone) -> None:
        """Trust the model more after whole steps, less after short ones, and then grow bold slowly.

        A step that ends well behind the best point asks for as much slope again.
        """
        if gone.part < CUT:
            self._ridge, self._trust = max(4.0 * self._ridge, 1e-3), 0.5
            return
        keeps = 1.0 if gone.behind > BEHIND else self._trust
        self._ridge = keeps * self._ridge if self._ridge > LEAST_RIDGE else 0.0
        self._trust = max(0.1, 0.3 * self._trust)
