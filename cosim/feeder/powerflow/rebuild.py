"""A recorded state of a feeder, solved again by OpenDSS alone in a context of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cosim.feeder.api import OpenDss
from cosim.feeder.circuit import Complexes, FeederError, Floats, PowerFlowError
from cosim.feeder.powerflow.engine import command, restless_node, translated
from cosim.feeder.powerflow.generation import KINDS
from cosim.feeder.powerflow.opening import change_circuit, open_circuit
from cosim.feeder.powerflow.survey import survey_circuit

# Constant power at any voltage, whatever the load is rated for.
_LOAD = "phases=1 conn=wye model=1 status=fixed vminpu=0.01 vlowpu=0.005 vmaxpu=20"
_TOLERANCES = (1e-11, 1e-9, 1e-7)


@dataclass(frozen=True)
class RecordedState:
    """What a run recorded of the state in which an interval ended.

    Attributes
    ----------
    changes
        OpenDSS commands that changed the circuit since its file.
    positions
        Taps of regulators and steps of capacitors, ``{"regulator.reg1": "7", "capacitor.c1": "1 0"}``.
    at, kw, kvar
        Connections such as ``47.1`` or ``76.1-2``, and what each draws [kW, kvar].
    """

    changes: Sequence[str]
    positions: Mapping[str, str]
    at: Sequence[str]
    kw: Floats
    kvar: Floats


class SolvedAgain(NamedTuple):
    """Node voltages ``{"47.1": volts}`` [V], and currents of conductors ``{"line.l115.1": amperes}`` [A]."""

    volts: Mapping[str, complex]
    current_a: Mapping[str, float]


@translated(FeederError, "feeder")
def solve_again(master: str | Path | None, state: RecordedState) -> SolvedAgain:
    """A recorded state, solved by OpenDSS alone.

    Nothing of how a run solves takes part but the reading of the feeder's file: loads are made anew from the
    record, and OpenDSS iterates by itself.

    Parameters
    ----------
    master
        OpenDSS master file; none for the IEEE 123-node feeder.
    state
        The record.

    Raises
    ------
    FeederError
        The file or a change is refused.
    PowerFlowError
        There is no solution.
    """
    dss = open_circuit(master).dss
    change_circuit(dss, state.changes)
    command(dss, "set mode=snapshot controlmode=off loadmult=1 year=0")
    for name in dss.Circuit.AllElementNames():
        if name.partition(".")[0].lower() in ("load", *KINDS):
            command(dss, f"{name}.enabled=no")
    _put(dss, state.positions)
    for number, (at, kw, kvar) in enumerate(
        zip(state.at, state.kw.tolist(), state.kvar.tolist(), strict=True)
    ):
        bus, _, nodes = at.partition(".")
        dss.Circuit.SetActiveBus(bus)
        kv, ends = dss.Bus.kVBase(), nodes.replace("-", ".")
        command(dss, f"new load.again{number} bus1={bus}.{ends} kv={kv} kw={kw!r} kvar={kvar!r} {_LOAD}")
    if not any(_converges(dss, tolerance) for tolerance in _TOLERANCES):
        raise PowerFlowError(f"OpenDSS finds no solution of the recorded state: {restless_node(dss)}")
    volts = np.array(dss.Circuit.AllBusVolts()).view(np.complex128)
    names = (name.lower() for name in dss.Circuit.AllNodeNames())
    amperes = np.abs(np.array(dss.PDElements.AllCurrents()).view(np.complex128))
    return SolvedAgain(
        volts=dict(zip(names, volts.tolist(), strict=True)),
        current_a={branch.name: float(amperes[branch.current_at]) for branch in survey_circuit(dss).branches},
    )


def across(volts: Mapping[str, complex], names: Sequence[str]) -> Complexes:
    """Voltages between the ends that names such as ``47.1`` and ``76.1-2`` mean ``(n,)``, 0 where none is."""
    found = []
    for name in names:
        # A bus may have a dash in its own name.
        bus, _, ends = name.partition(".")
        one, _, other = ends.partition("-")
        to = volts.get(f"{bus}.{other}", 0.0) if other else 0.0
        found.append(volts.get(f"{bus}.{one}", 0.0) - to)
    return np.array(found, dtype=np.complex128)


def _put(dss: OpenDss, positions: Mapping[str, str]) -> None:
    for device, position in positions.items():
        kind, _, name = device.partition(".")
        if kind == "regulator":
            dss.RegControls.Name(name)
            dss.RegControls.TapNumber(int(position))
        elif kind == "capacitor":
            dss.Capacitors.Name(name)
            dss.Capacitors.States([int(step) for step in position.split()])


def _converges(dss: OpenDss, tolerance: float) -> bool:
    command(dss, f"set tolerance={tolerance} maxiterations=1000")
    dss.Solution.Solve()
    return dss.Solution.Converged()
