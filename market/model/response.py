"""A prosumer's cheapest response: resources' limits and costs turned into its trade over marginal value.

``supply_curves`` gives q_j(nu) with -g_j'(q_j) containing nu; ``shift`` adds the strategic slope and the fee
of its market; ``disaggregate`` turns a trade back into resource outputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market.model.arrays import Bools, Floats, Ints
from market.model.case import Resources
from market.model.curves import Curves, starts

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
        Marginal values at which a resource starts or ends its ramp, ascending, ``(2R, g)``.
    ends
        Whether a vertex is the end of a ramp rather than its start, ``(2R, g)``.
    total_kw
        Output of all resources at the vertices, non-decreasing, ``(2R, g)`` [kW].
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
        count[group.prosumer] = group.price.shape[0]
    start = starts(count)
    price = np.zeros(start[-1])
    kw = np.repeat(demand_kw, count)
    for group in groups:
        place = start[group.prosumer] + np.arange(group.price.shape[0])[:, None]
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
        order = np.ascontiguousarray(order.T)
        price = unsorted.ravel()[order + np.arange(0, unsorted.size, 2 * size)]
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
    start: Floats
    end: Floats

    def output(self, price: Floats, ends: Bools) -> Floats:
        """Output at vertices of the same prosumers, ``(w, g)`` [kW]; non-decreasing in them to the last bit.

        It is exact at the ramp's own vertices, and evaluated directly elsewhere: sums of slopes would cancel.
        """
        step = np.flatnonzero(self.start == self.end)
        width = self.end - self.start
        width[step] = 1.0
        x = price - self.start
        np.maximum(x, 0.0, out=x)
        x *= (self.high - self.low) / width
        x += self.low
        np.minimum(x, self.high, out=x)
        x = np.where(price >= self.end, self.high, x)
        if step.size:
            # At a step's own price the vertices that start ramps stand before it, those that end them behind.
            at, value = self.start[step], price[:, step]
            before = (value < at) | ((value == at) & ~ends[:, step])
            x[:, step] = np.where(before, self.low[step], self.high[step])
        return x


def _ramp(resources: Resources, index: Ints) -> _Ramp:
    """Ramps of the resources at ``index``; one too narrow for rounding becomes a step at its middle."""
    low, high = resources.min_kw[index], resources.max_kw[index]
    e, c = resources.cost_linear[index], resources.cost_quadratic[index]
    step = c * (high - low) < STEP_WIDTH
    start, end = e + c * low, e + c * high
    middle = 0.5 * (start + end)
    return _Ramp(low, high, np.where(step, middle, start), np.where(step, middle, end))


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
        target = supply.demand_kw[group.prosumer] - trade_kw[group.prosumer]
        left = np.count_nonzero(group.total_kw <= target, axis=0) - 1
        left = np.clip(left, 0, group.total_kw.shape[0] - 2)
        both, column = np.stack([left, left + 1]), np.arange(left.size)
        low, high = group.total_kw[both, column]
        rise = high - low
        fraction = np.divide(target - low, rise, out=np.zeros_like(low), where=rise > 0)
        fraction = np.clip(fraction, 0.0, 1.0)
        price, ends = group.price[both, column], group.ends[both, column]
        for r in range(group.resource.shape[1]):
            index = group.resource[:, r]
            from_kw, to_kw = _ramp(resources, index).output(price, ends)
            result[index] = from_kw + fraction * (to_kw - from_kw)
    return result
