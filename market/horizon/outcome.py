"""What a clearing over a horizon gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market.analysis.certificate import Announced
from market.analysis.settlement import trade_payment
from market.horizon.case import HorizonCase
from market.horizon.proof import HorizonClaim, IntervalClaim
from market.model.arrays import Floats
from market.model.case import Case
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

    def claim(self, case: HorizonCase) -> HorizonClaim:
        """What the outcome claims, with the payments that follow from its prices."""
        said = [_claim(one, outcome) for one, outcome in zip(case.intervals, self.intervals, strict=True)]
        return HorizonClaim(said, self.power_kw, self.state_kwh, self.spilled_kwh, self.energy_value)


def _claim(case: Case, outcome: Outcome) -> IntervalClaim:
    wam = outcome.wam
    payment = trade_payment(outcome.price[case.lam_of], case.fee[case.lam_of], outcome.trade_kw)
    return IntervalClaim(
        trade_kw=outcome.trade_kw,
        output_kw=outcome.output_kw,
        price=outcome.price,
        net_kw=wam.net_kw,
        grid_kw=wam.grid_kw,
        energy_price=wam.energy_price,
        row_dual=wam.row_dual,
        announced=Announced(wam.price, wam.parts, payment),
    )
