"""One fixed-point iteration of a power flow: what loads draw at the present voltages, then new voltages.

OpenDSS asks each load for its current, and each line for those of its conductors. Where hundreds of loads
draw constant power and nothing else does, all currents are found at once in a fraction of the time; the
admittances and their factors stay OpenDSS's.
"""

from typing import Protocol

import numpy as np
from scipy import sparse

from cosim.feeder.api import OpenDss
from cosim.feeder.circuit import Complexes
from cosim.feeder.powerflow.arrays import all_currents
from cosim.feeder.powerflow.engine import begin_iteration, injection_vector, solution_vector
from cosim.feeder.powerflow.factors import Ints
from cosim.feeder.powerflow.lam_circuit import LamCircuit
from cosim.feeder.powerflow.primitives import Assembly, Primitives, source_currents

FEW = 250
"""Loads up to which OpenDSS is asked: of fewer, it has found the currents as soon."""

# What may stand in a circuit beside its loads: of other elements only OpenDSS knows what they draw.
_LINEAR = {"line", "transformer", "capacitor", "reactor", "vsource"}
# Part by which both ways may differ: of the largest injected current, and of what a conductor's is summed of.
_AGREES = 1e-9


class Iteration(Protocol):
    """Iterations of one power flow."""

    @property
    def nodes(self) -> Ints | slice:
        """Nodes on whose voltages iterations depend."""

    def begin(self) -> None:
        """Iterate for the first time; from then on the solution vector is at the same place."""

    def step(self, volts: Complexes, across: Complexes) -> None:
        """Iterate on from voltages of nodes ``(N,)`` and across windings ``(L,)`` [V]."""

    def source_kva(self) -> complex:
        """Power from the sources at the voltages that it came to [kW + j kvar]."""

    def currents(self) -> Complexes:
        """Currents there, as `cosim.feeder.powerflow.arrays.all_currents` has them [A].

        Of elements in service; what is out of service at the end may be left out.
        """


class ByOpenDss:
    """`Iteration` with what each element injects by OpenDSS, which was told the loads' powers."""

    def __init__(self, dss: OpenDss) -> None:
        self._dss = dss

    @property
    def nodes(self) -> slice:
        """See `Iteration`."""
        return slice(None)

    def begin(self) -> None:
        """See `Iteration`."""
        begin_iteration(self._dss)

    def step(self, volts: Complexes, across: Complexes) -> None:  # noqa: ARG002 - OpenDSS has its own
        """See `Iteration`."""
        inject_all(self._dss)
        self._dss.YMatrix.SolveSystem()

    def source_kva(self) -> complex:
        """See `Iteration`."""
        kw, kvar = self._dss.Circuit.TotalPower()
        return -complex(kw, kvar)

    def currents(self) -> Complexes:
        """See `Iteration`."""
        return all_currents(self._dss)


class CircuitArrays:
    """What a circuit of linear elements and loads of constant power does at given voltages.

    Parameters
    ----------
    dss, circuit
        The context and what hangs on it.
    assembly, primitives
        The circuit's admittances.
    """

    def __init__(self, dss: OpenDss, circuit: LamCircuit, assembly: Assembly, primitives: Primitives) -> None:
        self._dss, self._survey = dss, circuit.survey
        self._assembly, self._primitives = assembly, primitives
        self._ends = circuit.attachment.winding_ends.T
        size, count = len(circuit.survey.node_names), self._ends.shape[1]
        places = (self._ends.ravel(), np.tile(np.arange(count), 2))
        signs = np.repeat([1.0 + 0j, -1.0 + 0j], count)
        self._incidence = sparse.coo_array((signs, places), shape=(size, count)).tocsr()
        values = primitives.present()
        # The loads' admittances are part of OpenDSS's matrix.
        self._loads = assembly.loads(values)
        self._conductors = assembly.conductors(values)
        self._is_old = False
        self._of_sources: Complexes | None = None
        self.load_nodes = np.setdiff1d(self._ends, 0)

    def moved(self) -> None:
        """Take notice that controls may have moved."""
        self._is_old, self._of_sources = True, None

    def across(self, volts: Complexes) -> Complexes:
        """Voltages across the windings ``(L,)`` [V]."""
        one, other = self._ends
        return np.asarray(volts[one] - volts[other], dtype=np.complex128)

    def injected(self, volts: Complexes, across: Complexes, winding_va: Complexes) -> Complexes:
        """What loads inject beside their admittances where windings draw given powers ``(N,)`` [A]."""
        # Where voltages run away, the iteration says so.
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            drawn = self._incidence @ np.conj(winding_va / across)
        return np.asarray(self._loads @ volts - drawn, dtype=np.complex128)

    def injected_by_sources(self) -> Complexes:
        """What sources inject ``(N,)`` [A], whatever loads draw; leaves the injection vector changed."""
        if self._of_sources is None:
            inject_sources(self._dss)
            self._of_sources = injection_vector(self._dss).copy()
        return self._of_sources

    def conductors(self) -> sparse.csr_array:
        """Rows that turn node voltages into all currents of all elements that deliver power ``(c, N)``."""
        if self._is_old:
            self._conductors.data[:] = self._assembly.conductor_values(self._primitives.present())
            self._is_old = False
        return self._conductors

    def source_kva(self, volts: Complexes) -> complex:
        """Power from the sources [kW + j kvar]."""
        into_va = volts[self._assembly.source_nodes] * np.conj(source_currents(self._dss, self._survey))
        return -complex(into_va[self._assembly.is_first_end].sum()) / 1e3

    def agrees(self, winding_va: Complexes) -> bool:
        """Whether OpenDSS finds the same currents at its present voltages, its loads at given powers."""
        volts = solution_vector(self._dss)
        inject_all(self._dss)
        asked, injected = injection_vector(self._dss).copy(), injection_vector(self._dss)
        inject_sources(self._dss)
        found = injected + self.injected(volts, self.across(volts), winding_va)
        rows = self.conductors().copy()
        # What is out of service has a place there as well, at the end without rows.
        current_a = all_currents(self._dss)[: rows.shape[0]]
        apart, most = np.abs(rows @ volts - current_a), np.abs(rows) @ np.abs(volts)
        # Ground takes what it is given.
        injects_alike = np.abs(found - asked)[1:].max() <= _AGREES * np.abs(asked[1:]).max()
        return bool(injects_alike and (apart <= _AGREES * most).all())


class ByArrays:
    """`Iteration` with loads of constant power, whose currents are found at once.

    Parameters
    ----------
    dss, circuit
        The context and its circuit.
    winding_va
        Power into each winding ``(L,)`` [VA].
    """

    def __init__(self, dss: OpenDss, circuit: CircuitArrays, winding_va: Complexes) -> None:
        self._dss, self._circuit, self._va = dss, circuit, winding_va
        self._injected = injection_vector(dss)
        self._of_sources = circuit.injected_by_sources()

    @property
    def nodes(self) -> Ints:
        """See `Iteration`."""
        return self._circuit.load_nodes

    def begin(self) -> None:
        """See `Iteration`."""
        volts = solution_vector(self._dss)
        self.step(volts, self._circuit.across(volts))

    def step(self, volts: Complexes, across: Complexes) -> None:
        """See `Iteration`."""
        self._injected[:] = self._of_sources + self._circuit.injected(volts, across, self._va)
        self._dss.YMatrix.SolveSystem()

    def source_kva(self) -> complex:
        """See `Iteration`."""
        # OpenDSS keeps the power of each element until it has iterated by itself.
        return self._circuit.source_kva(solution_vector(self._dss))

    def currents(self) -> Complexes:
        """See `Iteration`."""
        return np.asarray(self._circuit.conductors() @ solution_vector(self._dss), dtype=np.complex128)


def circuit_arrays(
    dss: OpenDss, circuit: LamCircuit, assembly: Assembly, primitives: Primitives, winding_va: Complexes
) -> CircuitArrays | None:
    """`CircuitArrays`, if there are many loads and nothing else that draws power, and OpenDSS agrees.

    Parameters
    ----------
    dss, circuit, assembly, primitives
        As there; OpenDSS's matrices are new, its loads at given powers, voltages near those.
    winding_va
        These powers ``(L,)`` [VA].
    """
    others = {element.kind for element in circuit.survey.elements} - {"load"}
    if len(circuit.loads) <= FEW or circuit.laws.names or not others <= _LINEAR:
        return None
    found = CircuitArrays(dss, circuit, assembly, primitives)
    return found if found.agrees(winding_va) else None


def inject_all(dss: OpenDss) -> None:
    """Let every element put what it injects into the injection vector."""
    inject_sources(dss)
    dss.YMatrix.GetPCInjCurr()


def inject_sources(dss: OpenDss) -> None:
    """Let sources alone do so."""
    dss.YMatrix.ZeroInjCurr()
    dss.YMatrix.GetSourceInjCurrents()
