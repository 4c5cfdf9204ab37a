"""The whole two-layer clearing: prosumers' responses, LAMs' curves, the WAM over the feeder, and back."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from market.model.arrays import Floats
from market.model.case import Case
from market.model.curves import Curves, shift
from market.model.response import Supply, disaggregate, supply_curves
from market.solver.pool import clear_pool
from market.solver.pool_members import Divided, PoolMembers
from market.solver.responses import Responses
from market.solver.wam import LimitPrices, WamClearing, clear_wam


@dataclass(frozen=True)
class Outcome:
    """Two-layer equilibrium of a case with n prosumers, r resources and M LAMs.

    Attributes
    ----------
    trade_kw
        Trades q_j, + bought, ``(n,)`` [kW].
    utility_kw
        What they buy of the utility u_j, ``(n,)`` [kW]; nothing where the rule has no utility.
    output_kw
        Resource outputs x_r, ``(r,)`` [kW].
    price
        Local prices lambda_i, ``(M,)`` [$/kWh].
    wam
        Net purchases, locational prices, grid power and rows of the wide-area market.
    social_cost
        Resource cost plus wholesale cost; fees and strategic terms are transfers [$/h].
    iterations
        Newton steps of the wide-area market.
    seconds
        Wall time from arrays to arrays.
    """

    trade_kw: Floats
    utility_kw: Floats
    output_kw: Floats
    price: Floats
    wam: WamClearing
    social_cost: float
    iterations: int
    seconds: float


def member_curves(case: Case, supply: Supply) -> Curves:
    """Members' responses to their local price, n curves."""
    return shift(supply.curves, case.slope[case.lam_of], case.fee[case.lam_of])


def pool_members(case: Case, supply: Supply) -> PoolMembers:
    """A case's members as the closed pool of a rule with a utility sees them."""
    return PoolMembers(supply.curves, case.lam_of, case.slope, case.wam_slope, case.tariff)


def clear(case: Case, responses: Responses | None = None, start: LimitPrices | None = None) -> Outcome:
    """Exact equilibrium of both layers, as one convex program (market equilibrium of the paper's Prop. 3).

    Parameters
    ----------
    case
        The case.
    responses
        Those of the case's members where the caller has them already, also from another network or grid; not
        used where the rule has a utility.
    start
        As for `market.solver.wam.clear_wam`.

    Returns
    -------
    Outcome

    Raises
    ------
    Infeasible
        The power balance or a network row cannot be met; names it and the amount.
    NotConverged
        The solver stopped above its tolerance.
    """
    if case.rule.has_utility:
        return _clear_pool(case, start)
    began = time.perf_counter()
    responses = responses or Responses(case)
    # Held by no name: LAMs' curves are as large as all their members', and not needed again.
    wam = clear_wam(
        responses.seen(case.wam_slope, case.wam_fee),
        case.network,
        case.grid,
        case.balance,
        case.offset_kw,
        start,
    )
    return divided(case, responses, wam, began)


def divided(case: Case, responses: Responses, wam: WamClearing, began: float) -> Outcome:
    """Outcome of a clearing of the wide-area market by demand functions, shared out by the LAMs.

    Parameters
    ----------
    responses
        Those of the case's members.
    wam
        What was cleared.
    began
        When the work on it began, by `time.perf_counter` [s].
    """
    own_price = wam.price + case.wam_fee * np.sign(wam.net_kw) + case.wam_slope * wam.net_kw
    local = responses.clear(wam.net_kw, own_price)
    return Outcome(
        trade_kw=local.trade_kw,
        utility_kw=np.zeros(local.trade_kw.size),
        output_kw=local.output_kw,
        price=local.price,
        wam=wam,
        social_cost=case.resource_cost(local.output_kw) + case.grid.cost(wam.grid_kw),
        iterations=wam.iterations,
        seconds=time.perf_counter() - began,
    )


def _clear_pool(case: Case, start: LimitPrices | None) -> Outcome:
    """Exact equilibrium where members have the utility beside a pool of shared energy."""
    began = time.perf_counter()
    supply = supply_curves(case.demand_kw, case.resources)
    members = pool_members(case, supply)
    found = clear_pool(members, case.network, case.grid, case.balance, case.offset_kw, start)
    return outcome_of(case, supply, found.local, found.wam, began)


def outcome_of(case: Case, supply: Supply, local: Divided, wam: WamClearing, began: float) -> Outcome:
    """Outcome of a clearing and what it leaves to members, whose resources keep them to it most cheaply.

    Parameters
    ----------
    supply
        Members' supply curves.
    began
        When the work on it began, by `time.perf_counter` [s].
    """
    output_kw = disaggregate(supply, local.flow_kw)
    return Outcome(
        trade_kw=local.trade_kw,
        utility_kw=local.flow_kw - local.trade_kw,
        output_kw=output_kw,
        price=local.price,
        wam=wam,
        social_cost=case.resource_cost(output_kw) + case.grid.cost(wam.grid_kw),
        iterations=wam.iterations,
        seconds=time.perf_counter() - began,
    )
