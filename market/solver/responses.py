"""What all members of a case answer to local prices, block by block of whole LAMs.

A block's arrays fit into the processor's cache, and all cores work on blocks at once. A LAM's figures depend
on its own members only, to the last bit, so blocks of any size give the same.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from market.model.arrays import Floats, Ints
from market.model.case import Case, Resources
from market.model.curves import Curves, dead_bands, shift, starts
from market.model.response import Supply, disaggregate, supply_curves
from market.solver.aggregation import aggregate, borders
from market.solver.lam import clear_lams
from market.solver.room import Room

BLOCK = 1 << 15
"""Members that are worked on at once: of fewer, cores would wait for each other between short operations."""

KEPT = 2_000_000
"""Members up to whom responses are kept between the two passes; those of more are computed twice."""

T = TypeVar("T")


@dataclass(frozen=True)
class _Block:
    """Some LAMs on end, with their members and these members' resources.

    Attributes
    ----------
    lams
        Positions of the LAMs.
    members, resources
        Positions of members and resources in the case.
    rank
        Owners of the resources by the members' order.
    first
        Which place in that order the first member has.
    """

    lams: slice
    members: Ints | slice
    resources: Ints | slice
    rank: Ints
    first: int


@dataclass(frozen=True)
class LocalClearing:
    """Prices ``(M,)`` [$/kWh], trades ``(n,)`` [kW], and outputs of resources ``(r,)`` [kW]."""

    price: Floats
    trade_kw: Floats
    output_kw: Floats


class Responses:
    """Responses of a case's n members in M LAMs; they know nothing of the network and of the grid's prices.

    Parameters
    ----------
    case
        The case.

    Attributes
    ----------
    vertices
        How many vertices the members' and the LAMs' responses have together.
    """

    def __init__(self, case: Case) -> None:
        self._case = case
        self._slope, self._fee = case.slope, case.fee
        self._blocks = list(_blocks(case))
        self._kept: dict[int, tuple[Supply, Curves]] = {}
        summed = self._each(self._first_pass)
        # LAMs' responses by block, net purchase over local price.
        self._totals = [total for total, _ in summed]
        self.vertices = sum(vertices + total.price.size for total, vertices in summed)

    def seen(self, slope: Floats, fee: Floats) -> Curves:
        """Each LAM's response over its locational price, M curves, as the wide-area market sees it.

        Parameters
        ----------
        slope, fee
            What it turns them by (`shift`), ``(M,)`` each.
        """
        lams = [block.lams for block in self._blocks]
        each_with = list(zip(self._totals, lams, strict=True))
        room = Room([total.price.size + 2 * dead_bands(total, fee[of]).size for total, of in each_with])
        self._each(lambda at: room.put(at, shift(self._totals[at], slope[lams[at]], fee[lams[at]])))
        return room.curves()

    def clear(self, net_kw: Floats, near: Floats) -> LocalClearing:
        """Equilibria of all LAMs for their net purchases, and the cheapest outputs that keep to them.

        Parameters
        ----------
        net_kw, near
            Net purchases [kW] and nearest prices [$/kWh], ``(M,)`` each, as for `clear_lams`.

        Raises
        ------
        Infeasible
            As `clear_lams`.
        """
        case = self._case
        found = LocalClearing(
            np.empty(len(case.lam_id)), np.empty(case.demand_kw.size), np.empty(case.resources.owner.size)
        )

        def clear_block(place: int) -> None:
            block = self._blocks[place]
            supply, curves = self._of_members(place)
            local = clear_lams(
                curves,
                case.lam_of[block.members] - block.lams.start,
                self._totals[place],
                net_kw[block.lams],
                near[block.lams],
                case.lam_id[block.lams],
            )
            found.price[block.lams] = local.price
            found.trade_kw[block.members] = local.trade_kw
            found.output_kw[block.resources] = disaggregate(supply, local.trade_kw)

        self._each(clear_block)
        return found

    def _first_pass(self, place: int) -> tuple[Curves, int]:
        """Sums of a block's responses, and how many vertices these have."""
        block, (supply, curves) = self._blocks[place], self._of_members(place)
        if self._case.demand_kw.size <= KEPT:
            self._kept[place] = supply.without_curves(), curves
        lam = self._case.lam_of[block.members] - block.lams.start
        return aggregate(curves, lam, block.lams.stop - block.lams.start), curves.price.size

    def _of_members(self, place: int) -> tuple[Supply, Curves]:
        """Supply of a block's members and their responses over the local price, as kept or anew."""
        if place in self._kept:
            return self._kept[place]
        case, block = self._case, self._blocks[place]
        of, pick = case.resources, block.resources
        resources = Resources(
            block.rank - block.first,
            of.min_kw[pick],
            of.max_kw[pick],
            of.cost_linear[pick],
            of.cost_quadratic[pick],
        )
        lam = case.lam_of[block.members]
        # One block's ramps are found where they were left; those of all blocks would fill the memory.
        is_alone = len(self._blocks) == 1
        supply = supply_curves(case.demand_kw[block.members], resources, keeps_ramps=is_alone)
        return supply, shift(supply.curves, self._slope[lam], self._fee[lam])

    def _each(self, work: Callable[[int], T]) -> list[T]:
        """Results of ``work`` for all blocks in order, on all cores where there are several blocks."""
        places = range(len(self._blocks))
        if len(places) == 1:
            return [work(0)]
        with ThreadPoolExecutor(os.cpu_count()) as cores:
            return list(cores.map(work, places))


def _blocks(case: Case) -> Iterator[_Block]:
    """All of the case in blocks."""
    first = starts(np.bincount(case.lam_of, minlength=len(case.lam_id)))
    members = _order(case.lam_of)
    rank = case.resources.owner
    if members is not None:
        position = np.empty(members.size, dtype=np.intp)
        position[members] = np.arange(members.size)
        rank = position[rank]
    resources = _order(rank)
    if resources is not None:
        rank = rank[resources]
    for begin, end in itertools.pairwise(borders(first, BLOCK)):
        low, high = int(first[begin]), int(first[end])
        from_, to = np.searchsorted(rank, [low, high]).tolist()
        yield _Block(
            slice(begin, end),
            slice(low, high) if members is None else members[low:high],
            slice(from_, to) if resources is None else resources[from_:to],
            rank[from_:to],
            low,
        )


def _order(key: Ints) -> Ints | None:
    """Stable order that sorts a key; ``None`` where it is sorted."""
    return np.argsort(key, kind="stable") if (key[1:] < key[:-1]).any() else None
