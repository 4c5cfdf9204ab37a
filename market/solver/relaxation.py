"""Limits that no trade can keep: how little they must give way, so that the market clears at all."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from market.model.arrays import Floats
from market.model.case import Grid, Network
from market.model.curves import Curves
from market.model.limits import MISSED_KW, grid_excess, row_excess, row_scale
from market.solver.elastic import Limits

HEAD = "head"
"""Name of the feeder head's limits among those relaxed."""

SLACK_KW = 10.0 * MISSED_KW
"""What a limit gives way beyond what it must, so that rounding does not bring it back."""


@dataclass(frozen=True)
class Relaxed:
    """Limits that can be kept, and by how much they gave way: + upper, - lower [row units; head: kW]."""

    network: Network
    grid: Grid
    by: dict[str, float]


def relax(curves: Curves, network: Network, grid: Grid, balance: Floats, offset_kw: float) -> Relaxed:
    """Limits moved by as little as lets them be kept, in total power of each row's most sensitive LAM.

    Parameters
    ----------
    curves, network, grid, balance, offset_kw
        As for `market.solver.wam.clear_wam`; only the ranges of the curves matter.
    """
    least = Limits.of(curves, network, grid, balance, offset_kw).least_violation(curves)
    scale = row_scale(network)
    by = {}
    for row, excess in enumerate(row_excess(network, least.kw)):
        if abs(excess) > MISSED_KW:
            by[network.row_name(row)] = float((excess + np.copysign(SLACK_KW, excess)) * scale[row])
    excess = grid_excess(grid, float(least.value[0]))
    if abs(excess) > MISSED_KW:
        by[HEAD] = excess + float(np.copysign(SLACK_KW, excess))
    return Relaxed(*give_way(network, grid, by), by)


def give_way(network: Network, grid: Grid, by: dict[str, float]) -> tuple[Network, Grid]:
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
