"""What a clearing over a horizon gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market.model.arrays import Floats
from market.solver.clearing import Outcome


@dataclass(frozen=True)
class HorizonOutcome:
    """Two-layer equilibrium over T intervals of N prosumers, S stores and M LAMs.

    Attributes
    ----------
    intervals
        Each interval's outcome: trades, resources' outputs, prices, rows and their prices. A prosumer's
        balance there includes its store: outputs + store power + trade = demand.
    power_kw
        Stores' power at the meter, + discharges, ``(S, T)`` [kW].
    state_kwh
        Stored energy at the beginning of each interval and at the end of the last, ``(S, T+1)`` [kWh].
    spilled_kwh
        Energy burnt because it is worth less than nothing, ``(S, T)`` [kWh]; zero unless prices are negative.
    energy_value
        What a kWh more at the end of each interval is worth to its store, ``(S, T)`` [$/kWh]: they prove
        each store's plan.
    shortfall_kwh
        What stores' bounds gave way by because they cannot be kept, ``(S, T+1)`` [kWh]: + what is missing of
        a lower bound, - what is too much for an upper one.
    iterations
        Newton steps.
    seconds
        Wall time from arrays to arrays.
    """

    intervals: tuple[Outcome, ...]
    power_kw: Floats
    state_kwh: Floats
    spilled_kwh: Floats
    energy_value: Floats
    shortfall_kwh: Floats
    iterations: int
    seconds: float

    @property
    def trade_kw(self) -> Floats:
        """Trades, + bought, ``(N, T)`` [kW]."""
        return np.stack([outcome.trade_kw for outcome in self.intervals], axis=1)

    @property
    def price(self) -> Floats:
        """Local prices, ``(M, T)`` [$/kWh]."""
        return np.stack([outcome.price for outcome in self.intervals], axis=1)
