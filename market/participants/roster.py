"""Who takes part and under which rules: what every market service knows before the run starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from market.model.case import Case, Grid, Tariff
from market.rounds import Form

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Roster:
    """Prosumers and LAMs of the run, and which host speaks for whom.

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
    lam: Indices
    live: npt.NDArray[np.bool_]
    rating_kw: Floats
    hosts: dict[str, Indices]
    lam_hosts: dict[str, Indices]

    @property
    def live_members(self) -> Indices:
        """Indices of the live prosumers, ascending."""
        return np.flatnonzero(self.live)


def first_of(names: Sequence[str]) -> str:
    """The first five of many names, for messages."""
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


@dataclass(frozen=True)
class Terms:
    """Grid and utility in one interval."""

    grid: Grid
    tariff: Tariff


@dataclass(frozen=True)
class Rules:
    """Market rules of the run.

    Attributes
    ----------
    case
        The market's members and parameters, with nobody wanting anything: a template of every interval.
    terms
        Prices and limits of a tick.
    bidding
        Form of the bids in both layers.
    """

    case: Case
    terms: Callable[[int], Terms]
    bidding: Form = "curve"
