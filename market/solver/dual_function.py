"""The concave dual of a market as a function of its limits' prices: values, slopes, and limits missed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from market.model.arrays import Floats
from market.model.bisection import Places
from market.model.curves import Curves, answer_behind, power_behind
from market.solver.followed import Followed
from market.solver.staircase import Staircases

EPS = float(np.finfo(np.float64).eps)

FEW = 1000
"""Curves up to which a search through all at once finds their places soonest: of more, most stay where they
were found last."""


class Answers(Protocol):
    """What ``K`` variables of a market answer to their prices, without jumps."""

    @property
    def lowest_kw(self) -> Floats:
        """Least that each can be, ``(K,)`` [kW]."""
        ...

    @property
    def highest_kw(self) -> Floats:
        """Most that each can be, ``(K,)`` [kW]."""
        ...

    @property
    def whole_slope(self) -> Floats:
        """Fall of each over the whole of its prices, ``(K,)`` [kW per $/kWh]."""
        ...

    def at(self, price: Floats) -> tuple[Floats, Floats]:
        """Powers at prices ``(K,)``, and how steeply they fall there, ``(K,)`` each."""
        ...

    def powers(self, price: Floats) -> Floats:
        """Powers at prices ``(K,)`` alone."""
        ...


class CurveAnswers:
    """`Answers` of variables that each follow a curve of their own.

    Parameters
    ----------
    curves
        ``K`` curves without jumps.
    """

    def __init__(self, curves: Curves) -> None:
        self._curves, self._last = curves, curves.start[1:] - 1
        self._search: Places | Followed = (
            Places(curves.price, curves.start) if len(curves) <= FEW else Followed(curves)
        )
        self.lowest_kw, self.highest_kw = curves.lowest_kw, curves.highest_kw
        span = np.maximum(curves.price[curves.start[1:] - 1] - curves.price[curves.start[:-1]], 1e-6)
        self.whole_slope: Floats = (curves.highest_kw - curves.lowest_kw) / span

    def at(self, price: Floats) -> tuple[Floats, Floats]:
        """See `Answers.at`."""
        if isinstance(self._search, Followed):
            kw, slope = self._search.at(price)
            # The next answer changes it.
            return kw, slope.copy()
        return answer_behind(self._curves, self._search.last_not_above(price), self._last, price)

    def powers(self, price: Floats) -> Floats:
        """See `Answers.powers`."""
        if isinstance(self._search, Followed):
            return self._search.at(price)[0]
        return power_behind(self._curves, self._search.last_not_above(price), self._last, price)


@dataclass(frozen=True)
class DualValues:
    """The market at prices ``y`` of its n limits.

    Attributes
    ----------
    y
        Prices of the limits, ``(n,)``.
    mu
        Prices that the K variables see, ``(K,)``.
    kw, slope
        What the variables answer, and how steeply they fall there, ``(K,)`` each.
    value
        Values of the limited quantities, ``(n,)`` [kW].
    residual_kw
        Most that a limit is missed by.
    """

    y: Floats
    mu: Floats
    kw: Floats
    slope: Floats
    value: Floats
    residual_kw: float


@dataclass(frozen=True)
class Dual:
    """K variables under n limits.

    Attributes
    ----------
    answers
        What the variables answer to their prices.
    A
        Rows of the limits over the variables, ``(n, K)``, each of a size near one.
    base
        Values at zero, ``(n,)`` [kW].
    stairs
        n staircases, elastic so that an optimum exists.
    """

    answers: Answers
    A: Floats
    base: Floats
    stairs: Staircases

    def at(self, y: Floats) -> DualValues:
        """The market at prices ``(n,)`` of the limits."""
        mu = y @ self.A
        return self.given(y, mu, *self.answers.at(mu))

    def given(self, y: Floats, mu: Floats, kw: Floats, slope: Floats) -> DualValues:
        """The market at prices ``(n,)`` of the limits where the variables' prices and answers are known."""
        value = self.base + self.A @ kw
        return DualValues(y, mu, kw, slope, value, beyond_kw(value, *self.stairs.admissible(y)))

    @cached_property
    def _sizes(self) -> Floats:
        return np.abs(self.A)

    def rounding_kw(self, now: DualValues) -> float:
        """What rounding of the prices alone, felt through the slopes, may leave of a residual."""
        blur = self._sizes @ (now.slope * (np.abs(now.y) @ self._sizes))
        return 4.0 * EPS * float(blur.max())


def beyond_kw(value: Floats, low: Floats, high: Floats) -> float:
    """Most that a value lies outside its interval."""
    return float(np.maximum(value - high, low - value).max(initial=0.0))


class SlopeAlong:
    """Slope of the negative dual along a direction of prices, over the step's length; it never falls.

    Parameters
    ----------
    dual, now
        The dual, and where the step starts.
    direction
        Of the limits' prices, ``(n,)``.
    along
        The same for the variables' prices, ``(K,)``.
    is_kept
        Whether answers are kept with their slopes.
    """

    def __init__(
        self, dual: Dual, now: DualValues, direction: Floats, along: Floats, *, is_kept: bool = False
    ) -> None:
        moving = np.flatnonzero(direction)
        self._answers, self._now, self._along = dual.answers, now, along
        self._start, self._speed = now.y[moving], direction[moving]
        self._kink, self._level = dual.stairs.kink[moving], dual.stairs.level[moving]
        self._row = np.arange(moving.size)
        self._fixed = float(dual.base[moving] @ self._speed)
        self._up = (self._speed > 0)[:, None]
        self._answered = {0.0: float(along @ now.kw)}
        self._is_kept = is_kept
        self._kept: dict[float, tuple[Floats, Floats]] = {}

    def __call__(self, t: float, *, before: bool = False) -> float:
        """Slope just behind (or before) step length t."""
        at = (self._start + t * self._speed)[:, None]
        passed = ((self._kink < at) | ((self._kink == at) & (self._up != before))).sum(axis=1)
        if t not in self._answered:
            mu = self._now.mu + t * self._along
            if self._is_kept:
                answered, _ = self._kept[t] = self._answers.at(mu)
            else:
                answered = self._answers.powers(mu)
            self._answered[t] = float(self._along @ answered)
        stairs = float(self._level[self._row, passed] @ self._speed)
        return stairs - self._fixed - self._answered[t]

    def kept(self, t: float) -> tuple[Floats, Floats] | None:
        """What the variables answered at step length t, and how steeply that falls, if it was kept."""
        return self._kept.get(t)

    def kinks_between(self, low: float, high: float) -> Floats:
        """Step lengths between two at which a price comes to a kink, ascending."""
        t = ((self._kink - self._start[:, None]) / self._speed[:, None]).ravel()
        return np.unique(t[(t > low) & (t < high)])
