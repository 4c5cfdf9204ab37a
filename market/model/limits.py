"""Limits of the feeder: how far an outcome is beyond them, and what to say where no outcome keeps them."""

from __future__ import annotations

import numpy as np

from market.errors import Infeasible
from market.model.arrays import Floats
from market.model.case import Grid, Network

MISSED_KW = 1e-6
"""A limit missed by no more than this counts as met; where all power is below 1 kW, by this part of it."""

NONE = 1e-100
"""Sensitivities and row values below this are zero: others divided by them would overflow."""


def row_scale(network: Network) -> Floats:
    """Row units per kW of each row's most sensitive LAM, ``(r,)``.

    A row that no LAM moves is measured by its own size, the larger of its base and its nearer limit.
    """
    scale = np.abs(network.matrix).max(axis=1, initial=0.0)
    nearer = np.minimum(np.abs(network.lower), np.abs(network.upper))
    own = np.maximum(np.abs(network.base), nearer)
    return np.where(scale > NONE, scale, np.where(own > NONE, own, 1.0))


def row_excess(network: Network, net_kw: Floats) -> Floats:
    """How far rows are above (+) or below (-) their limits, ``(r,)`` [kW of the most sensitive LAM].

    Parameters
    ----------
    network
        The r rows.
    net_kw
        Net purchases Q_i, ``(M,)`` [kW].
    """
    value = network.base + network.matrix @ net_kw
    over, under = np.maximum(value - network.upper, 0.0), np.maximum(network.lower - value, 0.0)
    return np.asarray((over - under) / row_scale(network))


def grid_excess(grid: Grid, grid_kw: float) -> float:
    """How far the power at the feeder head is beyond the import limit (+) or the export limit (-) [kW]."""
    return max(grid_kw - grid.import_limit_kw, 0.0) - max(-grid.export_limit_kw - grid_kw, 0.0)


def explain(
    network: Network, grid: Grid, net_kw: Floats, grid_kw: float, negligible_kw: float = MISSED_KW
) -> Infeasible | None:
    """The limit that an outcome misses most, in words.

    At the outcome of least total violation the amount is true in this sense: relaxing the named limit by it
    lowers the least total violation by just as much.

    Parameters
    ----------
    network, grid
        The limits.
    net_kw, grid_kw
        Net purchases ``(M,)`` and power at the feeder head [kW] where the total violation is least, rows
        counted by their most sensitive LAM's power.
    negligible_kw
        A limit missed by no more than this counts as met [kW].

    Returns
    -------
    Infeasible or None
        None where every limit is met.
    """
    excess = np.concatenate([[grid_excess(grid, grid_kw)], row_excess(network, net_kw)])
    missed = np.abs(excess)
    worst = int(np.argmax(missed))
    if missed[worst] <= negligible_kw:
        return None
    others = int(np.count_nonzero(missed > negligible_kw)) - 1
    is_above = bool(excess[worst] > 0)
    if worst == 0:
        side, limit = ("import", grid.import_limit_kw) if is_above else ("export", grid.export_limit_kw)
        return Infeasible(
            f"power balance with the grid's {side} limit of {limit:.6g} kW", float(missed[0]), others=others
        )
    row = worst - 1
    name = network.row_name(row)
    side, limit = ("upper", network.upper[row]) if is_above else ("lower", network.lower[row])
    amount = float(missed[worst] * row_scale(network)[row])
    return Infeasible(
        f"network row {name} with its {side} limit of {limit:.6g}", amount, "row units", row, others
    )
