"""One member's own program over a horizon, in cvxpy: the best it can do at prices."""

import cvxpy as cp
import numpy as np

SETTINGS = {"solver": cp.CLARABEL, "tol_gap_abs": 1e-11, "tol_gap_rel": 1e-11, "tol_feas": 1e-11}


def best_cost(case, store, linear, fee, curvature):
    """Least of own cost + linear q + fee |q| + curvature q^2 / 2 over plans of a store's owner [$]."""
    stores, T, h = case.stores, len(case.intervals), case.hours
    member = stores.owner[store]
    charge, discharge, spilled = (cp.Variable(T, nonneg=True) for _ in range(3))
    state, trade = cp.Variable(T + 1), cp.Variable(T)
    into, out = stores.charge_efficiency[store], stores.discharge_efficiency[store]
    least = stores.least_value[store]
    burns = np.isfinite(least)
    limits = [
        state[0] == stores.initial_kwh[store],
        charge <= stores.charge_kw[store],
        discharge <= stores.discharge_kw[store],
        state[1:] >= stores.lower_kwh[store, 1:],
        state[1:] <= stores.upper_kwh[store, 1:],
        state[1:]
        == stores.retention[store] * state[:-1]
        + h * (cp.multiply(into, charge) - cp.multiply(1 / out, discharge))
        + stores.drift_kwh[store]
        - spilled,
        cp.multiply(~burns, spilled) == 0,
    ]
    cost = h * (stores.charge_wear[store] * cp.sum(charge) + stores.discharge_wear[store] * cp.sum(discharge))
    cost += cp.sum(cp.multiply(-np.where(burns, least, 0.0), spilled)) - stores.end_value[store] * state[T]
    for t, one in enumerate(case.intervals):
        mine = np.flatnonzero(one.resources.owner == member)
        x = cp.Variable(mine.size)
        of = one.resources
        limits += [
            x >= of.min_kw[mine],
            x <= of.max_kw[mine],
            cp.sum(x) + trade[t] + discharge[t] - charge[t] == one.demand_kw[member],
        ]
        own = cp.sum(cp.multiply(0.5 * of.cost_quadratic[mine], cp.square(x))) + of.cost_linear[mine] @ x
        bill = linear[t] * trade[t] + fee[t] * cp.abs(trade[t]) + 0.5 * curvature[t] * cp.square(trade[t])
        cost += h * (own + bill)
    problem = cp.Problem(cp.Minimize(cost), limits)
    problem.solve(**SETTINGS)
    return problem.value
