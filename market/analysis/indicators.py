"""Key performance indicators of an outcome or of a run: declared and computed here, for all who show them.

Pure functions of sums, so that they serve one clearing in kW and a run in kWh alike. ``None`` stands where a
figure has no meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec
import numpy as np

from market.analysis.kpi import Kpi
from market.analysis.reference import Benchmark, efficiency_of, gains
from market.analysis.settlement import UtilityTrades, trade_payment
from market.model.arrays import Floats
from market.model.case import Case

EVEN = 1e-9
"""A prosumer that loses less than this is not worse off [$/h or $]."""


class Indicators(msgspec.Struct, frozen=True, kw_only=True):
    """Indicators of one clearing or of a run, each declared here and nowhere else."""

    efficiency: Annotated[
        float | None,
        Kpi(
            "efficiency",
            "of what sharing can save, saved by the market",
            "(C_apart - C_market) / (C_apart - C_opt)",
            bounds="to 1; below 0 if the market does worse than no sharing",
            undefined="no sharing violates limits of the network or the grid (its cost does not compare), or "
            "less than 1e-6 $/h could be saved",
        ),
    ]
    price_of_anarchy: Annotated[
        float | None,
        Kpi(
            "price of anarchy",
            "cost of the market over least cost",
            "C_market / C_opt",
            form=".6f",
            bounds="from 1",
            undefined="`C_opt <= 0`: exports pay for everything and a ratio of costs says nothing; read the "
            "difference instead",
        ),
    ]
    self_sufficiency: Annotated[
        float | None,
        Kpi(
            "self-sufficiency as cleared",
            "of consumption made on the feeder",
            "1 - E_import / (E_import + E_made - E_export)",
            bounds="0 to 1",
            undefined="nothing is used",
        ),
    ]
    self_consumption: Annotated[
        float | None,
        Kpi(
            "self-consumption as cleared",
            "of what is made, used on the feeder",
            "1 - E_export / E_made",
            bounds="to 1; below 0 if sources outside the market export",
            undefined="nothing is made",
        ),
    ]
    peak_to_average: Annotated[
        float | None,
        Kpi(
            "peak to average as metered",
            "of the power at the feeder head",
            "max_t abs(P0_t) / mean_t abs(P0_t)",
            form=".3f",
            bounds="from 1",
            undefined="one clearing; no power at the feeder head",
        ),
    ]
    lam_internal_share: Annotated[
        float | None,
        Kpi(
            "inside LAMs",
            "of purchases met by the own LAM",
            "sum_i (sum_j q_j⁺ - Q_i⁺) / sum_j q_j⁺",
            bounds="0 to 1",
            undefined="nobody buys",
        ),
    ]
    savings_jain: Annotated[
        float | None,
        Kpi(
            "Jain's index",
            "of prosumers' savings; 1 where all save the same",
            "(sum_j s_j)² / (n sum_j s_j²)",
            form=".3f",
            bounds="1/n to 1 for savings >= 0",
            undefined="all savings are zero",
        ),
    ]
    savings_gini: Annotated[
        float | None,
        Kpi(
            "Gini coefficient",
            "of prosumers' savings; 0 where all save the same",
            "sum_k (2k - n - 1) s_(k) / (n sum_j s_j), s_(k) ascending",
            form=".3f",
            bounds="0 to 1 for savings >= 0",
            undefined="savings are not positive on the whole",
        ),
    ]
    not_worse_share: Annotated[
        float | None,
        Kpi(
            "not worse off",
            "of prosumers, against no sharing",
            "#(s_j >= 0) / n",
            bounds="0 to 1",
            undefined="no benchmark of no sharing",
        ),
    ]


@dataclass(frozen=True, kw_only=True)
class Sums:
    """What indicators are made of, over one clearing in kW and $/h, or over a run in kWh and $.

    Attributes
    ----------
    gain, possible_gain
        What the market and the optimum save of the cost of no sharing, over where these compare; ``None``
        where they do nowhere.
    market_cost, optimum_cost
        Social costs; ``None`` where not known.
    imported, exported, made
        Energy at the feeder head and of prosumers, gross; ``made`` is ``None`` where not known.
    bought, bought_inside
        Members' purchases, and what of them comes from their own LAM.
    savings
        What prosumers save against no sharing, ``(n,)``; empty where not known.
    head_kw
        Power at the feeder head in each interval, ``(T,)``; empty for one clearing.
    """

    gain: float | None
    possible_gain: float | None
    market_cost: float | None
    optimum_cost: float | None
    imported: float
    exported: float
    made: float | None
    bought: float
    bought_inside: float
    savings: Floats
    head_kw: Floats


def indicators_of(sums: Sums) -> Indicators:
    """All indicators of a clearing or of a run."""
    return Indicators(
        efficiency=efficiency_of(sums.gain, sums.possible_gain),
        price_of_anarchy=price_of_anarchy(sums.market_cost, sums.optimum_cost),
        self_sufficiency=self_sufficiency(sums.imported, sums.exported, sums.made),
        self_consumption=self_consumption(sums.exported, sums.made),
        peak_to_average=peak_to_average(sums.head_kw),
        lam_internal_share=lam_internal_share(sums.bought, sums.bought_inside),
        savings_jain=jain(sums.savings),
        savings_gini=gini(sums.savings),
        not_worse_share=not_worse_share(sums.savings),
    )


def indicators(
    case: Case,
    trade_kw: Floats,
    output_kw: Floats,
    price: Floats,
    *,
    apart: Benchmark,
    optimum: Benchmark | None,
    utility: UtilityTrades | None = None,
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
    utility
        What members trade with a utility, where they have one; it counts as bought outside their LAM.
    """
    bought = np.zeros(trade_kw.size) if utility is None else utility.bought_kw
    net_kw = case.net_kw(trade_kw)
    grid_kw = case.grid_kw(net_kw + case.net_kw(bought))
    cost = case.resource_cost(output_kw) + case.grid.cost(grid_kw)
    shared_kw = case.net_kw(np.maximum(trade_kw, 0.0))
    bought_kw = shared_kw + case.net_kw(np.maximum(bought, 0.0))
    gain, possible = (None, None) if optimum is None else gains(apart, cost, optimum)
    return indicators_of(
        Sums(
            gain=gain,
            possible_gain=possible,
            market_cost=cost,
            optimum_cost=None if optimum is None else optimum.social_cost,
            imported=max(grid_kw, 0.0),
            exported=max(-grid_kw, 0.0),
            made=float(np.maximum(output_kw, 0.0).sum() + np.maximum(-case.demand_kw, 0.0).sum()),
            bought=float(bought_kw.sum()),
            bought_inside=float((shared_kw - np.maximum(net_kw, 0.0)).sum()),
            savings=prosumer_savings(case, trade_kw, output_kw, price, apart, utility),
            head_kw=np.zeros(0),
        )
    )


def prosumer_savings(
    case: Case,
    trade_kw: Floats,
    output_kw: Floats,
    price: Floats,
    apart: Benchmark,
    utility: UtilityTrades | None = None,
) -> Floats:
    """What each prosumer saves against the utility's tariffs alone, own costs included, ``(n,)`` [$/h].

    Parameters
    ----------
    case, trade_kw, output_kw, price, utility
        As for `indicators`.
    apart
        What `reference.no_sharing` gave.
    """
    tariff = case.tariff
    alone = np.where(apart.trade_kw > 0, tariff.retail, tariff.feed_in) * apart.trade_kw
    shared = trade_payment(price[case.lam_of], case.fee[case.lam_of], trade_kw)
    if utility is not None:
        shared += utility.charge[case.lam_of] * utility.bought_kw + utility.tariff.bill(utility.bought_kw)
    own = case.resources.cost(apart.output_kw) - case.resources.cost(output_kw)
    return np.asarray(alone - shared + np.bincount(case.resources.owner, own, minlength=trade_kw.size))


def price_of_anarchy(market_cost: float | None, optimum_cost: float | None) -> float | None:
    """Market's social cost over the optimum's [$/h or $ each]; None unless the optimum costs something."""
    if market_cost is None or optimum_cost is None or optimum_cost <= EVEN:
        return None
    return market_cost / optimum_cost


def self_sufficiency(imported: float, exported: float, made: float | None) -> float | None:
    """Part of all use, ``imported + made - exported``, that is not imported; None where nothing is used."""
    used = 0.0 if made is None else imported + made - exported
    return 1.0 - imported / used if used > EVEN else None


def self_consumption(exported: float, made: float | None) -> float | None:
    """Part of what is made that is not exported; None where nothing is made."""
    return None if made is None or made <= EVEN else 1.0 - exported / made


def peak_to_average(power_kw: Floats) -> float | None:
    """Largest over mean size of the power at the feeder head, ``(T,)``; None where there is none."""
    size = np.abs(power_kw)
    mean = float(size.mean()) if size.size else 0.0
    return float(size.max()) / mean if mean > EVEN else None


def lam_internal_share(bought: float, bought_inside: float) -> float | None:
    """Part of the members' purchases that comes from their own LAM; None where nobody buys."""
    return min(max(bought_inside / bought, 0.0), 1.0) if bought > EVEN else None


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


def not_worse_share(savings: Floats) -> float | None:
    """Part of the prosumers ``(n,)`` whose savings are not negative; None without prosumers."""
    return float(np.count_nonzero(savings >= -EVEN)) / savings.size if savings.size else None
