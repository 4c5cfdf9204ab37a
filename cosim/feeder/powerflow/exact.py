"""Derivatives of a solved circuit from its admittance matrix, reduced once for as long as the taps stay."""

from typing import Any

import numpy as np

from cosim.feeder.circuit import Floats
from cosim.feeder.powerflow.admittance import (
    Derivatives,
    Ints,
    Network,
    Reduced,
    derivatives,
    load_current_changes,
    reduce_network,
)
from cosim.feeder.powerflow.engine import solution_vector
from cosim.feeder.powerflow.survey import admittance, branch_rows, source_currents, source_terminals
from cosim.feeder.powerflow.wiring import Wiring


class ExactDerivatives:
    """Changes of voltages, currents and head power per kW and per kvar of each LAM.

    Parameters
    ----------
    wiring
        The circuit and its LAMs.
    """

    def __init__(self, wiring: Wiring) -> None:
        self._survey = wiring.survey
        self._fed = wiring.fed
        self._monitored = wiring.monitored
        self._attachment = wiring.attachment
        self._reduced: tuple[Reduced, Ints] | None = None

    def forget(self) -> None:
        """Drop what no longer holds because a tap or a capacitor switched."""
        self._reduced = None

    def at(self, dss: Any, net_kw: Floats, net_kvar: Floats) -> tuple[Derivatives, Derivatives]:
        """Derivatives at the state that the circuit holds.

        Parameters
        ----------
        dss
            The OpenDSS context, solved for the net powers that follow.
        net_kw, net_kvar
            What each LAM draws ``(M,)`` [kW, kvar].

        Returns
        -------
        tuple
            Per kW and per kvar of each LAM.

        Raises
        ------
        numpy.linalg.LinAlgError
            The circuit's admittance without its loads is singular.
        """
        volts = solution_vector(dss).copy()
        volts[0] = 0.0
        if self._reduced is None:
            self._reduced = self._reduce(dss)
        reduced, source_nodes = self._reduced
        ends = self._attachment.winding_ends
        per_kw = self._attachment.winding_va_per_kw()
        changes = load_current_changes(
            reduced,
            volts[ends[:, 0]] - volts[ends[:, 1]],
            self._attachment.winding_va(net_kw, net_kvar),
            np.hstack([per_kw, 1j * per_kw]),
        )
        source_a = source_currents(dss, self._survey)
        both = derivatives(reduced, changes, volts[self._monitored], volts[source_nodes], source_a)
        return both.split(len(net_kw))

    def _reduce(self, dss: Any) -> tuple[Reduced, Ints]:
        source_nodes, source_rows = source_terminals(dss, self._survey)
        network = Network(
            y=admittance(dss, self._survey),
            fed=self._fed,
            winding_ends=self._attachment.winding_ends,
            monitored=self._monitored,
            branch_rows=branch_rows(dss, self._survey),
            source_nodes=source_nodes,
            source_rows=source_rows,
        )
        return reduce_network(network), source_nodes
