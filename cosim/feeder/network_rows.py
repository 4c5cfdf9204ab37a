"""Rows of the network: the linear constraints of the clearing, from a linear model and limits."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosim.feeder.circuit import Complexes, Floats
from cosim.feeder.linear import Kind, Limits, Linearisation
from cosim.feeder.watched import Watched

# Rows are kept unless they miss their limits by more than rounding could hide (pu or % of rating).
_SCREENING_MARGIN = 1e-9
# Conductors whose facets are looked at together, which bounds the memory that a large feeder takes.
_BLOCK = 256


@dataclass(frozen=True)
class NetworkRows:
    """Rows ``lower <= base + matrix @ net_kw <= upper`` of the clearing, r of them.

    Attributes
    ----------
    name, kind
        Such as ``"83.1"`` and ``"voltage"``, or ``"line.l115.1 +30"`` (degrees from the present direction of
        the current) and ``"congestion"``.
    matrix
        Change of the row's value per kW of each LAM ``(r, M)``.
    base, lower, upper
        Value at zero net power and limits ``(r,)``, in pu for voltage and % of rating for congestion.
    """

    name: tuple[str, ...]
    kind: tuple[Kind, ...]
    matrix: Floats
    base: Floats
    lower: Floats
    upper: Floats


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
    the present direction; opposite facets share one row. Rows that stay within their limits all over the box
    are left out.

    Parameters
    ----------
    lin
        The model.
    limits
        Voltage and current limits.
    low, high
        Box of the LAMs' net powers ``(M,)`` [kW], or of these and their kvar ``(2 M,)``, finite.
    watched
        The limits whose rows are wanted; all without.
    facets
        Facets of the polygon, an even number; its corners lie 1 / cos(180 deg / facets) outside the circle.

    Returns
    -------
    NetworkRows
        Voltage rows, then congestion rows.

    Raises
    ------
    ValueError
        ``facets`` is odd or below 4.
    """
    if facets < 4 or facets % 2:
        raise ValueError(f"facets must be even and at least 4, not {facets}")
    box = _Box.around(lin, low, high)
    return join_rows(
        [
            _voltage_rows(lin, limits, box, watched),
            _current_rows(lin, limits, box, watched, facets),
        ]
    )


@dataclass(frozen=True)
class _Box:
    """Where powers may go, over as many of a model's directions as they have: all kW, or all kW and kvar."""

    at: Floats
    low: Floats
    high: Floats

    @classmethod
    def around(cls, lin: Linearisation, low: Floats, high: Floats) -> "_Box":
        return cls(np.concatenate([lin.net_kw, lin.net_kvar])[: len(low)], low, high)

    def reaches(self, value: Floats, change: Floats, lower: Floats, upper: Floats) -> NDArray[np.bool_]:
        """Which rows ``value + change @ (net - at)`` can leave their limits somewhere in the box."""
        down, up = self.low - self.at, self.high - self.at
        positive, negative = np.maximum(change, 0.0), np.minimum(change, 0.0)
        highest = value + positive @ up + negative @ down
        lowest = value + positive @ down + negative @ up
        return (highest > upper - _SCREENING_MARGIN) | (lowest < lower + _SCREENING_MARGIN)


def _voltage_rows(lin: Linearisation, limits: Limits, box: _Box, watched: Watched | None) -> NetworkRows:
    nodes = np.arange(len(lin.nodes)) if watched is None else watched.nodes
    lower = np.broadcast_to(limits.voltage_min_pu, lin.v_pu.shape)[nodes]
    upper = np.broadcast_to(limits.voltage_max_pu, lin.v_pu.shape)[nodes]
    change = lin.derivatives.volts(nodes)[:, : len(box.at)]
    reached = np.flatnonzero(box.reaches(lin.v_pu[nodes], change, lower, upper))
    matrix = change[reached]
    return NetworkRows(
        name=tuple(lin.nodes[i] for i in nodes[reached]),
        kind=tuple("voltage" for _ in reached),
        matrix=matrix,
        base=lin.v_pu[nodes[reached]] - matrix @ box.at,
        lower=lower[reached],
        upper=upper[reached],
    )


def _current_rows(
    lin: Linearisation, limits: Limits, box: _Box, watched: Watched | None, facets: int
) -> NetworkRows:
    angles = 2.0 * np.pi * np.arange(facets // 2) / facets
    if watched is None:
        groups = [(np.flatnonzero(np.isfinite(limits.rating_a)), angles)]
    else:
        straight = np.setdiff1d(watched.branches, watched.turned)
        # The facets around the present direction and against it.
        groups = [(straight, angles[[0, 1, -1]]), (watched.turned, angles)]
    return join_rows(
        [
            _facet_rows(lin, limits, rated[at : at + _BLOCK], those, box)
            for rated, those in groups
            for at in range(0, max(len(rated), 1), _BLOCK)
        ]
    )


def _facet_rows(
    lin: Linearisation, limits: Limits, rated: NDArray[np.intp], angles: Floats, box: _Box
) -> NetworkRows:
    di = lin.derivatives.currents(rated)[:, : len(box.at)]
    near = _loadable(lin.current_a[rated], di, limits.rating_a[rated], box)
    rated, di = rated[near], di[near]
    present = lin.current_a[rated]
    turn = (
        np.exp(-1j * (np.angle(present)[:, None] + angles[None, :]))
        * (100.0 / limits.rating_a[rated])[:, None]
    )
    value = np.real(turn * present[:, None]).ravel()
    change = np.real(turn[:, :, None] * di[:, None, :]).reshape(len(value), di.shape[1])
    full = np.full(len(value), 100.0)
    reached = np.flatnonzero(box.reaches(value, change, -full, full))
    matrix = change[reached]
    return NetworkRows(
        name=tuple(
            f"{lin.branches[rated[row // len(angles)]]} +{np.degrees(angles[row % len(angles)]):.0f}"
            for row in reached
        ),
        kind=tuple("congestion" for _ in reached),
        matrix=matrix,
        base=value[reached] - matrix @ box.at,
        lower=-full[reached],
        upper=full[reached],
    )


def _loadable(current_a: Complexes, di: Complexes, rating_a: Floats, box: _Box) -> NDArray[np.bool_]:
    """Conductors whose current can come near its rating at all, whatever its direction."""
    farthest = np.maximum(np.abs(box.low - box.at), np.abs(box.high - box.at))
    is_near: NDArray[np.bool_] = np.abs(current_a) + np.abs(di) @ farthest > (1.0 - 1e-6) * rating_a
    return is_near


def join_rows(parts: Sequence[NetworkRows]) -> NetworkRows:
    """The rows of all parts, one part after the other."""
    if len(parts) == 1:
        return parts[0]
    return NetworkRows(
        name=tuple(name for part in parts for name in part.name),
        kind=tuple(kind for part in parts for kind in part.kind),
        matrix=np.concatenate([part.matrix for part in parts]),
        base=np.concatenate([part.base for part in parts]),
        lower=np.concatenate([part.lower for part in parts]),
        upper=np.concatenate([part.upper for part in parts]),
    )
