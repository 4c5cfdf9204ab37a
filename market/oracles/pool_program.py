"""The closed pool of shared energy as one convex program, by cvxpy: independent of curves and duals.

Written down over all resources, trades with the market and with the utility, and flows (market.md, (7.5)).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import cvxpy as cp
import numpy as np

from market.errors import NotConverged
from market.model.arrays import Floats
from market.model.case import Case, Grid
from market.oracles.modelling import TOLERANCES, incidence


@dataclass(frozen=True)
class PoolSolution:
    """Optimum at one price of losses, for n prosumers, r resources and M LAMs.

    Attributes
    ----------
    output_kw, trade_kw, utility_kw
        Quantities ``(r,)``, ``(n,)`` and ``(n,)`` [kW].
    charge, pool_price
        Multipliers: charge for what flows to each LAM ``(M,)``, and price of shared energy [$/kWh].
    head_price, row_dual
        Multipliers of the head's limit [$/kWh] and of the rows, ``(m,)``.
    grid_kw
        Power at the feeder head [kW].
    objective
        Value of the program [$/h].
    is_infeasible
        Whether no flows keep all limits; nothing else is told then.
    """

    output_kw: Floats
    trade_kw: Floats
    utility_kw: Floats
    charge: Floats
    pool_price: float
    head_price: float
    row_dual: Floats
    grid_kw: float
    objective: float
    loss_price: float
    solver_s: float
    iterations: int
    status: str

    @property
    def is_infeasible(self) -> bool:
        """See the class."""
        return self.status.startswith("infeasible")


def solve_pool(case: Case, loss_price: float, grid: Grid) -> PoolSolution:
    """Solve the program of a case whose rule has a utility, at a price of losses.

    Parameters
    ----------
    case
        The case.
    loss_price
        What a kWh of losses costs at the feeder head [$/kWh].
    grid
        Limits at the feeder head.

    Raises
    ------
    NotConverged
        The solver gave up.
    """
    n, lams, tariff, resources = len(case.prosumer_id), len(case.lam_id), case.tariff, case.resources
    x, trade = cp.Variable(resources.owner.size), cp.Variable(n)
    bought, sold = cp.Variable(n, nonneg=True), cp.Variable(n, nonneg=True)
    net, flow = cp.Variable(lams), cp.Variable(lams)
    members = incidence(case.lam_of, lams)
    local = members @ trade == net
    drawn = members @ (trade + bought - sold) == flow
    shared = cp.sum(net) == 0
    head = case.offset_kw + case.balance @ flow
    at_most, at_least = head <= grid.import_limit_kw, head >= -grid.export_limit_kw
    limits = [
        incidence(resources.owner, n) @ x + trade + bought - sold == case.demand_kw,
        local, drawn, shared, at_most, at_least, x >= resources.min_kw, x <= resources.max_kw,
    ]  # fmt: skip
    rows = []
    if case.network is not None:
        value = case.network.base + case.network.matrix @ flow
        rows = [value <= case.network.upper, value >= case.network.lower]
    cost = cp.sum(cp.multiply(0.5 * resources.cost_quadratic, cp.square(x))) + resources.cost_linear @ x
    cost += tariff.retail * cp.sum(bought) - tariff.feed_in * cp.sum(sold)
    cost += cp.sum(cp.multiply(0.5 * case.slope[case.lam_of], cp.square(trade)))
    cost += cp.sum(cp.multiply(0.5 * case.wam_slope, cp.square(net)))
    problem = cp.Problem(cp.Minimize(cost + loss_price * ((case.balance - 1.0) @ flow)), limits + rows)
    with warnings.catch_warnings():
        # The solver may stop a little short of tolerances this tight; the status tells.
        warnings.simplefilter("ignore")
        try:
            problem.solve(solver=cp.CLARABEL, **TOLERANCES)
        except cp.SolverError as error:
            raise NotConverged(0, np.inf) from error
    iterations = int(problem.solver_stats.num_iters or 0)
    if not problem.status.startswith(("optimal", "infeasible")):
        raise NotConverged(iterations, np.inf)
    solver_s = float(problem.solver_stats.solve_time)
    if problem.status.startswith("infeasible"):
        none = np.zeros(0)
        return PoolSolution(
            none,
            none,
            none,
            none,
            0.0,
            0.0,
            none,
            0.0,
            np.inf,
            loss_price,
            solver_s,
            iterations,
            problem.status,
        )
    output_kw = np.clip(x.value, resources.min_kw, resources.max_kw)
    made_kw = np.bincount(resources.owner, output_kw, minlength=n)
    row_dual = rows[0].dual_value - rows[1].dual_value if rows else np.zeros(0)
    head_price = float(at_most.dual_value - at_least.dual_value)
    charge = (case.balance - 1.0) * loss_price + case.balance * head_price
    if case.network is not None:
        charge = charge + row_dual @ case.network.matrix
    return PoolSolution(
        output_kw=output_kw,
        trade_kw=np.asarray(trade.value),
        utility_kw=case.demand_kw - made_kw - trade.value,
        charge=charge,
        pool_price=float(shared.dual_value),
        head_price=head_price,
        row_dual=np.asarray(row_dual),
        grid_kw=float(head.value),
        objective=float(problem.value),
        loss_price=loss_price,
        solver_s=solver_s,
        iterations=iterations,
        status=str(problem.status),
    )
