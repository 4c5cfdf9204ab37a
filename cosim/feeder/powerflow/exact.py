"""Derivatives of a solved circuit from its admittances, read once for as long as nothing switches."""

import numpy as np
from scipy import sparse

from cosim.feeder.api import OpenDss
from cosim.feeder.circuit import Floats
from cosim.feeder.powerflow.admittance import Derivatives, Network, PowerFlowEquations
from cosim.feeder.powerflow.engine import solution_vector
from cosim.feeder.powerflow.lam_circuit import LamCircuit
from cosim.feeder.powerflow.primitives import Assembly, read_primitives, source_currents


class ExactDerivatives:
    """Changes of voltages, currents and head power per kW and per kvar of each LAM.

    Parameters
    ----------
    circuit
        The circuit and its LAMs.
    """

    def __init__(self, circuit: LamCircuit) -> None:
        self._circuit = circuit
        per_kw, per_kvar = circuit.attachment.winding_va_per_kw(), circuit.attachment.winding_va_per_kvar()
        self._directions = sparse.hstack([per_kw, per_kvar]).tocsc()
        self._assembly = Assembly(circuit.survey)
        self._equations: PowerFlowEquations | None = None

    def forget(self) -> None:
        """Drop what no longer holds because a tap or a capacitor switched."""
        self._equations = None

    def at(
        self, dss: OpenDss, net_kw: Floats, net_kvar: Floats, directions: Floats | None = None
    ) -> Derivatives:
        """Derivatives at the state that the circuit holds.

        Parameters
        ----------
        dss
            The OpenDSS context, solved for the net powers that follow.
        net_kw, net_kvar
            What each LAM draws ``(M,)`` [kW, kvar].
        directions
            Changes of all kW, then all kvar ``(2 M, d)``; without them each one by itself, 2 M directions.

        Raises
        ------
        numpy.linalg.LinAlgError
            The circuit's equations are singular.
        """
        volts = solution_vector(dss).copy()
        volts[0] = 0.0
        if self._equations is None:
            self._equations = PowerFlowEquations(self._network(dss))
        return self._equations.derivatives(
            volts,
            source_currents(dss, self._circuit.survey),
            self._circuit.attachment.winding_va(net_kw, net_kvar),
            self._directions if directions is None else sparse.csc_array(self._directions @ directions),
        )

    def _network(self, dss: OpenDss) -> Network:
        circuit = self._circuit
        values = np.concatenate([each.ravel() for each in read_primitives(dss, circuit.survey)])
        return Network(
            y=self._assembly.nodal(values),
            fed=circuit.fed,
            winding_ends=circuit.attachment.winding_ends,
            monitored=circuit.voltages.ends,
            branch_rows=self._assembly.branches(values),
            source_nodes=self._assembly.source_nodes,
            source_rows=self._assembly.sources(values),
        )
