"""The value of the program over a horizon at an outcome."""

import numpy as np


def objective(case, outcome):
    """Own costs, fees and strategic terms of both layers and the grid's, over all intervals [$]."""
    total = 0.0
    for one, found in zip(case.intervals, outcome.intervals, strict=True):
        q, Q = found.trade_kw, found.wam.net_kw
        lam = one.lam_of
        total += one.resource_cost(found.output_kw) + one.grid.cost(found.wam.grid_kw)
        total += (one.fee[lam] * np.abs(q) + 0.5 * one.slope[lam] * q**2).sum()
        total += (one.wam_fee * np.abs(Q) + 0.5 * one.wam_slope * Q**2).sum()
    stores = case.stores
    total += stores.wear(outcome.power_kw).sum()
    least = np.where(np.isfinite(stores.least_value), stores.least_value, 0.0)
    end = stores.end_value @ outcome.state_kwh[:, -1]
    return case.hours * total - end - (least * outcome.spilled_kwh).sum()
