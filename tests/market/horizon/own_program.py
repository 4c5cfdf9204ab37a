"""One member's own program over a horizon, in cvxpy: the best it can do at prices."""

import cvxpy as cp
import numpy as np

SETTINGS = {"solver": cp.CLARABEL, "tol_gap_abs": 1e-11, "tol_gap_rel": 1e-11, "tol_feas": 1e-11}


def best_cost(case, member, linear, fee, curvature):
    """Least of own cost + linear q + fee |q| + curvature q^2 / 2 over plans of all stores of a member [$]."""
    stores, T, h = case.stores, len(case.intervals), case.hours
    limits, cost, made = [], 0.0, np.zeros(T)
    for store in np.flatnonzero(stores.owner == member):
        charge, discharge, spilled = (cp.Variable(T, nonneg=True) for _ in range(3))
        state = cp.Variable(T + 1)
        into, out = stores.charge_efficiency[store], stores.discharge_efficiency[store]
        least = stores.least_value[store]
        burns = np.isfinite(least)
        limits += [
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
        wear = stores.charge_wear[store] * cp.sum(charge) + stores.discharge_wear[store] * cp.sum(discharge)
        burnt = cp.sum(cp.multiply(-np.where(burns, least, 0.0), spilled))
        cost += h * wear + burnt - stores.end_value[store] * state[T]
        made = made + discharge - charge
    trade = cp.Variable(T)
    for t, one in enumerate(case.intervals):
        mine = np.flatnonzero(one.resources.owner == member)
        x = cp.Variable(mine.size)
        of = one.resources
        limits += [
            x >= of.min_kw[mine],
            x <= of.max_kw[mine],
            cp.sum(x) + trade[t] + made[t] == one.demand_kw[member],
        ]
        own = cp.sum(cp.multiply(0.5 * of.cost_quadratic[mine], cp.square(x))) + of.cost_linear[mine] @ x
        bill = linear[t] * trade[t] + fee[t] * cp.abs(trade[t]) + 0.5 * curvature[t] * cp.square(trade[t])
        cost += h * (own + bill)
    problem = cp.Problem(cp.Minimize(cost), limits)
    problem.solve(**SETTINGS)
    return problem.value


def cost_now(case, outcome, member):
    """What a member pays in an outcome, energy that is left taken off [$]."""
    lam, mine = case.first.lam_of[member], case.stores.owner == member
    rate = case.stores.wear(outcome.power_kw)[mine].sum()
    for one, found in zip(case.intervals, outcome.intervals, strict=True):
        rate += one.resources.cost(found.output_kw)[one.resources.owner == member].sum()
        trade = found.trade_kw[member]
        rate += found.price[lam] * trade + one.fee[lam] * abs(trade)
    least = np.where(np.isfinite(case.stores.least_value), case.stores.least_value, 0.0)
    burnt = -(least * outcome.spilled_kwh)[mine].sum()
    return case.hours * rate + burnt - case.stores.end_value[mine] @ outcome.state_kwh[mine, -1]
