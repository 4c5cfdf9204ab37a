"""What is known about a feeder: where LAMs sit, its nodes and branches, and one AC state.

Plain frozen data on numpy arrays, shared by the power flow, the linear model and the report. Signs: a LAM's
net power is positive when it draws from the feeder; the source's power is positive when it flows into the
feeder.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sharegrid.errors import SharegridError

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


class FeederError(SharegridError):
    """The feeder's description was refused: no file, OpenDSS error, unfed bus, unknown LAM site."""


class NothingFed(FeederError):
    """A change of the circuit leaves no load that a source feeds."""


class PowerFlowError(SharegridError):
    """The AC power flow did not converge, or a voltage collapsed, for the injections it was given."""


class FeederStopped(SharegridError):
    """Whoever asked for a power flow no longer waits for it."""


@dataclass(frozen=True)
class LamSite:
    """Where a LAM attaches to the feeder.

    Without ``phases`` the LAM takes the place of the loads that the feeder's file has at the bus. With
    ``phases`` it gets its own connection, split evenly between those phases and the bus's neutral, or ground
    where it has none, and the file's loads stay as they are.

    Attributes
    ----------
    name
        The LAM's name, unique on the feeder.
    bus
        A bus of the feeder.
    phases
        Phases (1, 2, 3) of a connection of its own; empty: the bus's loads.
    spot_kw, spot_kvar
        Size of a connection of its own [kW, kvar]; ignored where the LAM takes over loads.
    """

    name: str
    bus: str
    phases: tuple[int, ...] = ()
    spot_kw: float = 0.0
    spot_kvar: float = 0.0


class Segment(NamedTuple):
    """A line, switch or transformer on the map, between two buses."""

    element: str
    from_bus: str
    to_bus: str


@dataclass(frozen=True)
class ThreePhase:
    """Buses with three phases, t of them.

    Attributes
    ----------
    buses
        Their names.
    places, signs
        Their three voltages among those that are judged, to the reference or between phases ``(t, 3)``, and
        the signs that make a round of them ``(t, 3)``.
    """

    buses: tuple[str, ...] = ()
    places: NDArray[np.intp] = field(default_factory=lambda: np.zeros((0, 3), dtype=np.intp))
    signs: Floats = field(default_factory=lambda: np.ones((0, 3)))


@dataclass(frozen=True)
class FeederLayout:
    """The unchanging facts of a feeder with M LAMs, n monitored nodes and b monitored branch conductors.

    Attributes
    ----------
    name
        Name of the feeder, for people.
    lams, lam_bus
        Names of the LAMs and of their buses, M each.
    lam_phases
        Phases that each LAM touches.
    lam_nodes
        Indices in ``nodes`` of the voltages that each LAM sees.
    spot_kw, tan_phi
        The loads that the LAM stands for: active power ``(M,)`` [kW] and kvar per kW ``(M,)``.
    nodes, node_base_kv
        Node names such as ``"47.1"`` and their base voltages to ground ``(n,)`` [kV]. Dummy buses behind
        switches, dead buses and neutral conductors are left out.
    branches, rating_a, emergency_a
        Conductors such as ``"line.l115.1"`` (element and phase, at its first terminal) and their ratings
        ``(b,)`` [A], normal and emergency, infinite where the feeder's description gives none.
    branch_base_kv
        Base voltages to ground of those conductors ``(b,)`` [kV].
    regulators
        Names of the voltage regulators.
    coordinates
        Bus coordinates for the map, in the drawing's own units; buses without any are absent.
    segments
        Lines, switches and transformers for the map.
    description
        Counts and other facts for the report.
    notes
        What the feeder's description has and the loop does not honour, a sentence each.
    capacitors, generators, switches
        Names of its capacitors, of its generators, PV systems and storage with their class, and of its
        switches.
    three_phase, neutrals
        Buses whose unbalance, and nodes of neutral conductors whose voltage to earth, can be known.
    across_kv
        Base voltages between the ends of what ``nodes`` names ``(n,)`` [kV].
    digest
        Hash of all files that describe the feeder; empty for the shipped one.
    """

    name: str
    lams: tuple[str, ...]
    lam_bus: tuple[str, ...]
    lam_phases: tuple[tuple[int, ...], ...]
    lam_nodes: tuple[tuple[int, ...], ...]
    spot_kw: Floats
    tan_phi: Floats
    nodes: tuple[str, ...]
    node_base_kv: Floats
    branches: tuple[str, ...]
    rating_a: Floats
    emergency_a: Floats
    branch_base_kv: Floats
    regulators: tuple[str, ...]
    coordinates: Mapping[str, tuple[float, float]]
    segments: tuple[Segment, ...]
    description: Mapping[str, str | int | float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    capacitors: tuple[str, ...] = ()
    generators: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()
    three_phase: ThreePhase = field(default_factory=ThreePhase)
    neutrals: tuple[str, ...] = ()
    across_kv: Floats = field(default_factory=lambda: np.zeros(0))
    digest: str = ""


@dataclass(frozen=True)
class AcState:
    """A converged AC power flow for given LAM net powers.

    Attributes
    ----------
    net_kw, net_kvar
        What each LAM draws ``(M,)`` [kW, kvar].
    v_pu, angle_deg
        Node voltages to ground ``(n,)`` [pu, degrees].
    current_a
        Complex branch currents into the first terminal ``(b,)`` [A].
    source_kw, source_kvar
        Power from the feeder head [kW, kvar].
    losses_kw
        Losses in lines and transformers [kW].
    taps
        Regulator positions ``(len(regulators),)`` [steps].
    iterations
        Iterations of the power flow.
    nodes, branches
        Their names, as in `FeederLayout`.
    neutral_v
        Complex voltages of the z neutral conductors to earth, as in ``FeederLayout.neutrals`` [V].
    """

    net_kw: Floats
    net_kvar: Floats
    v_pu: Floats
    angle_deg: Floats
    current_a: Complexes
    source_kw: float
    source_kvar: float
    losses_kw: float
    taps: tuple[int, ...]
    iterations: int
    nodes: tuple[str, ...]
    branches: tuple[str, ...]
    neutral_v: Complexes = field(default_factory=lambda: np.zeros(0, dtype=np.complex128))

    @property
    def phasors(self) -> Complexes:
        """Complex voltages of the nodes [pu], then of the neutrals [V] ``(n + z,)``."""
        volts = self.v_pu.astype(np.complex128) * np.exp(1j * np.radians(self.angle_deg))
        return np.concatenate([volts, self.neutral_v])


@dataclass(frozen=True)
class PublishedSolution:
    """The feeder just as its description says, loads with their own voltage dependence.

    ``v_pu`` holds every node of the description to ground, dummy buses and neutrals included;
    ``customers_pu`` the voltages that customers see; ``taps`` the regulators' positions [steps].
    """

    v_pu: Mapping[str, float]
    customers_pu: Mapping[str, float]
    source_kw: float
    source_kvar: float
    losses_kw: float
    taps: Mapping[str, int]
