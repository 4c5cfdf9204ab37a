"""The current into a fault, before protection opens the line on which it is."""

from collections.abc import Sequence

import numpy as np

from cosim.feeder.api import OpenDss
from cosim.feeder.powerflow.engine import command
from cosim.feeder.powerflow.opening import change_circuit

_FAULT = "sharegrid_fault"
_FAULT_OHM = 1e-3


def fault_current_a(dss: OpenDss, line: str, changes: Sequence[str] = ()) -> float:
    """Largest phase current into a fault of all phases to ground at the far end of a line [A].

    Parameters
    ----------
    dss
        A context with a circuit as described, which the fault stays in.
    line
        Name of the line.
    changes
        OpenDSS commands that change the circuit before; as they are for events.

    Raises
    ------
    FeederError
        OpenDSS refuses one.
    """
    change_circuit(dss, changes)
    dss.Circuit.SetActiveElement(f"line.{line}")
    bus, phases = dss.CktElement.BusNames()[1], dss.CktElement.NumPhases()
    command(dss, f"new fault.{_FAULT} bus1={bus} phases={phases} r={_FAULT_OHM}")
    command(dss, "set controlmode=off")
    command(dss, "solve")
    dss.Circuit.SetActiveElement(f"fault.{_FAULT}")
    current_a = np.abs(np.array(dss.CktElement.Currents()).view(np.complex128))
    return float(current_a.max())
