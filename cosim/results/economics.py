"""What a run cost, who gained, and whether its clearings were equilibria: figures over its tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cosim.results.figures import (
    BENCHMARKS,
    CERTIFICATE,
    CertificateCounts,
    CostFigures,
    SavingFigures,
    SettlementFigures,
)
from market.analysis.indicators import Indicators, Sums, indicators_of
from market.analysis.reference import efficiency_of

if TYPE_CHECKING:
    import pandas as pd

_COSTS = {name: f"cost_{name}" for name in ("market", *BENCHMARKS)}
_SPREAD = {"min": 0.0, "p05": 0.05, "median": 0.5, "p95": 0.95, "max": 1.0}


def cost_figures(intervals: pd.DataFrame) -> CostFigures:
    """Social costs over the intervals that have them all, and efficiency over those where it is defined.

    Parameters
    ----------
    intervals
        The run's table of intervals.

    Returns
    -------
    CostFigures
        ``market`` and the benchmarks [$] over ``intervals`` intervals; ``efficiency`` = (no sharing -
        market) / (no sharing - optimum), each summed over the ``efficiency_intervals``; ``None`` where there
        is nothing to sum or nothing to gain.
    """
    costs = intervals[list(_COSTS.values())].dropna()
    defined = intervals[intervals["efficiency"].notna()]
    return CostFigures(
        **{name: float(costs[column].sum()) if len(costs) else None for name, column in _COSTS.items()},
        intervals=len(costs),
        efficiency=efficiency_of(*_gains(defined)),
        efficiency_intervals=len(defined),
    )


def kpi_figures(intervals: pd.DataFrame, prosumers: pd.DataFrame, interval_h: float) -> Indicators:
    """Indicators of the run (docs/kpis.md): of sums over its intervals, not means of the intervals' own.

    Parameters
    ----------
    intervals, prosumers
        The run's tables.
    interval_h
        Length of an interval [h].
    """
    costs = cost_figures(intervals)
    gain, possible = _gains(intervals[intervals["efficiency"].notna()])
    known = intervals[intervals["made_kwh"].notna()]
    # As cleared, for that is what is known of what prosumers make.
    grid_kwh = known["grid_scheduled_kw"] * interval_h
    return indicators_of(
        Sums(
            gain=gain,
            possible_gain=possible,
            market_cost=costs.market,
            optimum_cost=costs.optimum,
            imported=float(grid_kwh.clip(lower=0).sum()),
            exported=-float(grid_kwh.clip(upper=0).sum()),
            made=float(known["made_kwh"].sum()) if len(known) else None,
            bought=float(intervals["bought_kwh"].sum()),
            bought_inside=float(intervals["traded_lam_kwh"].sum()),
            savings=prosumers["saving_usd"].dropna().to_numpy(dtype=np.float64),
            head_kw=intervals["grid_actual_kw"].dropna().to_numpy(np.float64),
        )
    )


def _gains(intervals: pd.DataFrame) -> tuple[float | None, float | None]:
    """What the market and the optimum save of the cost of no sharing over some intervals [$]."""
    if not len(intervals):
        return None, None
    apart = intervals["cost_no_sharing"].sum()
    return float(apart - intervals["cost_market"].sum()), float(apart - intervals["cost_optimum"].sum())


def saving_figures(intervals: pd.DataFrame, prosumers: pd.DataFrame) -> SavingFigures:
    """What prosumers saved against no sharing [$]: together, and how it spreads over them."""
    savings = prosumers["saving_usd"].dropna()
    spread = {name: float(savings.quantile(part)) if len(savings) else None for name, part in _SPREAD.items()}
    return SavingFigures(
        total=float(savings.sum()) if len(savings) else None,
        intervals=int(intervals["saving_usd"].notna().sum()),
        **spread,
    )


def certificate_counts(intervals: pd.DataFrame) -> CertificateCounts:
    """How many intervals were certified, for how many the certificate holds, and its worst figures."""
    judged = intervals[intervals["certified"].notna()]
    return CertificateCounts(
        intervals=len(judged),
        holds=int(judged["certified"].astype(bool).sum()),
        **{name: known(judged[name].abs().max()) for name in CERTIFICATE},
    )


def known(value: Any) -> float | None:
    """A figure as a plain number, ``None`` where it is missing."""
    return None if value is None or value != value else float(value)


def settlement_figures(intervals: pd.DataFrame, entries: int, sum_micro: int) -> SettlementFigures:
    """Sums of what was kept, and why, over the run; ``entries`` and their sum [µ$] are the ledger's."""
    summed = set(SettlementFigures.__struct_fields__) - {"entries", "sum_micro", "rounding_micro"}
    return SettlementFigures(
        entries=entries,
        sum_micro=sum_micro,
        rounding_micro=int(intervals["rounding_micro"].sum()),
        **{name: float(intervals[name].sum()) for name in summed},
    )
