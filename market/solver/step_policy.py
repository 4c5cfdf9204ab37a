"""How Newton's method on a dual steps: slopes and ridge of its models, kinks, and when to end.

Each heuristic stands alone, and says what goes wrong without it. Those that learn get every step.
"""

from __future__ import annotations

import numpy as np

from market.model.arrays import Floats
from market.solver.dual_function import Answers, DualValues
from market.solver.staircase import Staircases

RIDGE = 1e-10
"""First ridge, of a mean slope of the curves."""

ROUNDING_KW = 1e-7
"""A residual above this is no rounding, however long it lasts."""

IDLE_STEPS = 8
"""Steps in a row without progress after which none is to be had."""


class ModelSlopes:
    """Slopes of the local models: the curves' tangents, steeper where these are known to mislead.

    Near the solution, where a clearing starts from prices of one like it, tangents are right from the first.
    A tangent on a flat part of a curve says that no price moves the answer, though a steep part may be near:
    a model made of tangents alone would step far too far.
    """

    def __init__(self, answers: Answers, *, near: bool = False) -> None:
        self._answers = answers
        # Far from the solution tangents say little: the first model knows how far answers go in all.
        self._chord = np.zeros(answers.whole_slope.size) if near else answers.whole_slope

    def over(self, tangent: Floats) -> Floats:
        """Slopes for a model, from the tangents ``(K,)`` where it is made."""
        return np.maximum(tangent, self._chord)

    def learn(self, now: DualValues, along: Floats, t: float, far: Floats | None = None) -> None:
        """After a step of length ``t`` along price changes ``along``, ``(K,)``, tell the next model of it.

        ``far`` are the answers at a step of length 1, ``(K,)``, where they are known.

        A step near the model's own shows that its slopes were right. After another, the next model knows how
        far the answers really go over the distance that this one meant to go.
        """
        self._chord = np.zeros(along.size)
        if not 0.5 < t < 2.0:
            if far is None:
                far, _ = self._answers.at(now.mu + along)
            np.divide(np.abs(far - now.kw), np.abs(along), out=self._chord, where=along != 0)


class Ridge:
    """Weight that keeps the local models solvable where rows depend on each other, and gets out of the way.

    It makes every price dear by a little. Where the curves are flat that alone bounds the step, and each time
    it shows it is made smaller.
    """

    def __init__(self, answers: Answers) -> None:
        self.weight = RIDGE * max(float(answers.whole_slope.mean()), 1e-6)

    def held_all(self) -> None:
        """The model moved no price at all, though a limit is missed."""
        self.weight *= 1e-2

    def learn(self, t: float) -> None:
        """After a step of length ``t``: beyond 1 the ridge, not the curves, kept the model short."""
        if t > 1.0:
            self.weight *= 0.1


class Idleness:
    """Whether steps still help.

    Prices in floating point end on a few last bits and go round there for ever. The residual may rise on the
    way to a solution, so only a small one tells that no progress is left.
    """

    def __init__(self) -> None:
        self._best_kw = np.inf
        self._steps = 0

    @property
    def lasts(self) -> bool:
        """Whether only rounding is left."""
        return self._steps >= IDLE_STEPS

    def no_step(self) -> None:
        """Count a model that moved no price."""
        self._steps += 1

    def learn(self, residual_kw: float) -> None:
        """Count a step from where the limits were missed by ``residual_kw``."""
        hardly_better = 0.9 * self._best_kw < residual_kw < ROUNDING_KW
        self._steps = self._steps + 1 if hardly_better else 0
        self._best_kw = min(self._best_kw, residual_kw)


def snap(stairs: Staircases, y: Floats) -> Floats:
    """Put prices that rounding left beside a kink onto it: beside it, a limit could not be held."""
    gap = np.abs(stairs.kink - y[:, None])
    nearest = np.argmin(gap, axis=1)
    row = np.arange(y.size)
    kink = stairs.kink[row, nearest]
    return np.where(gap[row, nearest] <= 1e-14 * (1.0 + np.abs(kink)), kink, y)
