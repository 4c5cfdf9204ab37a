"""How far to go along a direction of prices: to where the dual's slope along it vanishes, or nearly so."""

from __future__ import annotations

from dataclasses import replace

from market.solver.dual_function import SlopeAlong
from market.solver.root import Bracket, narrow

NEAR = 0.2
"""A step may stop where the dual's slope along it has fallen to this part."""

FARTHEST = 1e18
"""A step this long finds no end."""


def step_length(slope: SlopeAlong, near: float = NEAR) -> float:
    """Length of the step, 1 for the local model's own.

    Parameters
    ----------
    slope
        Of the negative dual along the direction.
    near
        A step may stop where the slope has fallen to this part.
    """
    first = slope(0.0)
    if first >= 0.0:
        # Only rounding says that the direction leads nowhere.
        return 1.0
    enough = -near * first
    wide = _bracket(slope, first, enough)
    if abs(wide.high_value) <= enough:
        return wide.high
    bracket = _between_kinks(slope, wide)
    if bracket.high < wide.high:
        # The high end is a kink now, and the zero may lie in the jump there.
        before = slope(bracket.high, before=True)
        if before <= 0.0:
            return bracket.high
        bracket = replace(bracket, high_value=before)
    found = narrow(slope, bracket, enough)
    # A step of no length would be none.
    return found.low or found.high


def _bracket(slope: SlopeAlong, first: float, enough: float) -> Bracket:
    """Go four times as far each time, from the model's own step, until the slope has turned or is small.

    A slope that turns in a jump where a step ends is the usual case: the model's own ends on kinks.
    """
    low, low_value = 0.0, first
    high = 1.0
    high_value = slope(high, before=True)
    while high_value < -enough and high < FARTHEST:
        if slope(high) >= 0.0:
            return Bracket(high, 0.0, high, 0.0)
        low, low_value = high, high_value
        high *= 4.0
        high_value = slope(high, before=True)
    return Bracket(low, low_value, high, high_value)


def _between_kinks(slope: SlopeAlong, bracket: Bracket) -> Bracket:
    """Part of a bracket within which no price passes a kink, so that the slope does not jump inside."""
    kinks = slope.kinks_between(bracket.low, bracket.high)
    left, right = 0, kinks.size
    while left < right:
        middle = (left + right) // 2
        at = float(kinks[middle])
        value = slope(at)
        if value >= 0.0:
            right = middle
            bracket = replace(bracket, high=at, high_value=value)
        else:
            left = middle + 1
            bracket = replace(bracket, low=at, low_value=value)
    return bracket
