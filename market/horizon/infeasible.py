"""What a horizon's limits cannot be met by, whatever it costs: asked where prices rise and do not settle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from market.errors import Infeasible, NotConverged
from market.horizon.case import HorizonCase
from market.horizon.feeder import FeederLimits
from market.horizon.members import Answers, Members, price_size
from market.horizon.newton import EXACT, Newton
from market.horizon.step import Point
from market.horizon.unsettled import BEYOND
from market.model.arrays import Floats
from market.model.case import Case, Network
from market.model.limits import MISSED_KW, explain, row_scale

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
    return what_gave_way(case, limits, found.point, found.answers, found.answers.kw)


def what_gave_way(
    case: HorizonCase, limits: FeederLimits, point: Point, answers: Answers, net_kw: Floats
) -> Infeasible | None:
    """The limit that is missed most although its price is as high as prices go.

    Limits of all intervals are compared by the power of their most sensitive LAM.

    Parameters
    ----------
    case, limits
        The case and its limits.
    point, answers, net_kw
        Prices, what members answer there, and what LAMs buy, ``(M, T)`` [kW].
    """
    found: list[tuple[float, int, Infeasible]] = []
    for t in np.unique(limits.interval[limits.gave_way(point.y)]).tolist():
        interval = case.intervals[t]
        network = interval.network or no_rows(len(interval.lam_id))
        missed = explain(network, interval.grid, net_kw[:, t], interval.grid_kw(net_kw[:, t]), MISSED_KW)
        if missed is not None:
            scale = 1.0 if missed.index is None else float(row_scale(network)[missed.index])
            found.append((missed.amount / scale, t, missed))
    if not found:
        return None
    _, t, worst = max(found, key=lambda one: one[0])
    return Infeasible(
        f"interval {t}: {worst.what}",
        worst.amount,
        worst.unit,
        worst.index,
        sum(1 + missed.others for _, _, missed in found) - 1,
        intervals=len(found),
        because=_who_must_charge(case, t, answers),
    )


def _who_must_charge(case: HorizonCase, t: int, answers: Answers) -> str:
    """Stores that charge in an interval at a price that nobody pays who need not, in words."""
    owner, drawn_kw = case.stores.owner, -answers.plans.power_kw[:, t]
    dear = np.abs(answers.price[case.first.lam_of[owner], t]) > BEYOND * price_size(case)
    must = np.flatnonzero(dear & (drawn_kw > MISSED_KW))
    if not must.size:
        return ""
    most = int(must[np.argmax(drawn_kw[must])])
    return (
        f"{drawn_kw[must].sum():.3g} kW of charging cannot wait then, "
        f"{drawn_kw[most]:.3g} kW of it {case.first.prosumer_id[int(owner[most])]}'s"
    )


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
