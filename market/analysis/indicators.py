"""Key performance indicators of an outcome or of a run; docs/kpis.md has their formulas.

Pure functions of sums, so that they serve one clearing in kW and a run in kWh alike. ``None`` stands where a
figure has no meaning.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market.analysis.reference import Benchmark, efficiency
from market.analysis.settlement import trade_payment
from market.model.arrays import Floats
from market.model.case import Case

EVEN = 1e-9
"""A prosumer that loses less than this is not worse off [$/h or $]."""


@dataclass(frozen=True)
class Indicators:
    """Indicators of one clearing.

    Attributes
    ----------
    efficiency
        Part of the possible saving that the market achieves (4.3).
    price_of_anarchy
        Social cost of the market over that of the optimum.
    self_sufficiency, self_consumption
        Part of the use that is not imported, and of what is made that is not exported.
    lam_internal_share
        Part of the bought power that members of one LAM buy from each other.
    savings_jain, savings_gini
        Evenness of the prosumers' savings against no sharing: 1 and 0 where all save alike.
    not_worse_share
        Part of the prosumers whose savings are not negative.
    """

    efficiency: float | None
    price_of_anarchy: float | None
    self_sufficiency: float | None
    self_consumption: float | None
    lam_internal_share: float | None
    savings_jain: float | None
    savings_gini: float | None
    not_worse_share: float


def indicators(
    case: Case,
    trade_kw: Floats,
    output_kw: Floats,
    price: Floats,
    *,
    apart: Benchmark,
    optimum: Benchmark | None,
) -> Indicators:
    """Indicators of a market outcome for n prosumers, r resources and M LAMs.

    Parameters
    ----------
    case
        The case.
    trade_kw, output_kw
        Trades ``(n,)`` and resource outputs ``(r,)`` [kW].
    price
        Local prices lambda_i, ``(M,)`` [$/kWh].
    apart, optimum
        Benchmarks `reference.no_sharing` and `reference.optimum`; None for an optimum that does not exist.
    """
    net_kw = case.net_kw(trade_kw)
    grid_kw = case.grid_kw(net_kw)
    cost = case.resource_cost(output_kw) + case.grid.cost(grid_kw)
    savings = prosumer_savings(case, trade_kw, output_kw, price, apart)
    made = float(np.maximum(output_kw, 0.0).sum() + np.maximum(-case.demand_kw, 0.0).sum())
    imported, exported = max(grid_kw, 0.0), max(-grid_kw, 0.0)
    return Indicators(
        efficiency=None if optimum is None else efficiency(apart, cost, optimum),
        price_of_anarchy=None if optimum is None else price_of_anarchy(cost, optimum.social_cost),
        self_sufficiency=self_sufficiency(imported, exported, made),
        self_consumption=self_consumption(exported, made),
        lam_internal_share=lam_internal_share(case, trade_kw),
        savings_jain=jain(savings),
        savings_gini=gini(savings),
        not_worse_share=not_worse_share(savings),
    )


def prosumer_savings(
    case: Case, trade_kw: Floats, output_kw: Floats, price: Floats, apart: Benchmark
) -> Floats:
    """What each prosumer saves against the utility's tariffs alone, own costs included, ``(n,)`` [$/h].

    Parameters
    ----------
    case, trade_kw, output_kw, price
        As for `indicators`.
    apart
        What `reference.no_sharing` gave.
    """
    tariff = case.tariff
    alone = np.where(apart.trade_kw > 0, tariff.retail, tariff.feed_in) * apart.trade_kw
    shared = trade_payment(price[case.lam_of], case.fee[case.lam_of], trade_kw)
    own = case.resources.cost(apart.output_kw) - case.resources.cost(output_kw)
    return np.asarray(alone - shared + np.bincount(case.resources.owner, own, minlength=trade_kw.size))


def price_of_anarchy(market_cost: float, optimum_cost: float) -> float | None:
    """Market's social cost over the optimum's [$/h or $ each]; None unless the optimum costs something."""
    return market_cost / optimum_cost if optimum_cost > EVEN else None


def self_sufficiency(imported: float, exported: float, made: float) -> float | None:
    """Part of all use, ``imported + made - exported``, that is not imported; None where nothing is used."""
    used = imported + made - exported
    return 1.0 - imported / used if used > EVEN else None


def self_consumption(exported: float, made: float) -> float | None:
    """Part of what is made that is not exported; None where nothing is made."""
    return 1.0 - exported / made if made > EVEN else None


def peak_to_average(power_kw: Floats) -> float | None:
    """Largest over mean size of the power at the feeder head, ``(T,)``; None where there is none."""
    size = np.abs(power_kw)
    mean = float(size.mean()) if size.size else 0.0
    return float(size.max()) / mean if mean > EVEN else None


def lam_internal_share(case: Case, trade_kw: Floats) -> float | None:
    """Part of the members' purchases ``(n,)`` [kW] that comes from their own LAM; None where nobody buys."""
    bought = case.net_kw(np.maximum(trade_kw, 0.0))
    inside = bought - np.maximum(case.net_kw(trade_kw), 0.0)
    whole = float(bought.sum())
    return min(max(float(inside.sum()) / whole, 0.0), 1.0) if whole > EVEN else None


def jain(savings: Floats) -> float | None:
    """Jain's index, ``(n,)``: from 1/n where one saves all to 1 where all save alike; None at zero."""
    squares = float(savings @ savings)
    return float(savings.sum()) ** 2 / (savings.size * squares) if squares > 0.0 else None


def gini(savings: Floats) -> float | None:
    """Gini coefficient, ``(n,)``: 0 where all save alike; None unless savings are positive on the whole."""
    total = float(savings.sum())
    if total <= EVEN:
        return None
    n = savings.size
    rank = 2.0 * np.arange(1, n + 1) - n - 1.0
    return float(rank @ np.sort(savings)) / (n * total)


def not_worse_share(savings: Floats) -> float:
    """Part of the prosumers ``(n,)`` whose savings are not negative."""
    return float(np.count_nonzero(savings >= -EVEN)) / savings.size
