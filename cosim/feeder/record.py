"""What a state of a feeder can be rebuilt from, beside its file: positions, changes, powers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosim.feeder.circuit import Complexes, Floats
from cosim.feeder.powerflow.lam_circuit import LamCircuit
from cosim.feeder.powerflow.topology import Survey

Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Connections:
    """Where the loads of a circuit draw, c connections.

    Attributes
    ----------
    at
        Bus and one or two of its nodes: ``47.1``, to ground, or ``76.1-2``.
    lam
        LAM of each ``(c,)``, -1 outside the market.
    kva
        Complex power into each ``(c,)`` [kW + j kvar].
    """

    at: tuple[str, ...]
    lam: Ints
    kva: Complexes


@dataclass(frozen=True)
class StateRecord:
    """Beside `Connections`: ``positions`` by device, and OpenDSS commands that changed the circuit."""

    positions: dict[str, str]
    changes: tuple[str, ...]
    metered: Connections
    cleared_kva: Complexes


def connections(circuit: LamCircuit, net_kw: Floats, net_kvar: Floats, volts: Complexes) -> Connections:
    """Power of every connection where LAMs draw net powers ``(M,)`` [kW, kvar].

    Windings of one LAM between the same nodes are one connection. Node voltages ``(N,)`` [V], 0 at ground,
    are those at which loads outside the market draw.
    """
    attachment = circuit.attachment
    kva = circuit.drawn(net_kw, net_kvar, volts).va / 1e3
    lam = attachment.winding_lam()
    names = [_between(circuit.survey, one, other) for one, other in attachment.winding_ends.tolist()]
    place: dict[tuple[int, str], int] = {}
    at = np.array(
        [place.setdefault(key, len(place)) for key in zip(lam.tolist(), names, strict=True)], dtype=np.intp
    )
    sums = np.bincount(at, kva.real, len(place)) + 1j * np.bincount(at, kva.imag, len(place))
    return Connections(
        at=tuple(name for _, name in place),
        lam=np.array([number for number, _ in place], dtype=np.intp),
        kva=sums,
    )


def _between(survey: Survey, one: int, other: int) -> str:
    first, second = (one, other) if one else (other, one)
    name = survey.node_names[first]
    return f"{name}-{survey.node_names[second].partition('.')[2]}" if second else name
