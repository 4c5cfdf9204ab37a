"""The zero of one rising function, from a bracket that holds it: false position that cannot stall."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

NARROWINGS = 100
"""Bound on evaluations; halving alone reaches the last bit of most brackets in fewer."""


@dataclass(frozen=True)
class Bracket:
    """Two arguments and a rising function's values there, the zero between them."""

    low: float
    low_value: float
    high: float
    high_value: float

    @property
    def inside(self) -> float | None:
        """Where a straight line between the ends is zero, else the middle; None without a number between."""
        # Values without a difference, or one without end, tell no more than where the middle is.
        apart = self.low_value - self.high_value
        weight = self.low_value / apart if apart < 0.0 and np.isfinite(apart) else 0.5
        for x in (self.low + weight * (self.high - self.low), 0.5 * (self.low + self.high)):
            if self.low < x < self.high:
                return x
        return None

    def narrowed(self, x: float, value: float) -> Bracket:
        """The part that holds the zero, once the function's value at ``x`` inside is known.

        An end that stays while the bracket hardly shrinks would hold all later lines: its value counts half.
        """
        width = self.high - self.low
        if value > 0:
            weight = 0.5 if x - self.low > 0.5 * width else 1.0
            return Bracket(self.low, self.low_value * weight, x, value)
        weight = 0.5 if self.high - x > 0.5 * width else 1.0
        return Bracket(x, value, self.high, self.high_value * weight)


def narrow(
    function: Callable[[float], float], bracket: Bracket, enough: float, most: int = NARROWINGS
) -> Bracket:
    """Shrink a bracket around the zero of a rising function.

    Parameters
    ----------
    function
        Rising; may jump.
    bracket
        Two arguments with the zero between them, and the values there.
    enough
        Size of a value that counts as zero.
    most
        Bound on evaluations.

    Returns
    -------
    Bracket
        Both ends at the argument found, or the last two numbers around a jump.
    """
    for _ in range(most):
        x = bracket.inside
        if x is None:
            break
        value = function(x)
        if abs(value) <= enough:
            return Bracket(x, value, x, value)
        bracket = bracket.narrowed(x, value)
    return bracket
