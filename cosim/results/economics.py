"""What a run cost, who gained, and whether its clearings were equilibria: figures over its tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cosim.results.figures import (
    BENCHMARKS,
    CERTIFICATE,
    CertificateCounts,
    CostFigures,
    Indicators,
    SavingFigures,
    SettlementFigures,
)
from market.analysis import indicators as kpi

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
    gain = defined["cost_no_sharing"].sum() - defined["cost_market"].sum()
    possible = defined["cost_no_sharing"].sum() - defined["cost_optimum"].sum()
    return CostFigures(
        **{name: float(costs[column].sum()) if len(costs) else None for name, column in _COSTS.items()},
        intervals=len(costs),
        efficiency=float(gain / possible) if possible > 0 else None,
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
    known = intervals[intervals["made_kwh"].notna()]
    made = float(known["made_kwh"].sum())
    # As cleared, for that is what is known of what prosumers make.
    imported = float(known["grid_scheduled_kw"].clip(lower=0).sum()) * interval_h
    exported = -float(known["grid_scheduled_kw"].clip(upper=0).sum()) * interval_h
    bought = float(intervals["bought_kwh"].sum())
    savings = prosumers["saving_usd"].dropna().to_numpy(dtype=np.float64)
    anarchy = (
        None
        if costs.market is None or costs.optimum is None
        else kpi.price_of_anarchy(costs.market, costs.optimum)
    )
    return Indicators(
        efficiency=costs.efficiency,
        price_of_anarchy=anarchy,
        self_sufficiency=kpi.self_sufficiency(imported, exported, made) if len(known) else None,
        self_consumption=kpi.self_consumption(exported, made),
        peak_to_average=kpi.peak_to_average(intervals["grid_actual_kw"].dropna().to_numpy(np.float64)),
        lam_internal_share=float(intervals["traded_lam_kwh"].sum()) / bought if bought > 0 else None,
        savings_jain=kpi.jain(savings) if savings.size else None,
        savings_gini=kpi.gini(savings) if savings.size else None,
        not_worse_share=kpi.not_worse_share(savings) if savings.size else None,
    )


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
