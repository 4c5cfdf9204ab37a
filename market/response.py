"""A prosumer's cheapest response: resources' limits and costs turned into its trade over marginal value.

``supply_curves`` gives q_j(nu) with -g_j'(q_j) containing nu; ``shift`` adds the strategic slope and the fee
of its market; ``disaggregate`` turns a trade back into resource outputs.
"""

from __future__ import annotations

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
    ends
        Whether a vertex is the end of a ramp rather than its start, ``(g, 2R)``.
    total_kw
        Output of all resources at the vertices, non-decreasing, ``(g, 2R)`` [kW].
    """

    prosumer: Ints
    resource: Ints
    price: Floats
    ends: Bools
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
        ramps = [_ramp(resources, resource[:, r]) for r in range(size)]
        unsorted = np.stack([ramp.start for ramp in ramps] + [ramp.end for ramp in ramps], axis=1)
        # Stable: at one price, starts come before ends, and a step's two vertices stay in order.
        order = np.argsort(unsorted, axis=1, kind="stable")
        price = unsorted.ravel()[order + np.arange(0, unsorted.size, 2 * size)[:, None]]
        ends = order >= size
        total = np.zeros_like(price)
        for ramp in ramps:
            total += ramp.output(price, ends)
        groups.append(Group(prosumer, resource, price, ends, total))
    return tuple(groups)


@dataclass(frozen=True)
class _Ramp:
    """One resource of each of g prosumers, columns ``(g,)``: from low at ``start`` to high at ``end``."""

    low: Floats
    high: Floats
    e: Floats
    c: Floats
    start: Floats
    end: Floats

    def output(self, price: Floats, ends: Bools) -> Floats:
        """Output at vertices of the same prosumers, ``(g, w)`` [kW]; non-decreasing in them to the last bit.

        It is exact at the ramp's own vertices, and evaluated directly elsewhere: sums of slopes would cancel.
        """
        low, high = self.low[:, None], self.high[:, None]
        start, end = self.start[:, None], self.end[:, None]
        step = self.start == self.end
        x = (price - self.e[:, None]) / np.where(step, 1.0, self.c)[:, None]
        x = np.minimum(np.maximum(x, low), high)
        np.copyto(x, low, where=price <= start)
        np.copyto(x, high, where=price >= end)
        if step.any():
            # At a step's own price the vertices that start ramps stand before it, those that end them behind.
            np.copyto(x, low, where=(price == start) & ~ends & step[:, None])
        return x


def _ramp(resources: Resources, index: Ints) -> _Ramp:
    """Ramps of the resources at ``index``; one too narrow for rounding becomes a step at its middle."""
    low, high = resources.min_kw[index], resources.max_kw[index]
    e, c = resources.cost_linear[index], resources.cost_quadratic[index]
    step = c * (high - low) < STEP_WIDTH
    start, end = e + c * low, e + c * high
    middle = 0.5 * (start + end)
    return _Ramp(low, high, e, c, np.where(step, middle, start), np.where(step, middle, end))


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
        both = np.concatenate([left, left + 1], axis=1)
        price = np.take_along_axis(group.price, both, axis=1)
        ends = np.take_along_axis(group.ends, both, axis=1)
        for r in range(group.resource.shape[1]):
            index = group.resource[:, r]
            x = _ramp(resources, index).output(price, ends)
            result[index] = x[:, 0] + fraction * (x[:, 1] - x[:, 0])
    return result
