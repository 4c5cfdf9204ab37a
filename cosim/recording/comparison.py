"""The benchmarks of one interval beside its market outcome, from the prosumers' true positions.

Every benchmark starts from the state in which the market run opened the interval (docs/market.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from broker import columns
from broker.messages import NetworkModel, PositionBatch, WamOutcome
from market.case import Case, Resources
from market.errors import MarketError
from market.reference import efficiency, lam_only, no_sharing, optimum
from market.response import supply_curves
from market.services.network import network_of
from market.services.roster import Roster, Rules, Terms


def case_of(
    roster: Roster, rules: Rules, terms: Terms, model: NetworkModel, positions: Mapping[str, PositionBatch]
) -> tuple[Case, np.ndarray]:
    """The interval as one case, and the outputs that the market asked for, ``(r,)`` [kW].

    Parameters
    ----------
    model
        The linear model by which the interval was cleared.
    positions
        True positions by host; together they cover all prosumers.
    """
    n = len(roster.prosumers)
    demand_kw = np.zeros(n)
    parts: dict[str, list[np.ndarray]] = {
        key: [] for key in ("owner", "min_kw", "max_kw", "cost_linear", "cost_quadratic", "output_kw")
    }
    for host in sorted(positions):
        batch = positions[host]
        prosumer = columns.unpack_index(batch.prosumer)
        demand_kw[prosumer] = columns.unpack(batch.demand_kw, prosumer.size)
        parts["owner"].append(columns.unpack_index(batch.owner))
        for key in ("min_kw", "max_kw", "cost_linear", "cost_quadratic", "output_kw"):
            parts[key].append(columns.unpack(getattr(batch, key)))
    joined = {key: np.concatenate(arrays) for key, arrays in parts.items()}
    output_kw = joined.pop("output_kw")
    case = replace(
        rules.case,
        demand_kw=demand_kw,
        resources=Resources(**joined),
        balance=np.array(model.balance),
        offset_kw=model.offset_kw,
        network=network_of(model),
        grid=terms.grid,
        tariff=terms.tariff,
    )
    return case, output_kw


@dataclass(frozen=True)
class Comparison:
    """Social cost of an interval [$] under the market and under the benchmarks.

    Attributes
    ----------
    optimum, efficiency
        Least cost, and (no sharing - market) / (no sharing - optimum); ``None`` where they have no meaning.
    why
        Why there is no optimum, empty where there is one.
    """

    market: float
    no_sharing: float
    lam_only: float
    optimum: float | None
    efficiency: float | None
    why: str = ""


def compare(
    roster: Roster,
    rules: Rules,
    terms: Terms,
    dt_h: float,
    *,
    outcome: WamOutcome,
    model: NetworkModel,
    positions: Mapping[str, PositionBatch],
) -> Comparison:
    """Costs of an interval beside its benchmarks.

    Parameters
    ----------
    outcome
        What the WAM sent out; its grid power is what the market's cost is counted with.
    dt_h
        Length of the interval [h].
    """
    case, output_kw = case_of(roster, rules, terms, model, positions)
    supply = supply_curves(case.demand_kw, case.resources)
    market = case.resource_cost(output_kw) + case.grid.cost(outcome.grid_kw)
    apart, local = no_sharing(case, supply), lam_only(case, supply)
    known = Comparison(market * dt_h, apart.social_cost * dt_h, local.social_cost * dt_h, None, None)
    try:
        best = optimum(case, supply)
    except MarketError as error:
        return replace(known, why=str(error))
    return replace(
        known,
        optimum=best.social_cost * dt_h,
        efficiency=efficiency(apart.social_cost, market, best.social_cost, apart.violated),
    )
