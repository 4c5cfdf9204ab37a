"""A prosumer's cheapest response: resources' limits and costs turned into its trade over marginal value.

``supply_curves`` gives q_j(nu) with -g_j'(q_j) containing nu; ``shift`` adds the strategic slope and the fee
of its market; ``disaggregate`` turns a trade back into resource outputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from market.case import Resources
from market.curves import Bools, Curves, Floats, Ints, join, respond, shift, starts, take

__all__ = [
    "Curves",
    "Resources",
    "Supply",
    "disaggregate",
    "join",
    "respond",
    "shift",
    "supply_curves",
    "take",
]

STEP_WIDTH = 1e-12
"""Marginal values closer than this [$/kWh] make a resource's ramp a step: rounding would eat the ramp."""


@dataclass(frozen=True)
class Group:
    """Prosumers with the same number R > 0 of resources, and their supply's sorted vertices.

    Attributes
    ----------
    prosumer
        Positions of the prosumers, ``(g,)``.
    resource
        Positions of their resources, ``(g, R)``.
    price
        Marginal values at which a resource starts or ends its ramp, ascending, ``(g, 2R)``.
    order
        Column c of the unsorted vertices is resource c's start (c < R) or resource c-R's end, ``(g, 2R)``.
    total_kw
        Output of all resources at the vertices, non-decreasing, ``(g, 2R)`` [kW].
    """

    prosumer: Ints
    resource: Ints
    price: Floats
    order: Ints
    total_kw: Floats


@dataclass(frozen=True)
class Supply:
    """What n prosumers can do, and at which marginal value they do it.

    Attributes
    ----------
    demand_kw
        Inflexible net demand d_j, ``(n,)`` [kW].
    resources
        Their resources, in any order.
    groups
        The vertices of every prosumer's supply X_j(nu), by number of resources.
    curves
        Trade over the marginal value of energy, q_j(nu) = d_j - X_j(nu), n curves; constant for a prosumer
        without resources.
    """

    demand_kw: Floats
    resources: Resources
    groups: tuple[Group, ...]
    curves: Curves


def supply_curves(demand_kw: Floats, resources: Resources) -> Supply:
    """Every prosumer's trade over its marginal value of energy.

    Each resource with quadratic cost ramps from its lower limit at ``e + c lo`` to its upper at ``e + c hi``;
    one without steps at ``e``, together with all others at that value.

    Parameters
    ----------
    demand_kw
        Inflexible net demand, ``(n,)`` [kW].
    resources
        All resources, in any order.
    """
    demand_kw = np.asarray(demand_kw, dtype=np.float64)
    groups = _groups(demand_kw.size, resources)
    count = np.ones(demand_kw.size, dtype=np.intp)
    for group in groups:
        count[group.prosumer] = group.price.shape[1]
    start = starts(count)
    price = np.zeros(start[-1])
    kw = np.repeat(demand_kw, count)
    for group in groups:
        place = start[group.prosumer][:, None] + np.arange(group.price.shape[1])
        price[place] = group.price
        kw[place] -= group.total_kw
    return Supply(demand_kw, resources, groups, Curves(price, kw, start))


def _groups(prosumers: int, resources: Resources) -> tuple[Group, ...]:
    """Prosumers by number of resources, with the sorted vertices of their supply."""
    count = np.bincount(resources.owner, minlength=prosumers)
    by_owner = np.argsort(resources.owner, kind="stable")
    first = np.cumsum(count) - count
    groups = []
    for size in np.unique(count[count > 0]):
        prosumer = np.flatnonzero(count == size)
        resource = by_owner[first[prosumer][:, None] + np.arange(size)]
        step, start, end = _ramps(resources, resource)
        unsorted = np.concatenate([start, end], axis=1)
        # Stable: at one price, starts come before ends, and a step's two vertices stay in order.
        order = np.argsort(unsorted, axis=1, kind="stable")
        price = np.take_along_axis(unsorted, order, axis=1)
        total = np.zeros_like(price)
        for output in _outputs(resources, resource, price, order, step, start):
            total += output
        groups.append(Group(prosumer, resource, price, order, total))
    return tuple(groups)


def _ramps(resources: Resources, resource: Ints) -> tuple[Bools, Floats, Floats]:
    """Whether each resource is a step, and the marginal values where its ramp starts and ends."""
    low, high = resources.min_kw[resource], resources.max_kw[resource]
    e, c = resources.cost_linear[resource], resources.cost_quadratic[resource]
    step = c * (high - low) < STEP_WIDTH
    middle = e + c * (0.5 * (low + high))
    return step, np.where(step, middle, e + c * low), np.where(step, middle, e + c * high)


def _outputs(
    resources: Resources, resource: Ints, price: Floats, order: Ints, step: Bools, start: Floats
) -> Iterator[Floats]:
    """Output of one resource after the other at all vertices of its prosumer, ``(g, 2R)`` each.

    Each is evaluated directly from its own ramp (summing slopes would cancel), exact at its own vertices, and
    made non-decreasing against rounding, so that sums are monotone too.
    """
    size = resource.shape[1]
    after = order >= size
    for r in range(size):
        index = resource[:, r]
        low, high = resources.min_kw[index][:, None], resources.max_kw[index][:, None]
        e, c = resources.cost_linear[index][:, None], resources.cost_quadratic[index][:, None]
        stepped = step[:, r]
        ramp = (price - e) / np.where(stepped[:, None], 1.0, c)
        output = np.minimum(np.maximum(ramp, low), high)
        if stepped.any():
            at = start[:, r][:, None]
            jumped = (price > at) | (after & (price == at))
            output = np.where(stepped[:, None], np.where(jumped, high, low), output)
        output = np.where(order == r, low, np.where(order == size + r, high, output))
        yield np.maximum.accumulate(output, axis=1)


def disaggregate(supply: Supply, trade_kw: Floats) -> Floats:
    """Cheapest resource outputs that leave each prosumer with its trade.

    Between two vertices of the supply every resource is linear in the fraction of the segment, so resources
    that step at one value share it in proportion to their ranges.

    Parameters
    ----------
    supply
        From ``supply_curves``, n prosumers.
    trade_kw
        Trades, + bought, ``(n,)`` [kW]; beyond a prosumer's limits they count as the limit.

    Returns
    -------
    Floats
        Outputs in the resources' order, ``(r,)`` [kW].
    """
    resources = supply.resources
    result = np.zeros(resources.owner.size)
    for group in supply.groups:
        target = (supply.demand_kw[group.prosumer] - trade_kw[group.prosumer])[:, None]
        left = np.count_nonzero(group.total_kw <= target, axis=1)[:, None] - 1
        left = np.clip(left, 0, group.total_kw.shape[1] - 2)
        low = np.take_along_axis(group.total_kw, left, axis=1)[:, 0]
        high = np.take_along_axis(group.total_kw, left + 1, axis=1)[:, 0]
        rise = high - low
        fraction = np.divide(target[:, 0] - low, rise, out=np.zeros_like(low), where=rise > 0)
        fraction = np.clip(fraction, 0.0, 1.0)
        step, start, _ = _ramps(resources, group.resource)
        outputs = _outputs(resources, group.resource, group.price, group.order, step, start)
        for r, output in enumerate(outputs):
            from_kw = np.take_along_axis(output, left, axis=1)[:, 0]
            to_kw = np.take_along_axis(output, left + 1, axis=1)[:, 0]
            result[group.resource[:, r]] = from_kw + fraction * (to_kw - from_kw)
    return result
