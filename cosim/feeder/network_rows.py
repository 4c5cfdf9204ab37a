"""Rows of the network: the linear constraints of the clearing, from a linear model and limits."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosim.feeder.circuit import Floats
from cosim.feeder.linear import Kind, Limits, Linearisation

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
    lin: Linearisation, limits: Limits, low_kw: Floats, high_kw: Floats, facets: int = 12
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
    low_kw, high_kw
        Box of the LAMs' net powers ``(M,)``, finite [kW].
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
    return join_rows(
        [
            _voltage_rows(lin, limits, low_kw, high_kw),
            _current_rows(lin, limits, low_kw, high_kw, facets),
        ]
    )


def _reach(
    value: Floats,
    change: Floats,
    lower: Floats,
    upper: Floats,
    at_kw: Floats,
    low_kw: Floats,
    high_kw: Floats,
) -> NDArray[np.bool_]:
    """Which rows ``value + change @ (net_kw - at_kw)`` can leave their limits somewhere in the box."""
    down, up = low_kw - at_kw, high_kw - at_kw
    positive, negative = np.maximum(change, 0.0), np.minimum(change, 0.0)
    highest = value + positive @ up + negative @ down
    lowest = value + positive @ down + negative @ up
    return (highest > upper - _SCREENING_MARGIN) | (lowest < lower + _SCREENING_MARGIN)


def _voltage_rows(lin: Linearisation, limits: Limits, low_kw: Floats, high_kw: Floats) -> NetworkRows:
    lower = np.broadcast_to(limits.voltage_min_pu, lin.v_pu.shape)
    upper = np.broadcast_to(limits.voltage_max_pu, lin.v_pu.shape)
    reached = np.flatnonzero(_reach(lin.v_pu, lin.dv, lower, upper, lin.net_kw, low_kw, high_kw))
    matrix = lin.dv[reached]
    return NetworkRows(
        name=tuple(lin.nodes[i] for i in reached),
        kind=tuple("voltage" for _ in reached),
        matrix=matrix,
        base=lin.v_pu[reached] - matrix @ lin.net_kw,
        lower=lower[reached],
        upper=upper[reached],
    )


def _current_rows(
    lin: Linearisation, limits: Limits, low_kw: Floats, high_kw: Floats, facets: int
) -> NetworkRows:
    rated = _loadable(lin, limits, low_kw, high_kw)
    angles = 2.0 * np.pi * np.arange(facets // 2) / facets
    starts = range(0, max(len(rated), 1), _BLOCK)
    return join_rows(
        [_facet_rows(lin, limits, rated[at : at + _BLOCK], angles, low_kw, high_kw) for at in starts]
    )


def _facet_rows(
    lin: Linearisation,
    limits: Limits,
    rated: NDArray[np.intp],
    angles: Floats,
    low_kw: Floats,
    high_kw: Floats,
) -> NetworkRows:
    present = lin.current_a[rated]
    turn = (
        np.exp(-1j * (np.angle(present)[:, None] + angles[None, :]))
        * (100.0 / limits.rating_a[rated])[:, None]
    )
    value = np.real(turn * present[:, None]).ravel()
    change = np.real(turn[:, :, None] * lin.di[rated][:, None, :]).reshape(len(value), lin.di.shape[1])
    full = np.full(len(value), 100.0)
    reached = np.flatnonzero(_reach(value, change, -full, full, lin.net_kw, low_kw, high_kw))
    matrix = change[reached]
    return NetworkRows(
        name=tuple(
            f"{lin.branches[rated[row // len(angles)]]} +{np.degrees(angles[row % len(angles)]):.0f}"
            for row in reached
        ),
        kind=tuple("congestion" for _ in reached),
        matrix=matrix,
        base=value[reached] - matrix @ lin.net_kw,
        lower=-full[reached],
        upper=full[reached],
    )


def _loadable(lin: Linearisation, limits: Limits, low_kw: Floats, high_kw: Floats) -> NDArray[np.intp]:
    """Conductors whose current can come near its rating at all, whatever its direction."""
    farthest_kw = np.maximum(np.abs(low_kw - lin.net_kw), np.abs(high_kw - lin.net_kw))
    most_a = np.abs(lin.current_a) + np.abs(lin.di) @ farthest_kw
    return np.flatnonzero(np.isfinite(limits.rating_a) & (most_a > (1.0 - 1e-6) * limits.rating_a))


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
