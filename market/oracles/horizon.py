"""The whole program over a horizon at once, by cvxpy and an open interior-point solver: the reference.

As `market.oracles.monolithic`, over all intervals, with stores' charging, discharging and energy as
variables.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import cvxpy as cp
import numpy as np

from market.errors import NotConverged
from market.horizon.case import HorizonCase
from market.model.arrays import Floats
from market.oracles.modelling import TOLERANCES, incidence
from market.oracles.monolithic import Program


@dataclass(frozen=True)
class HorizonSolution:
    """Optimum of a case with T intervals, S stores and M LAMs.

    Attributes
    ----------
    objective
        Value of the program, over all intervals [$].
    power_kw, state_kwh
        Stores' power, + discharges ``(S, T)`` [kW], and energy ``(S, T+1)`` [kWh].
    trade_kw, price
        Trades ``(N, T)`` [kW] and local prices ``(M, T)`` [$/kWh].
    solver_s, iterations
        The solver's own time, without modelling, and its iterations.
    """

    objective: float
    power_kw: Floats
    state_kwh: Floats
    trade_kw: Floats
    price: Floats
    solver_s: float
    iterations: int


def solve_horizon(case: HorizonCase, *, solver: str = "CLARABEL", **settings: Any) -> HorizonSolution:
    """Solve the program of docs/market.md, section 8.

    Parameters
    ----------
    case
        The case, with bounds that can be kept.
    solver, settings
        cvxpy's name of the solver, and its settings; those of `market.oracles.monolithic` when left out.

    Raises
    ------
    NotConverged
        The solver gave up, or called the program infeasible.
    """
    stores, hours = case.stores, case.hours
    S, T = len(stores), len(case.intervals)
    charge, discharge = cp.Variable((S, T), nonneg=True), cp.Variable((S, T), nonneg=True)
    spilled, state = cp.Variable((S, T), nonneg=True), cp.Variable((S, T + 1))
    power = discharge - charge
    at_meters = incidence(stores.owner, case.first.demand_kw.size)
    most = np.maximum(stores.charge_kw, stores.discharge_kw).sum(axis=0)
    programs = [
        Program(one, "market", at_meters @ power[:, t] if S else 0.0, most[t])
        for t, one in enumerate(case.intervals)
    ]
    least = stores.least_value
    burns = np.isfinite(least)
    gained = cp.multiply(stores.charge_efficiency, charge) - cp.multiply(
        1 / stores.discharge_efficiency, discharge
    )
    kept = cp.multiply(np.repeat(stores.retention[:, None], T, axis=1), state[:, :-1])
    limits = [limit for program in programs for limit in program.limits]
    if S:
        limits += [
            state[:, 0] == stores.initial_kwh,
            state[:, 1:] == kept + hours * gained + stores.drift_kwh - spilled,
            state[:, 1:] >= stores.lower_kwh[:, 1:],
            state[:, 1:] <= stores.upper_kwh[:, 1:],
            charge <= stores.charge_kw,
            discharge <= stores.discharge_kw,
            cp.multiply(~burns, spilled) == 0,
        ]
    wear = stores.charge_wear @ cp.sum(charge, axis=1) + stores.discharge_wear @ cp.sum(discharge, axis=1)
    burnt = cp.sum(cp.multiply(-np.where(burns, least, 0.0), spilled))
    cost = hours * (sum(program.objective for program in programs) + wear) + burnt
    problem = cp.Problem(cp.Minimize(cost - stores.end_value @ state[:, -1]), limits)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            problem.solve(solver=solver, **(settings or TOLERANCES))
        except cp.SolverError as error:
            raise NotConverged(0, np.inf) from error
    if not problem.status.startswith("optimal"):
        raise NotConverged(int(problem.solver_stats.num_iters or 0), np.inf, problem.status)
    return HorizonSolution(
        objective=float(problem.value),
        power_kw=np.reshape(power.value, (S, T)),
        state_kwh=np.reshape(state.value, (S, T + 1)),
        trade_kw=np.stack([one.bought.value - one.sold.value for one in programs], axis=1),
        price=np.stack([one.local.dual_value / hours for one in programs], axis=1),
        solver_s=float(problem.solver_stats.solve_time),
        iterations=int(problem.solver_stats.num_iters),
    )
