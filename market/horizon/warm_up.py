"""The clearing over a horizon made ready: whatever is compiled at its first call is compiled."""

from __future__ import annotations

import numpy as np

from market.horizon.case import HorizonCase
from market.horizon.clearing import clear_horizon
from market.horizon.start import later
from market.horizon.stores import Stores
from market.model.arrays import Ints
from market.model.case import Case, Grid, Network, Resources, Tariff

INTERVALS = 6


def warm_up() -> None:
    """Clear a small case, from nowhere and from a start, which compiles everything that clearings call.

    The first time on a computer this takes about a minute, later ones find what was compiled.
    """
    case = _case()
    clear_horizon(case, later(clear_horizon(case).intervals))


def _case() -> HorizonCase:
    """Two LAMs of four households each, half of them with a battery, over a row that binds."""
    n, lams, T = 8, 2, INTERVALS
    sun = np.maximum(np.sin(np.linspace(0.0, 2.0 * np.pi, T)), 0.0)
    intervals = tuple(
        Case(
            prosumer_id=tuple(f"p{j}" for j in range(n)),
            lam_id=tuple(f"lam{i}" for i in range(lams)),
            lam_of=np.arange(n) % lams,
            demand_kw=np.linspace(1.0, 2.4, n),
            resources=Resources(
                owner=np.arange(n),
                min_kw=np.zeros(n),
                max_kw=6.0 * sun[t] * (np.arange(n) % 3 == 0) + 0.3,
                cost_linear=np.where(np.arange(n) % 3 == 0, 0.0, 0.25),
                cost_quadratic=np.full(n, 0.01),
            ),
            sensitivity=np.full(lams, 5.0),
            fee=np.full(lams, 0.002),
            wam_sensitivity=100.0,
            wam_fee=np.full(lams, 0.002),
            balance=np.array([1.01, 1.03]),
            offset_kw=0.1,
            network=Network(np.array([[1.0, 1.0]]), np.zeros(1), np.full(1, -4.0), np.full(1, 9.0)),
            grid=Grid(0.2 + 0.02 * t, 0.1, 1e3, 1e3),
            tariff=Tariff(0.4, 0.04),
        )
        for t in range(T)
    )
    return HorizonCase(intervals, _batteries(np.arange(0, n, 2), T), 1.0)


def _batteries(owner: Ints, T: int) -> Stores:
    """A battery of each owner."""
    S = owner.size
    power, efficiency = np.full((S, T), 2.0), np.full((S, T), 0.95)
    return Stores(
        owner=owner,
        initial_kwh=np.ones(S),
        lower_kwh=np.zeros((S, T + 1)),
        upper_kwh=np.full((S, T + 1), 4.0),
        charge_kw=power,
        discharge_kw=power,
        charge_efficiency=efficiency,
        discharge_efficiency=efficiency,
        retention=np.full(S, 0.999),
        drift_kwh=np.zeros((S, T)),
        charge_wear=np.full(S, 0.005),
        discharge_wear=np.full(S, 0.005),
        end_value=np.full(S, 0.12),
    )
