"""A prosumer's cheapest response: its trade over marginal value, from its resources' limits and costs.

``supply_curves`` gives the trade q_j(nu) at which nu is a slope of -g_j; ``shift`` adds the strategic slope
and the fee of the prosumer's market; ``disaggregate`` turns a trade back into outputs of resources.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from market.model.arrays import Floats, Ints
from market.model.case import Resources
from market.model.curves import Curves, starts

STEP_WIDTH = 1e-12
"""A resource whose ramp is narrower than this [$/kWh] steps instead: rounding would distort the ramp."""

FAR_KW = 1e300
"""Beyond any limit of a resource [kW]."""

NETWORK = 4
"""Resources of a prosumer up to whose number their vertices are sorted by exchanges of whole rows."""


@dataclass(frozen=True)
class Group:
    """Prosumers with the same number R > 0 of resources, and what these deliver at their supply's vertices.

    Attributes
    ----------
    prosumer
        Indices of the prosumers, ``(g,)``.
    first
        Place of each one's first resource among all resources by their owners, ``(g,)``; the others follow.
    total_kw
        Output of all resources at the ascending marginal values at which one of them starts or ends its ramp,
        non-decreasing, ``(2R, g)`` [kW].
    ramps
        Ramps of their resources and those marginal values, where they are kept.
    """

    prosumer: Ints
    first: Ints
    total_kw: Floats
    ramps: tuple[_Ramps, Floats] | None


@dataclass(frozen=True)
class Supply:
    """What n prosumers' resources deliver at which marginal value.

    Attributes
    ----------
    demand_kw
        Inflexible net demand d_j, ``(n,)`` [kW].
    resources
        Their resources, in any order.
    by_owner
        Order of the resources by their owners, ``(r,)``; None where they stand in it.
    groups
        Every prosumer's supply X_j(nu) at its vertices, by number of resources.
    curves
        Trade over the marginal value of energy, q_j(nu) = d_j - X_j(nu), n curves; constant for a prosumer
        without resources.
    """

    demand_kw: Floats
    resources: Resources
    by_owner: Ints | None
    groups: tuple[Group, ...]
    curves: Curves

    def without_curves(self) -> Supply:
        """What `disaggregate` needs, in little more than half of the memory."""
        none = np.zeros(0, dtype=np.intp)
        resources = replace(self.resources, owner=none)
        return replace(self, resources=resources, curves=Curves(np.zeros(0), np.zeros(0), starts(none)))


def supply_curves(demand_kw: Floats, resources: Resources, *, keeps_ramps: bool = False) -> Supply:
    """Every prosumer's trade over its marginal value of energy.

    A resource with quadratic cost ramps from its lower limit at ``e + c lo`` to its upper at ``e + c hi``.
    One without steps at ``e``, together with all others that step there.

    Parameters
    ----------
    demand_kw
        Inflexible net demand, ``(n,)`` [kW].
    resources
        All resources, in any order.
    keeps_ramps
        Whether `disaggregate` finds its ramps kept, which takes as much memory again, or works them out anew.
    """
    demand_kw = np.asarray(demand_kw, dtype=np.float64)
    count = np.bincount(resources.owner, minlength=demand_kw.size)
    start = starts(np.maximum(2 * count, 1))
    price, kw = np.zeros(start[-1]), np.empty(start[-1])
    idle = np.flatnonzero(count == 0)
    kw[start[idle]] = demand_kw[idle]
    owner = resources.owner
    by_owner = np.argsort(owner, kind="stable") if (owner[1:] < owner[:-1]).any() else None
    groups = []
    for group, vertices in _groups(count, resources, by_owner):
        place = start[group.prosumer] + np.arange(len(vertices))[:, None]
        price[place] = vertices
        kw[place] = demand_kw[group.prosumer] - group.total_kw
        groups.append(group if keeps_ramps else replace(group, ramps=None))
    return Supply(demand_kw, resources, by_owner, tuple(groups), Curves(price, kw, start))


def _resource(first: Ints, size: int, by_owner: Ints | None) -> Ints:
    """Indices of resources ``(size, g)`` whose first ones have these places by owner, ``(g,)``."""
    place = first + np.arange(size)[:, None]
    return place if by_owner is None else by_owner[place]


def _groups(count: Ints, resources: Resources, by_owner: Ints | None) -> Iterator[tuple[Group, Floats]]:
    """Prosumers by their number of resources ``(n,)``, with their vertices' marginal values, ``(2R, g)``."""
    first = starts(count)
    for size in (np.flatnonzero(np.bincount(count)[1:]) + 1).tolist():
        prosumer = np.flatnonzero(count == size)
        ramps, price = _ramps_and_vertices(resources, _resource(first[prosumer], size, by_owner))
        outputs = ramps.outputs(price, _following(price))
        total_kw = next(outputs)
        for output_kw in outputs:
            total_kw += output_kw
        yield Group(prosumer, first[prosumer], total_kw, (ramps, price)), price


def _sorted_pairs(low: Floats, high: Floats) -> Floats:
    """Values of R pairs, each low <= high, sorted for each of g columns: ``(R, g)`` each to ``(2R, g)``."""
    if len(low) > NETWORK:
        return np.sort(np.concatenate([low, high]), axis=0)
    rows = [row for pair in zip(low, high, strict=True) for row in pair]
    for i, j in _exchanges(len(rows)):
        rows[i], rows[j] = np.minimum(rows[i], rows[j]), np.maximum(rows[i], rows[j])
    return np.stack(rows)


@cache
def _exchanges(count: int) -> list[tuple[int, int]]:
    """Exchanges that sort ``count`` values whose consecutive pairs are sorted: Batcher's merge sort."""
    found, reach = [], 2
    while reach < count:
        step = reach
        while step:
            for i in range(step % reach, count - step):
                in_turn = (i - step % reach) // step % 2 == 0
                if in_turn and i // (2 * reach) == (i + step) // (2 * reach):
                    found.append((i, i + step))
            step //= 2
        reach *= 2
    return found


def _following(price: Floats) -> Floats:
    """Price of the vertex behind each, infinite behind the last one, ``(2R, g)``."""
    return np.concatenate([price[1:], np.full((1, price.shape[1]), np.inf)])


@dataclass(frozen=True)
class _Ramps:
    """R resources of each of g prosumers, ``(R, g)`` each: from ``low`` at ``start`` to ``high`` at ``end``.

    ``rate`` is how fast they rise in between, any number where both ends are one.
    """

    low: Floats
    high: Floats
    start: Floats
    end: Floats
    rate: Floats

    @classmethod
    def of(cls, resources: Resources, index: Ints) -> _Ramps:
        """Ramps of the resources at ``index``; one that is too narrow becomes a step at its middle."""
        low, high = resources.min_kw[index], resources.max_kw[index]
        e, c = resources.cost_linear[index], resources.cost_quadratic[index]
        start, end, rise = e + c * low, e + c * high, high - low
        step = np.flatnonzero(c * rise < STEP_WIDTH)
        start_at, end_at = start.reshape(-1), end.reshape(-1)
        start_at[step] = end_at[step] = 0.5 * (start_at[step] + end_at[step])
        width = end - start
        width.reshape(-1)[np.flatnonzero(width == 0)] = 1.0
        rise /= width
        return cls(low, high, start, end, rise)

    def outputs(self, price: Floats, following: Floats) -> Iterator[Floats]:
        """Output of one resource after the other at vertices; non-decreasing in them to the last bit.

        It is exact at the ramp's own vertices. Elsewhere each ramp is evaluated by itself, for sums of slopes
        would lose digits. What is over is lifted to its limit: no processor would foresee a branch that is
        taken about half of the time.

        Parameters
        ----------
        price, following
            Some vertices of each prosumer, and the vertices behind them, ``(w, g)`` each.

        Yields
        ------
        Floats
            Output, ``(w, g)`` [kW].
        """
        lift = np.empty_like(price)
        for low, high, start, end, rate in zip(*vars(self).values(), strict=True):
            x = price - start
            np.maximum(x, 0.0, out=x)
            x *= rate
            x += low
            # From the ramp's end on it is at its limit, also where rounding has left less. All vertices at a
            # step's price stand before it but the last.
            is_over = price >= end
            is_over &= following > start
            x += np.multiply(is_over, FAR_KW, out=lift)
            np.minimum(x, high, out=x)
            yield x


def _ramps_and_vertices(resources: Resources, index: Ints) -> tuple[_Ramps, Floats]:
    """Ramps of the resources at ``index``, ``(R, g)``, and the marginal values at their ends, ``(2R, g)``."""
    ramps = _Ramps.of(resources, index)
    return ramps, _sorted_pairs(ramps.start, ramps.end)


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
    result = np.zeros(supply.resources.min_kw.size)
    for group in supply.groups:
        output_kw = supply.demand_kw[group.prosumer] - trade_kw[group.prosumer]
        left = (group.total_kw <= output_kw).sum(axis=0) - 1
        left = np.minimum(np.maximum(left, 0), len(group.total_kw) - 2)
        both = np.stack([left, left + 1]) * left.size + np.arange(left.size)
        low, high = group.total_kw.ravel()[both]
        rise = high - low
        rise[rise == 0] = np.inf
        fraction = np.minimum(np.maximum((output_kw - low) / rise, 0.0), 1.0)
        resource = _resource(group.first, len(group.total_kw) // 2, supply.by_owner)
        ramps, price = group.ramps or _ramps_and_vertices(supply.resources, resource)
        prices = price.ravel()[both], _following(price).ravel()[both]
        for index, (from_kw, to_kw) in zip(resource, ramps.outputs(*prices), strict=True):
            result[index] = from_kw + fraction * (to_kw - from_kw)
    return result
