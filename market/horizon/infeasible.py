"""What a horizon's limits cannot be met by, whatever it costs: asked where prices rise and do not settle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from market.errors import Infeasible, NotConverged
from market.horizon.case import HorizonCase
from market.horizon.feeder import FeederLimits
from market.horizon.members import Members, price_size
from market.horizon.newton import EXACT, Newton
from market.horizon.step import Point
from market.model.arrays import Floats
from market.model.case import Case, Network
from market.model.limits import MISSED_KW, explain

SPREAD = 1.0
"""Prices over which everybody's whole range is spread where only violations cost anything [$/kWh]."""


def least_violation(case: HorizonCase) -> Infeasible | None:
    """The limit that is missed most where violations of all limits over the horizon are least.

    Nothing else costs anything there, and all answer prices smoothly, so that prices settle where those of
    the case may not.

    Parameters
    ----------
    case
        The case, its stores' bounds within reach.

    Returns
    -------
    Infeasible or None
        ``None`` where all limits can be met, or where this is not known.
    """
    free = _free(case)
    limits = FeederLimits.of(free, price_size(free))
    y = np.zeros(limits.base.size)
    price = limits.prices(y)
    begin = Point(price, y, np.ones(price.shape, dtype=np.intp))
    try:
        found = Newton(free, Members(free, SPREAD), limits).solve(begin, None, roughly=EXACT)
    except NotConverged:
        return None
    return what_gave_way(case, limits, found.point, found.answers.kw)


def what_gave_way(case: HorizonCase, limits: FeederLimits, point: Point, net_kw: Floats) -> Infeasible | None:
    """The first limit that is missed although its price is as high as prices go.

    Parameters
    ----------
    case, limits
        The case and its limits.
    point, net_kw
        Prices, and what LAMs buy there, ``(M, T)`` [kW].
    """
    for t in np.unique(limits.interval[limits.gave_way(point.y)]).tolist():
        interval = case.intervals[t]
        network = interval.network or no_rows(len(interval.lam_id))
        missed = explain(network, interval.grid, net_kw[:, t], interval.grid_kw(net_kw[:, t]), MISSED_KW)
        if missed is not None:
            return Infeasible(
                f"interval {t}: {missed.what}", missed.amount, missed.unit, missed.index, missed.others
            )
    return None


def no_rows(lams: int) -> Network:
    """A network without limits."""
    return Network(np.zeros((0, lams)), np.zeros(0), np.zeros(0), np.zeros(0))


def _free(case: HorizonCase) -> HorizonCase:
    """The case in which nothing costs anything."""
    stores = case.stores
    none = np.zeros(len(stores))
    return replace(
        case,
        intervals=tuple(_free_interval(one) for one in case.intervals),
        stores=replace(stores, charge_wear=none, discharge_wear=none, end_value=none),
    )


def _free_interval(one: Case) -> Case:
    lams, resources = len(one.lam_id), one.resources
    none = np.zeros(resources.owner.size)
    return replace(
        one,
        resources=replace(resources, cost_linear=none, cost_quadratic=none),
        fee=np.zeros(lams),
        wam_fee=np.zeros(lams),
        grid=replace(one.grid, import_price=0.0, export_price=0.0),
    )
