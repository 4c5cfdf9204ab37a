"""The whole two-layer program at once, by cvxpy and an open interior-point solver: the independent reference.

Nothing here knows of curves, duals or rounds. The program of docs/market.md, section 3, is written down over
all resources, trades and net purchases, and so are the benchmarks of section 4. cvxpy belongs to the
``reference`` extra; nothing else in the market imports this module but by the name of its method.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import Literal

import cvxpy as cp
import numpy as np

from market.analysis.reference import OVER_NETWORK, Name
from market.errors import NotConverged
from market.model.arrays import Floats
from market.model.case import Case, Grid
from market.model.dlmp import dlmp_parts
from market.oracles.modelling import TOLERANCES, incidence
from market.oracles.pool_program import PoolSolution, solve_pool
from market.oracles.refusal import no_rows, reach, refuse
from market.solver.clearing import Outcome
from market.solver.loss_price import at_loss_price
from market.solver.pool import pool_parts
from market.solver.wam import WamClearing

Rules = Name | Literal["market"]


@dataclass(frozen=True)
class Solution:
    """Optimum of one program for n prosumers, r resources and M LAMs.

    Attributes
    ----------
    output_kw, trade_kw, net_kw, grid_kw
        Quantities ``(r,)``, ``(n,)``, ``(M,)`` and at the feeder head [kW].
    price
        Multipliers of the LAMs' balances lambda_i, ``(M,)`` [$/kWh].
    energy_price, row_dual
        Multiplier of the head's balance pi [$/kWh] and of the rows, eta_up - eta_low, ``(m,)``; zero where
        the program does not have them.
    objective
        Value of the program [$/h].
    social_cost
        Resource cost plus wholesale cost [$/h].
    solver_s, iterations
        The solver's own time, without modelling, and its iterations.
    status
        cvxpy's word for how it ended.
    """

    output_kw: Floats
    trade_kw: Floats
    net_kw: Floats
    grid_kw: float
    price: Floats
    energy_price: float
    row_dual: Floats
    objective: float
    social_cost: float
    solver_s: float
    iterations: int
    status: str


def solve(case: Case, rules: Rules = "market", *, tolerances: dict[str, float] | None = None) -> Solution:
    """Solve the program of a market or of a benchmark.

    Parameters
    ----------
    case
        The case.
    rules
        Which program: the market's equilibrium (section 3), or a benchmark of section 4.
    tolerances
        Clarabel's settings; ``TOLERANCES`` when left out.

    Returns
    -------
    Solution

    Raises
    ------
    Infeasible
        No trade meets every limit; names the balance or the row that the least total violation misses most.
    NotConverged
        The solver gave up.
    """
    program = Program(case, rules)
    problem = cp.Problem(cp.Minimize(program.objective), program.limits)
    with warnings.catch_warnings():
        # The solver may stop a little short of tolerances this tight; the status tells.
        warnings.simplefilter("ignore")
        try:
            problem.solve(solver=cp.CLARABEL, **(tolerances or TOLERANCES))
        except cp.SolverError as error:
            raise NotConverged(0, np.inf) from error
    if problem.status.startswith("infeasible"):
        refuse(case, int(problem.solver_stats.num_iters or 0))
    if not problem.status.startswith("optimal"):
        raise NotConverged(int(problem.solver_stats.num_iters or 0), np.inf)
    return program.solution(problem)


def clear(case: Case) -> Outcome:
    """The market's equilibrium in the form of `market.solver.clearing.clear`; as `solve` for errors.

    Where a local price is a range, it is the point of it that the interior-point method ends at.
    """
    began = time.perf_counter()
    if case.rule.has_utility:
        return _clear_pool(case, began)
    found = solve(case)
    network = case.network or no_rows(len(case.lam_id))
    parts = dlmp_parts(network, case.balance, found.energy_price, found.row_dual)
    wam = WamClearing(
        net_kw=found.net_kw,
        price=parts.price,
        parts=parts,
        energy_price=found.energy_price,
        grid_kw=found.grid_kw,
        row_value=network.base + network.matrix @ found.net_kw,
        row_dual=found.row_dual,
        iterations=found.iterations,
        residual_kw=0.0,
        flow_kw=found.net_kw,
        charge=np.zeros(found.net_kw.size),
    )
    return Outcome(
        trade_kw=found.trade_kw,
        utility_kw=case.utility_kw(found.trade_kw, found.output_kw),
        output_kw=found.output_kw,
        price=found.price,
        wam=wam,
        social_cost=found.social_cost,
        iterations=found.iterations,
        seconds=time.perf_counter() - began,
    )


def _clear_pool(case: Case, began: float) -> Outcome:
    """Equilibrium where members have a utility."""

    def solved(loss_price: float, grid: Grid) -> PoolSolution:
        found = solve_pool(case, loss_price, grid)
        if found.is_infeasible:
            refuse(case, found.iterations)
        return found

    has_losses = bool((case.balance != 1.0).any())
    found = at_loss_price(
        case.grid,
        solved,
        lambda each: each.grid_kw,
        lambda each: each.head_price,
        near_kw=0.0,
        has_losses=has_losses,
        tries=0,
    )
    network = case.network or no_rows(len(case.lam_id))
    net_kw = case.net_kw(found.trade_kw)
    flow_kw = net_kw + case.net_kw(found.utility_kw)
    grid_kw = case.grid_kw(flow_kw)
    loss_price = found.loss_price if has_losses else case.grid.marginal_price(grid_kw)
    parts = pool_parts(network, case.balance, found.pool_price, loss_price, found.head_price, found.row_dual)
    wam = WamClearing(
        net_kw=net_kw,
        price=parts.price,
        parts=parts,
        energy_price=loss_price + found.head_price,
        grid_kw=grid_kw,
        row_value=network.base + network.matrix @ flow_kw,
        row_dual=found.row_dual,
        iterations=found.iterations,
        residual_kw=0.0,
        flow_kw=flow_kw,
        charge=parts.price - found.pool_price,
    )
    return Outcome(
        trade_kw=found.trade_kw,
        utility_kw=found.utility_kw,
        output_kw=found.output_kw,
        price=parts.price + case.wam_slope * net_kw,
        wam=wam,
        social_cost=case.resource_cost(found.output_kw) + case.grid.cost(grid_kw),
        iterations=found.iterations,
        seconds=time.perf_counter() - began,
    )


class Program:
    """Variables, limits and objective of one program.

    Parameters
    ----------
    case, rules
        As for `solve`.
    stored
        What prosumers' stores deliver, ``(n,)``, an expression of another program; none when left out.
    stored_kw
        The most that all stores together may deliver or take [kW].
    """

    def __init__(
        self, case: Case, rules: Rules, stored: cp.Expression | float = 0.0, stored_kw: float = 0.0
    ) -> None:
        self.case = case
        n, lams = len(case.prosumer_id), len(case.lam_id)
        resources, grid, tariff = case.resources, case.grid, case.tariff
        self.output = x = cp.Variable(resources.owner.size)
        self.bought, self.sold = cp.Variable(n, nonneg=True), cp.Variable(n, nonneg=True)
        net_bought, net_sold = cp.Variable(lams, nonneg=True), cp.Variable(lams, nonneg=True)
        imports, exports = cp.Variable(nonneg=True), cp.Variable(nonneg=True)
        trade, net = self.bought - self.sold, net_bought - net_sold
        self.local = incidence(case.lam_of, lams) @ trade == net
        is_single = rules in ("single_layer", "single_layer_network")
        over_network = rules == "market" or rules in OVER_NETWORK
        weight = case.balance if over_network else np.ones(lams)
        self.head = imports - exports == case.offset_kw + weight @ net
        network = case.network if over_network and case.network is not None else no_rows(lams)
        value = network.base + network.matrix @ net
        self.lower, self.upper = value >= network.lower, value <= network.upper
        self.limits = [
            incidence(resources.owner, n) @ x + trade + stored == case.demand_kw,
            self.local,
            x >= resources.min_kw,
            x <= resources.max_kw,
        ]
        cost = cp.sum(cp.multiply(0.5 * resources.cost_quadratic, cp.square(x))) + resources.cost_linear @ x
        if rules == "no_sharing":
            self.objective = cost + tariff.retail * cp.sum(self.bought) - tariff.feed_in * cp.sum(self.sold)
            return
        fee = np.full(n, case.fee.mean()) if is_single else case.fee[case.lam_of]
        slope = np.full(n, _single_slope(case)) if is_single else case.slope[case.lam_of]
        if rules != "optimum":
            cost += fee @ (self.bought + self.sold) + cp.sum(cp.multiply(0.5 * slope, cp.square(trade)))
        if rules == "lam_only":
            self.objective = cost + tariff.retail * cp.sum(net_bought) - tariff.feed_in * cp.sum(net_sold)
            return
        if rules == "market":
            cost += case.wam_fee @ (net_bought + net_sold) + cp.sum(
                cp.multiply(0.5 * case.wam_slope, cp.square(net))
            )
        # A limit far beyond what can flow only drowns the others in rounding.
        most = 1.0 + abs(case.offset_kw) + float(np.abs(weight) @ np.abs(reach(case)).max(axis=0))
        most += float(stored_kw) * float(np.abs(weight).max())
        self.limits += [
            self.head,
            imports <= min(grid.import_limit_kw, most),
            exports <= min(grid.export_limit_kw, most),
            self.lower,
            self.upper,
        ]
        self.objective = cost + grid.import_price * imports - grid.export_price * exports

    def solution(self, problem: cp.Problem) -> Solution:
        """What a solved problem says, with sums that hold to rounding."""
        case, resources = self.case, self.case.resources
        output_kw = np.clip(self.output.value, resources.min_kw, resources.max_kw)
        supplied = np.bincount(resources.owner, output_kw, minlength=case.demand_kw.size)
        trade_kw = case.demand_kw - supplied
        net_kw = case.net_kw(trade_kw)
        grid_kw = case.grid_kw(net_kw)
        rows = 0 if case.network is None else case.network.base.size
        row_dual = np.zeros(rows)
        if self.upper.dual_value is not None and self.upper.size:
            row_dual = np.asarray(self.upper.dual_value - self.lower.dual_value)
        head = 0.0 if self.head.dual_value is None else -float(self.head.dual_value)
        return Solution(
            output_kw=output_kw,
            trade_kw=trade_kw,
            net_kw=net_kw,
            grid_kw=grid_kw,
            price=np.asarray(self.local.dual_value),
            energy_price=head,
            row_dual=row_dual,
            objective=float(problem.value),
            social_cost=case.resource_cost(output_kw) + case.grid.cost(grid_kw),
            solver_s=float(problem.solver_stats.solve_time),
            iterations=int(problem.solver_stats.num_iters),
            status=str(problem.status),
        )


def _single_slope(case: Case) -> float:
    """Slope that prosumers anticipate in one market of all, with the LAMs' mean sensitivity."""
    others = len(case.prosumer_id) - 1
    return 1.0 / (float(case.sensitivity.mean()) * others) if others else 0.0
