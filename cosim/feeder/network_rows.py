"""Rows of the network: the linear constraints of the clearing, from a linear model and limits."""

import numpy as np
from numpy.typing import NDArray

from cosim.feeder.circuit import Floats
from cosim.feeder.linear import Limits, Linearisation
from cosim.feeder.quality_rows import quality_rows
from cosim.feeder.rows import Box, Circles, NetworkRows, join_rows
from cosim.feeder.watched import Watched

# Conductors whose facets are looked at together, which bounds the memory that a large feeder takes.
_BLOCK = 256


def network_rows(
    lin: Linearisation,
    limits: Limits,
    low: Floats,
    high: Floats,
    watched: Watched | None = None,
    facets: int = 12,
) -> NetworkRows:
    """Rows of the network that some admissible trade can reach.

    A voltage magnitude is one row. A current magnitude has a kink where the flow turns round, so its complex
    value is bounded instead, by a polygon around the circle |I| = rating whose first facet is the tangent at
    the present direction; opposite facets share one row. Unbalance and neutral voltages, where they are
    limited, are bounded likewise. Rows that stay within their limits all over the box are left out.

    Parameters
    ----------
    lin
        The model.
    limits
        Limits on voltages and currents, and on unbalance and neutrals where asked for.
    low, high
        Box of the LAMs' net powers ``(M,)`` [kW], or of these and their kvar ``(2 M,)``, finite.
    watched
        The limits whose rows are wanted; all without.
    facets
        Facets of the polygon, an even number; its corners lie 1 / cos(180 deg / facets) outside the circle.

    Returns
    -------
    NetworkRows
        Rows of voltages, congestion, unbalance and neutrals, in this order.

    Raises
    ------
    ValueError
        ``facets`` is odd or below 4.
    """
    if facets < 4 or facets % 2:
        raise ValueError(f"facets must be even and at least 4, not {facets}")
    angles = 2.0 * np.pi * np.arange(facets // 2) / facets
    box = Box.around(lin, low, high)
    return join_rows(
        [
            _voltage_rows(lin, limits, box, watched),
            _current_rows(lin, limits, box, watched, angles),
            *quality_rows(lin, limits.power_quality, box, None if watched is None else watched.quality),
        ]
    )


def _voltage_rows(lin: Linearisation, limits: Limits, box: Box, watched: Watched | None) -> NetworkRows:
    nodes = np.arange(len(lin.nodes)) if watched is None else watched.nodes
    names = [lin.nodes[node] for node in nodes.tolist()]
    return box.rows(
        name=names.__getitem__,
        kind="voltage",
        value=lin.v_pu[nodes],
        change=lin.derivatives.volts(nodes, len(box.at)),
        lower=np.broadcast_to(limits.voltage_min_pu, lin.v_pu.shape)[nodes],
        upper=np.broadcast_to(limits.voltage_max_pu, lin.v_pu.shape)[nodes],
    )


def _current_rows(
    lin: Linearisation, limits: Limits, box: Box, watched: Watched | None, angles: Floats
) -> NetworkRows:
    if watched is None:
        groups = [(np.flatnonzero(np.isfinite(limits.rating_a)), angles)]
    else:
        straight = np.setdiff1d(watched.branches, watched.turned)
        # The facets around the present direction and against it.
        groups = [(straight, angles[[0, 1, -1]]), (watched.turned, angles)]
    return join_rows(
        [
            _currents(lin, limits, rated[at : at + _BLOCK], box).rows(those, box)
            for rated, those in groups
            for at in range(0, max(len(rated), 1), _BLOCK)
        ]
    )


def _currents(lin: Linearisation, limits: Limits, rated: NDArray[np.intp], box: Box) -> Circles:
    return Circles(
        name=[lin.branches[branch] for branch in rated.tolist()],
        kind="congestion",
        present=lin.current_a[rated],
        change=lin.derivatives.currents(rated, len(box.at)),
        radius=limits.rating_a[rated],
        limit=100.0,
    )
