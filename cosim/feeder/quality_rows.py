"""Rows of the network for limits on voltage unbalance and on neutral-to-earth voltage."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cosim.feeder.linear import Linearisation
from cosim.feeder.power_quality import PowerQualityLimits, sequences
from cosim.feeder.rows import Box, Circles, NetworkRows

# Directions of the polygons' facets, from the present one. Near that they are so close that a corner between
# them, where a clearing likes to end, lies within the tolerances of the limits.
_DIRECTIONS = np.radians([0.0, 7.5, 15.0, 30.0, 60.0, 90.0, 120.0, 150.0, 165.0, 172.5])


class _Quality(NamedTuple):
    lin: Linearisation
    limits: PowerQualityLimits
    box: Box


def quality_rows(
    lin: Linearisation,
    limits: PowerQualityLimits,
    box: Box,
    watched: NDArray[np.intp] | None,
) -> list[NetworkRows]:
    """Rows of unbalance and of neutrals, where they are limited; none where nothing is.

    The ratio of the sequences and the voltage of a neutral are complex, and zero where all is well: they are
    bounded by polygons, as currents are. A magnitude's deviation from the mean of its bus is smooth, one row.

    Parameters
    ----------
    lin, limits, box
        The model, the limits, and where powers may go.
    watched
        Places of the limits whose rows are wanted, as in `PowerQualityLimits.shares`; all without.
    """
    if not limits.is_asked:
        return []
    count = len(limits.three_phase.buses)
    wanted = np.arange(count + len(limits.neutrals)) if watched is None else watched
    # What no source feeds has no voltage.
    wanted = wanted[np.isfinite(limits.shares(lin.phasors)[wanted])]
    of = _Quality(lin, limits, box)
    parts = []
    if np.isfinite(limits.unbalance_pct):
        rows = _ratio_rows if limits.definition == "vuf" else _deviation_rows
        parts.append(rows(of, wanted[wanted < count]))
    if np.isfinite(limits.neutral_v):
        parts.append(_neutral_rows(of, wanted[wanted >= count] - count))
    return parts


def _ratio_rows(of: _Quality, buses: NDArray[np.intp]) -> NetworkRows:
    """With u = V2 / V1 the change is (dV2 - u dV1) / V1."""
    places, signs = of.limits.three_phase.places[buses], of.limits.three_phase.signs[buses]
    seen = sequences(of.lin.phasors[places] * signs)
    ratio = seen.negative / seen.positive
    weights = 100.0 * signs * (seen.of_negative - ratio[:, None] * seen.of_positive) / seen.positive[:, None]
    chosen = sparse.csr_array(
        (weights.ravel(), places.ravel(), 3 * np.arange(len(buses) + 1)),
        shape=(len(buses), len(of.lin.phasors)),
    )
    return Circles(
        name=[of.limits.three_phase.buses[bus] for bus in buses],
        kind="unbalance",
        present=100.0 * ratio,
        change=of.lin.derivatives.phasors(chosen)[:, : len(of.box.at)],
        radius=np.full(len(buses), of.limits.unbalance_pct),
        limit=of.limits.unbalance_pct,
    ).rows(_DIRECTIONS, of.box)


def _deviation_rows(of: _Quality, buses: NDArray[np.intp]) -> NetworkRows:
    """With m the mean of the magnitudes s, the change of s / m is (ds - (s / m) dm) / m."""
    places = of.limits.three_phase.places[buses]
    sizes = np.abs(of.lin.phasors[places])
    mean = sizes.mean(axis=1)[:, None]
    weights = 100.0 * (np.eye(3) - sizes[:, :, None] / mean[:, :, None] / 3.0) / mean[:, :, None]
    chosen = sparse.csr_array(
        (weights.ravel(), np.repeat(places, 3, axis=0).ravel(), 3 * np.arange(3 * len(buses) + 1)),
        shape=(3 * len(buses), len(of.lin.v_pu)),
    )
    most = np.full(3 * len(buses), of.limits.unbalance_pct)
    return of.box.rows(
        name=lambda row: f"{of.lin.nodes[places.flat[row]]} from mean",
        kind="unbalance",
        value=(100.0 * (sizes / mean - 1.0)).ravel(),
        change=of.lin.derivatives.seen(chosen)[:, : len(of.box.at)],
        lower=-most,
        upper=most,
    )


def _neutral_rows(of: _Quality, neutrals: NDArray[np.intp]) -> NetworkRows:
    places = len(of.lin.v_pu) + neutrals
    one_each = np.ones(len(neutrals), dtype=np.complex128)
    chosen = sparse.csr_array(
        (one_each, (np.arange(len(neutrals)), places)), shape=(len(neutrals), len(of.lin.phasors))
    )
    return Circles(
        name=[of.limits.neutrals[neutral] for neutral in neutrals],
        kind="neutral",
        present=of.lin.phasors[places],
        change=of.lin.derivatives.phasors(chosen)[:, : len(of.box.at)],
        radius=np.full(len(neutrals), of.limits.neutral_v),
        limit=of.limits.neutral_v,
    ).rows(_DIRECTIONS, of.box)
