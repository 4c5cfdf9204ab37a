"""The concave dual of a market as a function of its limits' prices: values, slopes, and limits missed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market.model.arrays import Floats
from market.model.curves import Curves, answer, respond
from market.solver.staircase import Staircases

EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class DualValues:
    """The market at prices ``y`` of its n limits.

    Attributes
    ----------
    y
        Prices of the limits, ``(n,)``.
    mu
        Prices that the M variables see, ``(M,)``.
    kw, slope
        What the variables answer, and how steeply they fall there, ``(M,)`` each.
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
    """Curves of M variables under n limits.

    Attributes
    ----------
    curves
        Answers of the variables to their prices, without jumps.
    A
        Rows of the limits over the variables, ``(n, M)``, each of a size near one.
    base
        Values at zero, ``(n,)`` [kW].
    stairs
        n staircases, elastic so that an optimum exists.
    """

    curves: Curves
    A: Floats
    base: Floats
    stairs: Staircases

    def at(self, y: Floats) -> DualValues:
        """The market at prices ``(n,)`` of the limits."""
        mu = y @ self.A
        kw, slope = answer(self.curves, mu)
        value = self.base + self.A @ kw
        return DualValues(y, mu, kw, slope, value, beyond_kw(value, *self.stairs.admissible(y)))

    def rounding_kw(self, now: DualValues) -> float:
        """What rounding of the prices alone, felt through the slopes, may leave of a residual."""
        blur = np.abs(self.A) @ (now.slope * (np.abs(now.y) @ np.abs(self.A)))
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
        The same for the variables' prices, ``(M,)``.
    """

    def __init__(self, dual: Dual, now: DualValues, direction: Floats, along: Floats) -> None:
        moving = np.flatnonzero(direction)
        self._curves, self._now, self._along = dual.curves, now, along
        self._start, self._speed = now.y[moving], direction[moving]
        self._kink, self._level = dual.stairs.kink[moving], dual.stairs.level[moving]
        self._row = np.arange(moving.size)
        self._fixed = float(dual.base[moving] @ self._speed)
        self._up = (self._speed > 0)[:, None]

    def __call__(self, t: float, *, before: bool = False) -> float:
        """Slope just behind (or before) step length t."""
        at = (self._start + t * self._speed)[:, None]
        passed = np.count_nonzero((self._kink < at) | ((self._kink == at) & (self._up != before)), axis=1)
        now = self._now
        answered = respond(self._curves, now.mu + t * self._along) if t else now.kw
        stairs = float(self._level[self._row, passed] @ self._speed)
        return stairs - self._fixed - float(self._along @ answered)

    def kinks_between(self, low: float, high: float) -> Floats:
        """Step lengths between two at which a price comes to a kink, ascending."""
        t = ((self._kink - self._start[:, None]) / self._speed[:, None]).ravel()
        return np.unique(t[(t > low) & (t < high)])
