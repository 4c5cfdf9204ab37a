"""Who takes part and under which rules: what every market service knows before the run starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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


@dataclass(frozen=True)
class Terms:
    """Prices and limits at the feeder head and the utility's tariffs in one interval [$/kWh, kW]."""

    import_price: float
    export_price: float
    import_limit_kw: float
    export_limit_kw: float
    retail: float
    feed_in: float


@dataclass(frozen=True)
class Rules:
    """Market rules of the run.

    Attributes
    ----------
    slope
        k_i, how a member's own trade moves its LAM's price, ``(M,)`` [$/kWh per kW].
    fee, wam_fee
        delta_i and Delta_i, ``(M,)`` [$/kWh].
    conjecture
        K, how the WAM price is conjectured to answer a LAM's own trade [$/kWh per kW].
    terms
        Prices and limits of a tick.
    """

    slope: Floats
    fee: Floats
    wam_fee: Floats
    conjecture: float
    terms: Callable[[int], Terms]
