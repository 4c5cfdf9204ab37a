"""How far a compiled search goes along a step, and what it then thinks of its model.

Along a step the slope of what is maximised falls; it is followed to where little is left of it.
"""

from __future__ import annotations

from market.horizon.compiled import inlined

NEAR = 0.6
"""Part of the slope at the beginning of a step that may be left where it ends."""

TRIES = 12
"""Parts of a step that are tried."""

CUT = 0.9
"""Steps cut to less than this part add slope to the model."""


@inlined
def narrowed(
    k: int, part: float, value: float, low: float, low_value: float, high: float, high_value: float
) -> tuple[float, float, float, float, float]:
    """A bracket of a rising function's zero, narrowed by its value at a part; and the part to try next.

    An end that stays while the bracket hardly shrinks would hold all later lines: it counts half.
    """
    if value > 0.0:
        low_value *= 0.5 if k > 0 and part - low > 0.5 * (high - low) else 1.0
        high, high_value = part, value
    else:
        high_value *= 0.5 if high - part > 0.5 * (high - low) else 1.0
        low, low_value = part, value
    part = low + low_value / (low_value - high_value) * (high - low)
    return part if low < part < high else 0.5 * (low + high), low, low_value, high, high_value


@inlined
def ridge_behind(ridge: float, part: float, first: float, least: float) -> float:
    """Slope added to the model behind a step that was cut to a part: at first, and the least that counts."""
    ridge = max(4.0 * ridge, first) if part < CUT else 0.1 * ridge
    return ridge if ridge > least else 0.0
