"""Limits that no trade can keep: how little they must give way, so that the market clears at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import numpy as np

from market.errors import NotConverged
from market.model.arrays import Floats
from market.model.case import Grid, Network
from market.model.curves import Curves
from market.model.limits import MISSED_KW, grid_excess, row_excess, row_scale
from market.solver.wam import LimitPrices, WamClearing, clear_elastic

HEAD = "head"
"""Name of the feeder head's limits among those relaxed."""

SLACK_KW = 10.0 * MISSED_KW
"""What a limit gives way beyond what it must, so that rounding does not bring it back."""

MANY, ROOM = 50, 1e-3
"""Where more limits give way than this, they do by this part further than they must: prices of so many that
leave no room at all take hundreds of steps to tell, or cannot be told."""


class ClearElastic(Protocol):
    """Clears a market whose limits give way at a price, as `market.solver.wam.clear_elastic`."""

    def __call__(self, network: Network, grid: Grid, start: LimitPrices | None, /) -> WamClearing:
        """Clear within these limits, from these prices."""
        ...


def clear_or_relax(
    curves: Curves,
    network: Network,
    grid: Grid,
    balance: Floats,
    offset_kw: float,
    start: LimitPrices | None = None,
) -> WamClearing:
    """`market.solver.wam.clear_wam`, in which limits that no trade can keep give way, and are named.

    They give way where keeping them would cost more than ``ELASTIC`` times the largest price of all curves
    for a kW of a row's most sensitive LAM. The market then clears within the limits where they went; where
    these leave so little room that their prices cannot be told, prices are those at which they gave way.

    Raises
    ------
    NotConverged
        As `clear_wam`.
    """

    def clear(network: Network, grid: Grid, start: LimitPrices | None) -> WamClearing:
        return clear_elastic(curves, network, grid, balance, offset_kw, start)

    return relax(clear, network, grid, start)


def relax(
    clear: ClearElastic, network: Network, grid: Grid, start: LimitPrices | None, *, room: float = 0.0
) -> WamClearing:
    """`clear_or_relax` of any market.

    Parameters
    ----------
    clear
        Clears it.
    network, grid, start
        Its limits, and prices to start from.
    room
        Part by which limits give way further than they must, so that prices within them can be told; at least
        ``ROOM`` where they are ``MANY``.
    """
    elastic = clear(network, grid, start)
    by = _beyond(elastic.flow_kw, elastic.grid_kw, network, grid, SLACK_KW)
    if not by:
        return elastic
    room = max(room, ROOM) if len(by) > MANY else room
    by = {name: amount * (1.0 + room) for name, amount in by.items()}
    wider = give_way(network, grid, by)
    try:
        outcome = clear(*wider, None)
    except NotConverged:
        outcome = elastic
    if outcome is elastic or _beyond(outcome.flow_kw, outcome.grid_kw, *wider, 0.0):
        return replace(elastic, relaxed=_beyond(elastic.flow_kw, elastic.grid_kw, network, grid, 0.0))
    return replace(outcome, relaxed=by)


def _beyond(
    flow_kw: Floats, grid_kw: float, network: Network, grid: Grid, slack_kw: float
) -> dict[str, float]:
    """How far an outcome is beyond limits, and some slack: + upper, - lower [row units; head: kW]."""
    excess = row_excess(network, flow_kw)
    room = (excess + np.copysign(slack_kw, excess)) * row_scale(network)
    missed = np.flatnonzero(np.abs(excess) > MISSED_KW).tolist()
    by = {network.row_name(row): float(room[row]) for row in missed}
    head_kw = grid_excess(grid, grid_kw)
    if abs(head_kw) > MISSED_KW:
        by[HEAD] = head_kw + float(np.copysign(slack_kw, head_kw))
    return by


def give_way(network: Network, grid: Grid, by: Mapping[str, float]) -> tuple[Network, Grid]:
    """Network and grid whose limits are moved outwards by named amounts, + upper and - lower."""
    moved = np.array([by.get(network.row_name(row), 0.0) for row in range(network.base.size)])
    head = by.get(HEAD, 0.0)
    return replace(
        network, upper=network.upper + np.maximum(moved, 0.0), lower=network.lower + np.minimum(moved, 0.0)
    ), replace(
        grid,
        import_limit_kw=grid.import_limit_kw + max(head, 0.0),
        export_limit_kw=grid.export_limit_kw - min(head, 0.0),
    )
