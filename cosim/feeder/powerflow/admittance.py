"""Exact derivatives of an AC power flow whose loads draw constant power, from the nodal admittance matrix.

The network without its loads is linear, so it is reduced once (per set of taps) to what the loads' currents
do to the quantities of interest; a derivative then costs one small dense solve. Pure numpy; knows no power
flow program.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosim.feeder.circuit import Complexes, Floats

Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Network:
    """A linear network without its loads; node 0 is ground.

    Attributes
    ----------
    y
        Nodal admittance with sources, without loads ``(N, N)`` [S].
    fed
        Which nodes hang on a source ``(N,)``.
    winding_ends
        Nodes of each load winding ``(L, 2)``.
    monitored
        Nodes whose voltages are of interest ``(n,)``.
    branch_rows
        Rows that turn node voltages into branch currents ``(b, N)`` [S].
    source_nodes, source_rows
        Nodes at the sources' terminals ``(s,)`` and rows that turn node voltages into the changing part of
        the currents that flow into the sources there ``(s, N)`` [S].
    """

    y: Complexes
    fed: NDArray[np.bool_]
    winding_ends: Ints
    monitored: Ints
    branch_rows: Complexes
    source_nodes: Ints
    source_rows: Complexes


@dataclass(frozen=True)
class Reduced:
    """What the currents of L load windings do, as ``d(quantity) = matrix @ dI``.

    Attributes
    ----------
    winding
        Impedance between the windings ``(L, L)`` [ohm]; the voltage across a winding falls by ``winding @
        dI``.
    node, source_v
        Voltages of the monitored nodes ``(n, L)`` and at the sources ``(s, L)`` [V/A].
    branch, source_i
        Currents in the branches ``(b, L)`` and into the sources ``(s, L)`` [A/A].
    """

    winding: Complexes
    node: Complexes
    branch: Complexes
    source_v: Complexes
    source_i: Complexes


@dataclass(frozen=True)
class Derivatives:
    """Changes along M directions: voltage magnitudes [V], branch currents [A], source power [W]."""

    volts: Floats
    current: Complexes
    source_w: Floats

    def split(self, count: int) -> tuple["Derivatives", "Derivatives"]:
        """The first ``count`` directions, and the others."""
        parts = (slice(None, count), slice(count, None))
        first, rest = (
            Derivatives(self.volts[:, part], self.current[:, part], self.source_w[part]) for part in parts
        )
        return first, rest


def reduce_network(network: Network) -> Reduced:
    """Reduce a network to its load windings.

    Parameters
    ----------
    network
        The network; every winding stands at fed nodes or ground.

    Returns
    -------
    Reduced
        The matrices that `derivatives` needs.

    Raises
    ------
    numpy.linalg.LinAlgError
        The admittance matrix of the fed nodes is singular.
    """
    count = len(network.winding_ends)
    columns = np.arange(count)
    incidence = np.zeros((len(network.y), count), dtype=np.complex128)
    np.add.at(incidence, (network.winding_ends[:, 0], columns), 1.0)
    np.add.at(incidence, (network.winding_ends[:, 1], columns), -1.0)
    incidence[0] = 0.0
    fed = np.flatnonzero(network.fed)
    volts = np.zeros_like(incidence)
    volts[fed] = -np.linalg.solve(network.y[np.ix_(fed, fed)], incidence[fed])
    return Reduced(
        winding=-incidence.T @ volts,
        node=volts[network.monitored],
        branch=network.branch_rows @ volts,
        source_v=volts[network.source_nodes],
        source_i=network.source_rows @ volts,
    )


def load_current_changes(
    reduced: Reduced, winding_v: Complexes, winding_va: Complexes, dva: Complexes
) -> Complexes:
    """Change of the load currents when the loads' constant powers change.

    With W the voltage across a winding, S its power and I = conj(S / W), a small change obeys
    dI = conj(dS / W) - I / conj(W) * conj(dW) and dW = -Z dI. Eliminating conj(dI) leaves the complex system
    (1 - B conj(B)) dI = c + B conj(c) with B = diag(I / conj(W)) conj(Z) and c = conj(dS / W).

    Parameters
    ----------
    reduced
        The network as the windings see it.
    winding_v, winding_va
        Voltage across and power into each winding at the present state ``(L,)`` [V, VA].
    dva
        Change of the windings' powers, one column per direction ``(L, M)`` [VA].

    Returns
    -------
    ndarray
        Change of the windings' currents ``(L, M)`` [A].
    """
    present_a = np.conj(winding_va / winding_v)
    b = (present_a / np.conj(winding_v))[:, None] * np.conj(reduced.winding)
    c = np.conj(dva / winding_v[:, None])
    identity = np.eye(len(b), dtype=np.complex128)
    return np.asarray(np.linalg.solve(identity - b @ np.conj(b), c + b @ np.conj(c)), dtype=np.complex128)


def derivatives(
    reduced: Reduced, dcurrent: Complexes, node_v: Complexes, source_v: Complexes, source_a: Complexes
) -> Derivatives:
    """Changes of the quantities of interest for changes of the load currents.

    Parameters
    ----------
    reduced
        The reduced network.
    dcurrent
        Changes of the windings' currents ``(L, M)`` [A], see `load_current_changes`.
    node_v
        Present voltages of the monitored nodes ``(n,)`` [V].
    source_v, source_a
        Present voltages at the sources and currents into them ``(s,)`` [V, A].

    Returns
    -------
    Derivatives
        Shapes ``(n, M)``, ``(b, M)`` and ``(M,)``.
    """
    unit = (node_v / np.abs(node_v))[:, None]
    dv = reduced.node @ dcurrent
    into_sources = np.conj(source_a) @ (reduced.source_v @ dcurrent) + source_v @ np.conj(
        reduced.source_i @ dcurrent
    )
    return Derivatives(
        volts=unit.real * dv.real + unit.imag * dv.imag,
        current=reduced.branch @ dcurrent,
        source_w=-np.real(into_sources),
    )
