"""The clearing over a horizon: both layers and all intervals as one convex program (market.md, section 8).

The dual has a price for every LAM in every interval and one for every limit of the feeder. Members without
a store answer with today's curves, those with one by their exact best plan; Newton's method takes the answers
as linear and the network as it is.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from market.errors import CaseError, Infeasible, NotConverged
from market.horizon.case import HorizonCase, check
from market.horizon.feeder import FeederLimits
from market.horizon.infeasible import least_violation, no_rows, what_gave_way
from market.horizon.members import Members, price_size
from market.horizon.newton import FIRST_RIDGE, Found, Newton
from market.horizon.outcome import HorizonOutcome
from market.horizon.proximal import is_too_steep, proximal
from market.horizon.start import Near
from market.horizon.step import Point
from market.horizon.stores import within_reach
from market.model.arrays import Floats
from market.model.case import Case
from market.model.dlmp import dlmp_parts
from market.solver.clearing import Outcome
from market.solver.wam import LimitPrices, WamClearing

FEW = (4, 16)
"""Stores of a LAM that stand for all of its stores where a search begins from nowhere: first so many, then
more, and then all of them."""

FEW_MISS = 0.02
"""Part of the largest LAM's power by which answers of a few stores may miss their model's at the end."""

STEEPER = 4.0
"""Factor of owners' price slopes while a search with more of few stores is still to come. Each store stands
for many others, which would not all turn at one price."""

FROM_FEWER, FROM_FEW = 1.0, 0.01
"""The slope added at first in searches that begin from the prices of few stores, with more of few and with
all (`market.horizon.newton.FIRST_RIDGE`)."""

RESTS = 1e-7
"""Part of the largest net purchase that is none."""


def clear_horizon(case: HorizonCase, start: Sequence[Near] | None = None) -> HorizonOutcome:
    """Equilibrium of both layers over a horizon.

    Parameters
    ----------
    case
        The case.
    start
        What is known near the solution, one for each interval, such as the last horizon's (`later`); it
        saves steps and changes nothing else.

    Returns
    -------
    HorizonOutcome

    Raises
    ------
    CaseError
        The case contradicts itself, or ``start`` has another number of intervals.
    Infeasible
        A limit of the feeder cannot be met in some interval; names it, the interval and the amount. Energy
        that cannot be charged in time is no such limit but told as a shortfall.
    NotConverged
        Prices did not settle.
    """
    began = time.perf_counter()
    check(case)
    if start is not None and len(start) != len(case.intervals):
        raise CaseError(f"start: {len(start)} of them for {len(case.intervals)} intervals; give one for each")
    stores, shortfall = within_reach(case.stores, case.hours)
    case = replace(case, stores=stores)
    members = Members(case)
    limits = FeederLimits.of(case, price_size(case))
    found = None if is_too_steep(case, members) else _directly(case, members, limits, start)
    if found is None:
        _refuse(least_violation(case))
        members, found = proximal(case, members, limits, _middle(case, limits))
    intervals = _intervals(case, members, limits, found)
    net_kw = np.stack([one.wam.net_kw for one in intervals], axis=1)
    _refuse(what_gave_way(case, limits, found.point, found.answers, net_kw))
    plans = found.answers.plans
    return HorizonOutcome(
        intervals=intervals,
        power_kw=plans.power_kw,
        state_kwh=np.concatenate([stores.initial_kwh[:, None], plans.state_kwh], axis=1),
        spilled_kwh=plans.spilled_kwh,
        energy_value=plans.value,
        shortfall_kwh=shortfall,
        iterations=found.steps,
        seconds=time.perf_counter() - began,
    )


def _directly(
    case: HorizonCase, members: Members, limits: FeederLimits, start: Sequence[Near] | None
) -> Found | None:
    """Where a search for prices with everybody's own slopes ends; ``None`` where it does not."""
    try:
        if start is None:
            return _from_few(case, members, limits)
        return Newton(case, members, limits).solve(_near(case, limits, start), start)
    except NotConverged:
        return None


def _from_few(case: HorizonCase, members: Members, limits: FeederLimits) -> Found:
    """Where a search ends that begins with a few stores of each LAM in place of all.

    Most steps only bring prices into their order, which needs nobody's exact answer.
    """
    begin, ridge, steps = _middle(case, limits), FIRST_RIDGE, 0
    few = [some for some in map(members.sample, FEW) if 2 * some.stores <= members.stores]
    for some in few:
        is_last = some is few[-1]
        asked = some if is_last else some.steeper(STEEPER)
        try:
            found = Newton(case, asked, limits).solve(begin, None, roughly=FEW_MISS, ridge=ridge)
        except NotConverged:
            begin, ridge = _middle(case, limits), FIRST_RIDGE
            break
        begin, steps = found.point, steps + found.steps
        ridge = FROM_FEW if is_last else FROM_FEWER
    found = Newton(case, members, limits).solve(begin, None, ridge=ridge)
    return replace(found, steps=steps + found.steps)


def _middle(case: HorizonCase, limits: FeederLimits) -> Point:
    """Everywhere the price halfway between import and export, and no limit that binds."""
    y = np.zeros(limits.base.size)
    y[limits.head] = [interval.grid.middle_price for interval in case.intervals]
    price = limits.prices(y)
    return Point(price, y, np.ones(price.shape, dtype=np.intp))


def _near(case: HorizonCase, limits: FeederLimits, start: Sequence[Near]) -> Point:
    """Prices and sides of a given start."""
    y = np.concatenate(
        [
            _limit_prices(interval, near.limit_prices)
            for interval, near in zip(case.intervals, start, strict=True)
        ]
    )
    net_kw = np.stack([near.net_kw for near in start], axis=1)
    # A LAM that rests buys nothing but rounding.
    rests = np.abs(net_kw) <= RESTS * np.abs(net_kw).max()
    side = np.where(rests, 0, np.sign(net_kw)).astype(np.intp)
    return Point(np.stack([near.price for near in start], axis=1), y * limits.scale, side)


def _limit_prices(case: Case, known: LimitPrices | None) -> Floats:
    """Prices of the head and of the rows of one interval, by name."""
    names = [] if case.network is None else [case.network.row_name(r) for r in range(case.network.base.size)]
    if known is None:
        return np.array([case.grid.middle_price, *np.zeros(len(names))])
    return np.array([known.energy, *(known.row.get(name, 0.0) for name in names)])


def _intervals(
    case: HorizonCase, members: Members, limits: FeederLimits, found: Found
) -> tuple[Outcome, ...]:
    """Outcomes of all intervals."""
    trade_kw = [members.trades(t, found.answers) for t in range(len(case.intervals))]
    nets = [interval.net_kw(trade) for interval, trade in zip(case.intervals, trade_kw, strict=True)]
    beyond_kw = np.abs(limits.beyond(np.stack(nets, axis=1), found.point.y))
    outcomes = []
    for t, (trade, net_kw) in enumerate(zip(trade_kw, nets, strict=True)):
        output_kw = members.outputs(t, trade, found.answers)
        wam = _wam(case.intervals[t], t, limits, found.point, net_kw)
        wam = replace(wam, residual_kw=float(beyond_kw[limits.interval == t].max()))
        outcomes.append(
            Outcome(
                trade_kw=trade,
                utility_kw=np.zeros(trade.size),
                output_kw=output_kw,
                price=found.point.price[:, t],
                wam=wam,
                social_cost=case.intervals[t].resource_cost(output_kw)
                + case.intervals[t].grid.cost(wam.grid_kw),
                iterations=found.steps,
                seconds=0.0,
            )
        )
    return tuple(outcomes)


def _wam(interval: Case, t: int, limits: FeederLimits, point: Point, net_kw: Floats) -> WamClearing:
    """What the WAM's clearing of one interval comes to; how far it misses limits is not told."""
    mine = limits.interval == t
    network = interval.network or no_rows(net_kw.size)
    dual = point.y[mine] / limits.scale[mine]
    energy, row_dual = float(dual[0]), dual[1:]
    parts = dlmp_parts(network, interval.balance, energy, row_dual)
    head = limits.head[t]
    grid_kw = _on_level(interval.grid_kw(net_kw), limits.stairs.level[head], float(limits.allowed_kw[head]))
    binding = {network.row_name(int(row)): float(row_dual[row]) for row in np.flatnonzero(row_dual)}
    return WamClearing(
        net_kw=net_kw,
        price=parts.price,
        parts=parts,
        energy_price=energy,
        grid_kw=grid_kw,
        row_value=network.base + network.matrix @ net_kw,
        row_dual=row_dual,
        iterations=0,
        residual_kw=0.0,
        flow_kw=net_kw,
        charge=np.zeros(net_kw.size),
        limit_prices=LimitPrices(energy, binding),
    )


def _on_level(grid_kw: float, level: Floats, allowed_kw: float) -> float:
    """Power at the head, on the level that it misses by what is allowed: import excludes export [kW]."""
    near = float(level[np.argmin(np.abs(level - grid_kw))])
    return near if abs(near - grid_kw) <= allowed_kw else grid_kw


def _refuse(missed: Infeasible | None) -> None:
    """Raise what cannot be met, where there is something."""
    if missed is not None:
        raise missed
