"""How curves fall from each of their vertices to the next: slopes and jumps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market.model.arrays import Floats, Ints
from market.model.curves import NARROWEST, Curves


@dataclass(frozen=True)
class Pieces:
    """How curves with V vertices fall behind each vertex.

    Attributes
    ----------
    slope
        Slope -dkw/dprice right of each vertex, ``(V,)`` [kW per $/kWh]; 0 at a curve's end and on jumps.
    jumping
        Vertices at which the curve jumps down to the next one, ascending, ``(j,)``.
    jump_kw
        By how much, ``(j,)`` > 0 [kW].
    """

    slope: Floats
    jumping: Ints
    jump_kw: Floats


def pieces(curves: Curves) -> Pieces:
    """Slopes and jumps of all curves."""
    width, narrow = _widths(curves)
    drop = np.zeros_like(curves.kw)
    np.subtract(curves.kw[:-1], curves.kw[1:], out=drop[:-1])
    width[narrow] = np.inf
    jumping = narrow[drop[narrow] > 0]
    return Pieces(drop / width, jumping, drop[jumping])


def has_jumps(curves: Curves) -> bool:
    """Whether any curve jumps."""
    _, narrow = _widths(curves)
    return bool((curves.kw[narrow] > curves.kw[narrow + 1]).any())


def _widths(curves: Curves) -> tuple[Floats, Ints]:
    """Distance of each vertex to the next of its curve, infinite behind the last; and where it is none."""
    width = np.empty_like(curves.price)
    np.subtract(curves.price[1:], curves.price[:-1], out=width[:-1])
    width[curves.start[1:] - 1] = np.inf
    return width, np.flatnonzero(width <= NARROWEST)


def fall(curves: Curves) -> Floats:
    """Slope -dkw/dprice right of each vertex, ``(V,)`` [kW per $/kWh]; 0 at a curve's end and on jumps."""
    return pieces(curves).slope
