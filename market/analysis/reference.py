"""Benchmarks beside a market outcome: no sharing, LAMs alone, a single layer, and the social optimum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Literal

import numpy as np

from market.errors import MarketError
from market.model.arrays import Floats, Ints
from market.model.case import Case
from market.model.curves import Curves, respond_range, shift
from market.model.limits import MISSED_KW, grid_excess, row_excess
from market.model.response import Supply, disaggregate, supply_curves
from market.solver.aggregation import aggregate
from market.solver.clearing import pool_members
from market.solver.lam import clear_lams
from market.solver.pool import clear_pool
from market.solver.wam import clear_wam

Name = Literal["no_sharing", "lam_only", "single_layer", "single_layer_network", "optimum"]
"""Names of the benchmarks, in messages, files and tables too."""

OVER_NETWORK: tuple[Name, ...] = ("single_layer_network", "optimum")
"""Those that keep the limits of network and grid."""

FLOOR = 1e-6
"""Slope that stands in for none where responses would jump [$/kWh per kW]."""

LEAST_SAVING = 1e-6
"""Possible savings below this [$/h] make an efficiency meaningless."""


@dataclass(frozen=True)
class Benchmark:
    """What n prosumers with r resources in M LAMs do under other rules.

    Attributes
    ----------
    trade_kw, output_kw, net_kw
        What prosumers draw in all ``(n,)``, resource outputs ``(r,)`` and what LAMs draw ``(M,)`` [kW].
    grid_kw
        Power at the feeder head [kW].
    social_cost
        Resource cost plus wholesale cost [$/h].
    violated
        Network rows that the outcome violates; the rules that ignore the network may.
    grid_excess_kw
        How far the head's power is beyond the grid's import limit (+) or export limit (-) [kW]; zero within.
    """

    trade_kw: Floats
    output_kw: Floats
    net_kw: Floats
    grid_kw: float
    social_cost: float
    violated: Ints
    grid_excess_kw: float

    @property
    def violations(self) -> int:
        """Number of limits of network and grid that the outcome violates."""
        return int(self.violated.size) + (self.grid_excess_kw != 0.0)


def references(case: Case, supply: Supply | None = None) -> tuple[dict[Name, Benchmark], list[str]]:
    """All benchmarks of a case that can be cleared, and why the others cannot.

    Parameters
    ----------
    case, supply
        The case, and its ``supply_curves`` where the caller has them already.

    Returns
    -------
    dict
        Benchmarks by name; no sharing and LAM only are always among them.
    list of str
        One clause for each that is missing.
    """
    supply = supply or supply_curves(case.demand_kw, case.resources)
    found: dict[Name, Benchmark] = {
        "no_sharing": no_sharing(case, supply),
        "lam_only": lam_only(case, supply),
    }
    one_layer = _OneLayer(case, supply)
    central: dict[Name, Callable[[], Benchmark]] = {
        "single_layer": partial(one_layer.cleared, with_network=False),
        "single_layer_network": partial(one_layer.cleared, with_network=True),
        "optimum": partial(optimum, case, supply),
    }
    missing = []
    for name, solve in central.items():
        try:
            found[name] = solve()
        except MarketError as error:
            missing.append(f"no {name.replace('_', ' ')} to compare with: {error}")
    return found, missing


def no_sharing(case: Case, supply: Supply | None = None) -> Benchmark:
    """Each prosumer alone against retail and feed-in prices; between two it likes alike, the lesser trade."""
    supply = supply or supply_curves(case.demand_kw, case.resources)
    return _benchmark(case, supply, _alone(supply.curves, case))


def lam_only(case: Case, supply: Supply | None = None) -> Benchmark:
    """Each LAM clears alone, with its strategic members and fees, against retail and feed-in prices.

    By quantity its members face these prices one by one, and share what is left among themselves.
    """
    supply = supply or supply_curves(case.demand_kw, case.resources)
    if case.rule.has_utility:
        nothing = np.zeros(len(case.lam_id))
        alone = pool_members(case, supply).charged(nothing)
        return _benchmark(case, supply, alone.divide(nothing, nothing + case.tariff.middle).flow_kw)
    members = shift(supply.curves, case.slope[case.lam_of], case.fee[case.lam_of])
    total = aggregate(members, case.lam_of, len(case.lam_id))
    net_kw = _alone(total, case)
    middle = np.full(net_kw.size, case.tariff.middle)
    local = clear_lams(members, case.lam_of, total, net_kw, middle, case.lam_id)
    return _benchmark(case, supply, local.trade_kw)


def optimum(case: Case, supply: Supply | None = None) -> Benchmark:
    """Social optimum: the two-layer program without fees and strategic terms, network and grid included.

    Raises
    ------
    Infeasible
        As the market's clearing: the limits are the same.
    NotConverged
        The solver stopped above its tolerance.
    """
    supply = supply or supply_curves(case.demand_kw, case.resources)
    return _Members.of(case, shift(supply.curves, FLOOR)).cleared(case, supply, with_network=True)


def single_layer(
    case: Case,
    supply: Supply | None = None,
    *,
    sensitivity: float | None = None,
    fee: float | None = None,
    with_network: bool = False,
) -> Benchmark:
    """All prosumers in one market that trades with the grid directly.

    Without the network there is one price for all and losses are ignored until they are paid for; with it,
    prices differ by LAM as DLMPs do.

    Parameters
    ----------
    case, supply
        The case, and its ``supply_curves`` where the caller has them already.
    sensitivity, fee
        Of the one market; the LAMs' means when left out [kW per $/kWh], [$/kWh]. By quantity neither counts:
        its price slope is what makes the LAMs' mean fall of the price over all members' trades.
    with_network
        Whether rows and loss factors are respected.
    """
    supply = supply or supply_curves(case.demand_kw, case.resources)
    return _OneLayer(case, supply, sensitivity, fee).cleared(with_network=with_network)


def violated_rows(case: Case, net_kw: Floats) -> Ints:
    """Network rows that net purchases ``(M,)`` [kW] put outside their limits by more than `MISSED_KW`."""
    if case.network is None:
        return np.zeros(0, dtype=np.intp)
    return np.flatnonzero(np.abs(row_excess(case.network, net_kw)) > MISSED_KW)


def gains(apart: Benchmark, market_cost: float, best: Benchmark) -> tuple[float | None, float | None]:
    """What the market and what the optimum save of the cost of no sharing [$/h].

    Parameters
    ----------
    apart, best
        Benchmarks `no_sharing` and `optimum`.
    market_cost
        Social cost of the market [$/h].

    Returns
    -------
    tuple
        None twice where no sharing violates limits of the network or the grid, which makes costs
        incomparable, or nothing can be saved.
    """
    possible = apart.social_cost - best.social_cost
    if apart.violations or possible < LEAST_SAVING:
        return None, None
    return apart.social_cost - market_cost, possible


def efficiency_of(gain: float | None, possible_gain: float | None) -> float | None:
    """Part of the possible saving that the market achieves (4.3); tends to 1 as markets grow."""
    return None if gain is None or not possible_gain else gain / possible_gain


def efficiency(apart: Benchmark, market_cost: float, best: Benchmark) -> float | None:
    """`efficiency_of` one clearing's `gains`."""
    return efficiency_of(*gains(apart, market_cost, best))


def _alone(curves: Curves, case: Case) -> Floats:
    """Power of each curve against retail and feed-in prices; among equally good ones the nearest to zero."""
    buys, _ = respond_range(curves, np.full(len(curves), case.tariff.retail))
    _, sells = respond_range(curves, np.full(len(curves), case.tariff.feed_in))
    return np.where(buys > 0, buys, np.where(sells < 0, sells, 0.0))


@dataclass(frozen=True)
class _Members:
    """Responses of n members, and their sums by LAM."""

    curves: Curves
    total: Curves

    @classmethod
    def of(cls, case: Case, curves: Curves) -> _Members:
        """Members with these responses."""
        return cls(curves, aggregate(curves, case.lam_of, len(case.lam_id)))

    def cleared(self, case: Case, supply: Supply, *, with_network: bool) -> Benchmark:
        """Clear them in one market over the feeder."""
        network = case.network if with_network else None
        balance = case.balance if with_network else np.ones(len(case.lam_id))
        wam = clear_wam(self.total, network, case.grid, balance, case.offset_kw)
        local = clear_lams(self.curves, case.lam_of, self.total, wam.net_kw, wam.price, case.lam_id)
        return _benchmark(case, supply, local.trade_kw)


@dataclass(frozen=True)
class _OneLayer:
    """All members of a case in one market, as `single_layer` has it."""

    case: Case
    supply: Supply
    sensitivity: float | None = None
    fee: float | None = None

    def cleared(self, *, with_network: bool) -> Benchmark:
        """Clear them, over the network or without it."""
        if self.case.rule.has_utility:
            return _single_pool(self.case, self.supply, with_network=with_network)
        return self._members.cleared(self.case, self.supply, with_network=with_network)

    @cached_property
    def _members(self) -> _Members:
        """Their responses, which know nothing of the network."""
        case = self.case
        a = float(case.sensitivity.mean()) if self.sensitivity is None else self.sensitivity
        others = len(case.prosumer_id) - 1
        slope = 1.0 / (a * others) if others else FLOOR
        delta = float(case.fee.mean()) if self.fee is None else self.fee
        return _Members.of(case, shift(self.supply.curves, slope, delta))


def _single_pool(case: Case, supply: Supply, *, with_network: bool) -> Benchmark:
    """All members as one LAM of the closed pool, its price slope as much smaller as it has more members."""
    lams, n = len(case.lam_id), case.demand_kw.size
    slope = float((case.slope * case.members).mean()) / n
    members = replace(pool_members(case, supply), slope=np.full(lams, slope), lam_slope=np.zeros(lams))
    network = case.network if with_network else None
    balance = case.balance if with_network else np.ones(lams)
    grid = case.grid if with_network else replace(case.grid, import_limit_kw=np.inf, export_limit_kw=np.inf)
    found = clear_pool(members, network, grid, balance, case.offset_kw)
    return _benchmark(case, supply, found.local.flow_kw)


def _benchmark(case: Case, supply: Supply, trade_kw: Floats) -> Benchmark:
    """Cost and consequences of trades."""
    output_kw = disaggregate(supply, trade_kw)
    net_kw = case.net_kw(trade_kw)
    grid_kw = case.grid_kw(net_kw)
    cost = case.resource_cost(output_kw) + case.grid.cost(grid_kw)
    beyond = grid_excess(case.grid, grid_kw)
    return Benchmark(
        trade_kw,
        output_kw,
        net_kw,
        grid_kw,
        cost,
        violated_rows(case, net_kw),
        beyond if abs(beyond) > MISSED_KW else 0.0,
    )
