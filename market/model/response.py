"""A prosumer's cheapest response: its trade over marginal value, from its resources' limits and costs.

``supply_curves`` gives the trade q_j(nu) at which nu is a slope of -g_j; ``shift`` adds the strategic slope
and the fee of the prosumer's market; ``disaggregate`` turns a trade back into outputs of resources.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market.model.arrays import Bools, Floats, Ints
from market.model.case import Resources
from market.model.curves import Curves, starts

STEP_WIDTH = 1e-12
"""A resource whose ramp is narrower than this [$/kWh] steps instead: rounding would distort the ramp."""


@dataclass(frozen=True)
class Group:
    """Prosumers with the same number R > 0 of resources, and their supply's sorted vertices.

    Attributes
    ----------
    prosumer
        Indices of the prosumers, ``(g,)``.
    resource
        Indices of their resources, ``(g, R)``.
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
    """What n prosumers' resources deliver at which marginal value.

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

    A resource with quadratic cost ramps from its lower limit at ``e + c lo`` to its upper at ``e + c hi``.
    One without steps at ``e``, together with all others that step there.

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
        groups.append(_group(resources, prosumer, by_owner[first[prosumer][:, None] + np.arange(size)]))
    return tuple(groups)


def _group(resources: Resources, prosumer: Ints, resource: Ints) -> Group:
    """Prosumers ``(g,)`` whose resources are ``(g, R)``, with the sorted vertices of their supply."""
    size = resource.shape[1]
    ramps = [_ramp(resources, resource[:, r]) for r in range(size)]
    unsorted = np.stack([ramp.start for ramp in ramps] + [ramp.end for ramp in ramps], axis=1)
    # Stable: at one price, starts come before ends, and a step's two vertices stay in order.
    order = np.argsort(unsorted, axis=1, kind="stable")
    order = np.ascontiguousarray(order.T)
    price = unsorted.ravel()[order + np.arange(0, unsorted.size, 2 * size)]
    ends = order >= size
    total_kw = np.zeros_like(price)
    for ramp in ramps:
        total_kw += ramp.output(price, ends)
    return Group(prosumer, resource, price, ends, total_kw)


@dataclass(frozen=True)
class _Ramp:
    """One resource of each of g prosumers, ``(g,)``: from ``low`` at ``start`` to ``high`` at ``end``."""

    low: Floats
    high: Floats
    start: Floats
    end: Floats

    def output(self, price: Floats, ends: Bools) -> Floats:
        """Output at vertices of the same prosumers, ``(w, g)`` [kW]; non-decreasing in them to the last bit.

        It is exact at the ramp's own vertices. Elsewhere each ramp is evaluated by itself, for sums of slopes
        would lose digits.
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
            # At a step's own price, vertices that start ramps stand before it, others behind.
            at, value = self.start[step], price[:, step]
            before = (value < at) | ((value == at) & ~ends[:, step])
            x[:, step] = np.where(before, self.low[step], self.high[step])
        return x


def _ramp(resources: Resources, index: Ints) -> _Ramp:
    """Ramps of the resources at ``index``; one that is too narrow becomes a step at its middle."""
    low, high = resources.min_kw[index], resources.max_kw[index]
    e, c = resources.cost_linear[index], resources.cost_quadratic[index]
    step = c * (high - low) < STEP_WIDTH
    start, end = e + c * low, e + c * high
    middle = 0.5 * (start + end)
    return _Ramp(low, high, np.where(step, middle, start), np.where(step, middle, end))


def disaggregate(supply: Supply, trade_kw: Floats) -> Floats:
    """Cheapest resource outputs that leave each prosumer with its trade.

    Between two vertices of the supply every resource moves in proportion, so resources that step at one
    marginal value share the step in proportion to their ranges.

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
    result = np.zeros(supply.resources.owner.size)
    for group in supply.groups:
        output_kw = supply.demand_kw[group.prosumer] - trade_kw[group.prosumer]
        for index, kw in zip(
            group.resource.T, _resource_outputs(supply.resources, group, output_kw), strict=True
        ):
            result[index] = kw
    return result


def _resource_outputs(resources: Resources, group: Group, output_kw: Floats) -> list[Floats]:
    """Outputs of a group's resources, R arrays ``(g,)`` [kW], that add up to ``output_kw``, ``(g,)``."""
    left = np.count_nonzero(group.total_kw <= output_kw, axis=0) - 1
    left = np.clip(left, 0, group.total_kw.shape[0] - 2)
    both, column = np.stack([left, left + 1]), np.arange(left.size)
    low, high = group.total_kw[both, column]
    rise = high - low
    fraction = np.divide(output_kw - low, rise, out=np.zeros_like(low), where=rise > 0)
    fraction = np.clip(fraction, 0.0, 1.0)
    price, ends = group.price[both, column], group.ends[both, column]
    parts = []
    for index in group.resource.T:
        from_kw, to_kw = _ramp(resources, index).output(price, ends)
        parts.append(from_kw + fraction * (to_kw - from_kw))
    return parts
