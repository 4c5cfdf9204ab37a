"""Who takes part and under which rules: what every market service knows before the run starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from market.model.arrays import Bools, Floats, Ints
from market.model.case import Case, Grid, Tariff
from market.rounds import Form


@dataclass(frozen=True)
class Roster:
    """Prosumers and LAMs of the run, and which host sends messages for which of them.

    Attributes
    ----------
    prosumers, lams
        Names, ``(n,)`` and ``(M,)``.
    lam
        LAM of each prosumer, ``(n,)``.
    live
        True for prosumers with devices of their own, who bid one message each, ``(n,)``.
    rating_kw
        The largest trade that a prosumer's connection can carry, ``(n,)`` [kW].
    hosts
        Members of each population host: name to prosumer indices, ascending.
    lam_hosts
        LAMs of each operator host: name to LAM indices, ascending.
    """

    prosumers: tuple[str, ...]
    lams: tuple[str, ...]
    lam: Ints
    live: Bools
    rating_kw: Floats
    hosts: dict[str, Ints]
    lam_hosts: dict[str, Ints]

    @property
    def live_members(self) -> Ints:
        """Indices of the live prosumers, ascending."""
        return np.flatnonzero(self.live)


def first_of(names: Sequence[str]) -> str:
    """The first five of many names, for a text that people read."""
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


@dataclass(frozen=True)
class Terms:
    """Prices and limits of the grid, and the utility's tariff, in one interval."""

    grid: Grid
    tariff: Tariff


@dataclass(frozen=True)
class HorizonRules:
    """How far ahead the market is cleared.

    Attributes
    ----------
    intervals
        How many intervals at a time, the present one included.
    hours
        Length of an interval [h].
    expected
        Prices and limits that are expected, in a tick, of the one that is so many later.
    """

    intervals: int
    hours: float
    expected: Callable[[int, int], Terms]


@dataclass(frozen=True)
class Rules:
    """Market rules of the run.

    Attributes
    ----------
    case
        The market's members and parameters without demand or resources: the template of every interval.
    terms
        Gives the prices and limits of a tick.
    bidding
        Form of the bids in both layers.
    horizon
        How far ahead the market is cleared; ``None`` for one interval by itself.
    """

    case: Case
    terms: Callable[[int], Terms]
    bidding: Form = "curve"
    horizon: HorizonRules | None = None
