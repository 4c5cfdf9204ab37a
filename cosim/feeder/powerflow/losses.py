"""Losses of a solved circuit: element by element, and what they are summed from."""

import numpy as np

from cosim.feeder.api import OpenDss
from cosim.feeder.circuit import Complexes
from cosim.feeder.powerflow.engine import node_voltages
from cosim.feeder.powerflow.topology import Survey

_SHUNTS = ("capacitor", "reactor")
_LOSSY = ("line", "transformer", "reactor", "capacitor")


def losses_by_element(dss: OpenDss) -> dict[str, complex]:
    """What each line, transformer, reactor and capacitor consumes, ``{element: kW + j kvar}``."""
    found = np.array(dss.Circuit.AllElementLosses()).view(np.complex128).tolist()
    return {
        name.lower(): lost
        for name, lost in zip(dss.Circuit.AllElementNames(), found, strict=True)
        if name.lower().startswith(_LOSSY)
    }


class CircuitLosses:
    """Losses of a circuit from currents that were read anyway.

    OpenDSS sums those of all elements that deliver power, without capacitors and reactors that begin and end
    at one bus, and asks each for its currents once more. Autotransformers have a sum of their own there: with
    one of them the circuit's losses are left to OpenDSS.

    Parameters
    ----------
    dss, survey
        The context and its circuit.
    """

    def __init__(self, dss: OpenDss, survey: Survey) -> None:
        self._dss = dss
        losing = [
            element
            for element in survey.elements
            if element.current_at >= 0 and not (element.kind in _SHUNTS and len(set(element.buses)) == 1)
        ]
        self._has_own_sums = any(element.kind == "autotrans" for element in losing)
        self.elements = tuple(element.name for element in losing)
        places = [element.current_at + np.arange(len(element.nodes)) for element in losing]
        nothing = np.zeros(0, dtype=np.intp)
        self._places = np.concatenate([nothing, *places])
        self._nodes = np.concatenate([nothing, *(element.nodes for element in losing)])

    def kw(self, current_a: Complexes) -> float:
        """Losses of the present state [kW], given `cosim.feeder.powerflow.arrays.all_currents` of it [A]."""
        if self._has_own_sums:
            return self._dss.Circuit.Losses()[0] / 1e3
        volts = node_voltages(self._dss)[self._nodes]
        return float(np.sum((volts * np.conj(current_a[self._places])).real)) / 1e3
