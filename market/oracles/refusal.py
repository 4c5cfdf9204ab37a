"""Why a program has no solution: the limit that the least total violation misses most."""

from __future__ import annotations

from typing import NoReturn

import cvxpy as cp
import numpy as np

from market.errors import NotConverged
from market.model.arrays import Floats
from market.model.case import Case, Network
from market.model.limits import explain, grid_excess, row_excess, row_scale


def no_rows(lams: int) -> Network:
    """A network without limits."""
    return Network(np.zeros((0, lams)), np.zeros(0), np.zeros(0), np.zeros(0))


def refuse(case: Case, iterations: int) -> NoReturn:
    """Raise what the least total violation misses most, rows counted in kW of the LAM they feel."""
    network = case.network or no_rows(len(case.lam_id))
    scale = row_scale(network)
    low, high = reach(case)
    net, head = cp.Variable(low.size), cp.Variable()
    beyond = cp.Variable(scale.size, nonneg=True)
    head_beyond = cp.Variable(nonneg=True)
    value = cp.multiply(1.0 / scale, network.base + network.matrix @ net)
    limits = [
        net >= low,
        net <= high,
        head == case.offset_kw + case.balance @ net,
        head <= case.grid.import_limit_kw + head_beyond,
        head >= -case.grid.export_limit_kw - head_beyond,
        value <= network.upper / scale + beyond,
        value >= network.lower / scale - beyond,
    ]
    cp.Problem(cp.Minimize(head_beyond + cp.sum(beyond)), limits).solve(solver=cp.CLARABEL)
    net_kw = np.clip(net.value, low, high)
    grid_kw = case.grid_kw(net_kw)
    missed = abs(grid_excess(case.grid, grid_kw)) + np.abs(row_excess(network, net_kw)).sum()
    # The solver called infeasible what is not: with numbers of very different size it may.
    raise explain(network, case.grid, net_kw, grid_kw) or NotConverged(iterations, float(missed))


def reach(case: Case) -> tuple[Floats, Floats]:
    """Least and largest net purchase that each LAM's members can make, ``(M,)`` each [kW]."""
    resources, n = case.resources, case.demand_kw.size
    most = np.bincount(resources.owner, resources.max_kw, minlength=n)
    least = np.bincount(resources.owner, resources.min_kw, minlength=n)
    return case.net_kw(case.demand_kw - most), case.net_kw(case.demand_kw - least)
