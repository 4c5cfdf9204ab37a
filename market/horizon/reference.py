"""Benchmarks beside an equilibrium over a horizon: no sharing, LAMs alone, a single layer, and the optimum.

As `market.analysis.reference` has them for one interval, each is a clearing over the same horizon under
other rules, so that stores do in each what is best there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from market.analysis.reference import FLOOR, Name
from market.errors import MarketError
from market.horizon.case import HorizonCase
from market.horizon.clearing import clear_horizon
from market.horizon.stores import within_reach
from market.model.arrays import Floats
from market.model.case import Case, Grid
from market.model.limits import MISSED_KW, grid_excess, row_excess
from market.model.rule import DemandFunctionBidding

_MOST_VALUES = 2e7
"""A clearing keeps intervals' square for each LAM; of each prosumer alone that may be too much."""

_TAKING = DemandFunctionBidding("price-taking")


@dataclass(frozen=True)
class HorizonBenchmark:
    """What comes of a horizon under other rules.

    Attributes
    ----------
    social_cost
        Cost of resources, of wear and of the grid over all intervals, less what energy left is worth [$].
    trade_kw
        What prosumers draw in all, ``(N, T)`` [kW].
    violations
        Number of limits of network and grid that it violates, over all intervals; rules that ignore them may.
    """

    social_cost: float
    trade_kw: Floats
    violations: int


def horizon_references(case: HorizonCase) -> tuple[dict[Name, HorizonBenchmark], list[str]]:
    """All benchmarks of a case that can be cleared, and why the others cannot.

    Parameters
    ----------
    case
        The case; bounds that cannot be kept give way as in its own clearing.

    Returns
    -------
    dict
        Benchmarks by name.
    list of str
        One clause for each that is missing.
    """
    kept = HorizonCase(case.intervals, within_reach(case.stores, case.hours)[0], case.hours)
    found: dict[Name, HorizonBenchmark] = {}
    missing = []
    for name, change in _RULES.items():
        if name == "no_sharing" and len(case.intervals) ** 2 * case.first.demand_kw.size > _MOST_VALUES:
            missing.append("no no sharing to compare with: the case is too large for each prosumer by itself")
            continue
        try:
            found[name] = _under(kept, tuple(change(one) for one in kept.intervals))
        except MarketError as error:
            missing.append(f"no {name.replace('_', ' ')} to compare with: {error}")
    return found, missing


def _alone(case: Case) -> Case:
    """Each prosumer against retail and feed-in prices."""
    n = case.demand_kw.size
    own = replace(case, lam_id=case.prosumer_id, lam_of=np.arange(n), sensitivity=np.ones(n), fee=np.zeros(n))
    return _against_tariff(own)


def _against_tariff(case: Case) -> Case:
    """Each LAM against retail and feed-in prices: fees about their middle, at which a grid takes all."""
    lams, tariff = len(case.lam_id), case.tariff
    return replace(
        case,
        wam_fee=np.full(lams, tariff.half_spread),
        balance=np.ones(lams),
        offset_kw=0.0,
        network=None,
        grid=Grid(tariff.middle, tariff.middle, np.inf, np.inf),
        rule=_TAKING,
    )


def _single(case: Case) -> Case:
    """One market of all, whose members' trades move one price; LAMs are only places on the feeder."""
    lams, n = len(case.lam_id), case.demand_kw.size
    slope = 1.0 / (float(case.sensitivity.mean()) * (n - 1)) if n > 1 else FLOOR
    return _with_slope(case, slope, np.full(lams, float(case.fee.mean())))


def _unlimited(case: Case) -> Case:
    """The same without the network, losses ignored until they are paid for."""
    return replace(_single(case), network=None, balance=np.ones(len(case.lam_id)))


def _optimal(case: Case) -> Case:
    """Without fees and strategic terms, network and grid included."""
    return _with_slope(case, FLOOR, np.zeros(len(case.lam_id)))


def _with_slope(case: Case, slope: float, fee: Floats) -> Case:
    """LAMs that take prices, with members who reckon with a price slope, whatever the LAM's size."""
    return replace(
        case,
        sensitivity=1.0 / (slope * np.maximum(case.members - 1, 1)),
        fee=fee,
        wam_fee=np.zeros(len(case.lam_id)),
        rule=_TAKING,
    )


_RULES: dict[Name, Callable[[Case], Case]] = {
    "no_sharing": _alone,
    "lam_only": _against_tariff,
    "single_layer": _unlimited,
    "single_layer_network": _single,
    "optimum": _optimal,
}


def _under(case: HorizonCase, intervals: tuple[Case, ...]) -> HorizonBenchmark:
    """Clear under other rules; costs and violations are those of the case itself."""
    outcome = clear_horizon(HorizonCase(intervals, case.stores, case.hours))
    rate, violations = float(case.stores.wear(outcome.power_kw).sum()), 0
    for one, found in zip(case.intervals, outcome.intervals, strict=True):
        net_kw = one.net_kw(found.trade_kw)
        grid_kw = one.grid_kw(net_kw)
        rate += one.resource_cost(found.output_kw) + one.grid.cost(grid_kw)
        violations += int(abs(grid_excess(one.grid, grid_kw)) > MISSED_KW)
        if one.network is not None:
            violations += int(np.count_nonzero(np.abs(row_excess(one.network, net_kw)) > MISSED_KW))
    left = float(case.stores.end_value @ outcome.state_kwh[:, -1])
    return HorizonBenchmark(case.hours * rate - left, outcome.trade_kw, violations)
