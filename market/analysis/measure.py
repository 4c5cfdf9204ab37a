"""What a certificate measures: by how much a condition is missed, and by how much it may be.

Every party and every limit is judged by its own size, so that a large one beside it hides nothing. Two
allowances are kept apart: *rounding*, what the last bits of the sums that make a figure may amount to, is
taken off the miss; the *tolerance*, what methods that work in rounds may leave, is what the rest is held
against.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from market.model.arrays import Floats

POWER_KW = 1e-6
"""Tolerance of a power, where the party or limit is about 1 kW or more; below, this part of its size [kW]."""

RELATIVE = 1e-6
"""Tolerance of prices and money that follow from quantities, as a part of their own size."""

STATED = 1e-9
"""Tolerance of what is only stated anew, such as payments and the parts of a price, as a part of its size."""

LAST_BITS = 16.0 * float(np.finfo(np.float64).eps)
"""Part that a sum may lose of its terms to rounding."""

MANY = 1e100
"""What a miss counts for where no tolerance is."""

Of = Literal["prosumer", "lam", "row", "head", "program"]
"""Whom a measure is about, one value for each of them."""


Unit = Literal["kW", "kWh", "$/kWh", "$/h", "$"]


@dataclass(frozen=True)
class Measure:
    """By how much one condition is missed, for each of ``n`` parties or limits.

    Attributes
    ----------
    of
        Whom the values are about.
    miss
        Misses beyond rounding, with the sign of their direction where there are two, ``(n,)``.
    tolerance
        How large each may be, ``(n,)`` >= 0.
    unit
        Of both.
    """

    of: Of
    miss: Floats
    tolerance: Floats
    unit: Unit

    @property
    def largest(self) -> float:
        """Largest miss, whatever its tolerance; not a number where any miss is not."""
        return float(np.abs(self.miss).max(initial=0.0))

    @property
    def worst(self) -> int:
        """Position of the miss that is furthest beyond its tolerance."""
        return int(np.argmax(self.parts))

    @property
    def ratio(self) -> float:
        """The worst miss in units of its tolerance: 1 is just within, infinite where it is not a number."""
        return float(self.parts.max(initial=0.0))

    @property
    def drift(self) -> float:
        """Sum of all misses in units of their tolerances, in those of as many that are independent.

        Misses of either sign add up like the square root of their number. A bias that lies within every
        tolerance, but on one side, adds up like the number itself: beyond 1 it shows.
        """
        if self.miss.size == 0:
            return 0.0
        total = float((np.sign(self.miss) * self.parts).sum())
        return np.inf if np.isnan(total) else abs(total) / float(np.sqrt(self.miss.size))

    @cached_property
    def parts(self) -> Floats:
        """Misses without sign in units of their tolerances, ``(n,)``; without any tolerance, as many."""
        size = np.abs(self.miss)
        if not size.any():
            return size
        none = np.where(size == 0, 0.0, MANY)
        parts = np.divide(size, self.tolerance, out=none, where=self.tolerance > 0)
        return np.where(np.isnan(size), np.inf, parts)


def beyond(miss: Floats, rounding: Floats | float) -> Floats:
    """What of a miss is more than rounding makes, with its sign."""
    return np.asarray(np.sign(miss) * np.maximum(np.abs(miss) - rounding, 0.0)) + 0.0


def power_tolerance(size_kw: Floats) -> Floats:
    """Tolerance of powers of parties of these sizes [kW]."""
    return POWER_KW * np.minimum(size_kw, 1.0)
