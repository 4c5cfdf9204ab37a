"""Opens a feeder's description in an OpenDSS context of its own."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cosim.feeder import ieee123
from cosim.feeder.api import OpenDss
from cosim.feeder.circuit import FeederError, Floats
from cosim.feeder.library import new_context
from cosim.feeder.powerflow.attachment import SpotLoad
from cosim.feeder.powerflow.derived_bases import derive_bases
from cosim.feeder.powerflow.engine import command, is_enabled, solution_vector, solve_as_set
from cosim.feeder.powerflow.frequency import check_frequency
from cosim.feeder.powerflow.load_laws import ZIP_MODEL
from cosim.feeder.powerflow.master_file import run_master_file
from cosim.feeder.powerflow.notes import listed
from cosim.feeder.powerflow.numbers import check_numbers

# A LAM draws constant power at any voltage that a feeder can have.
_ANY_VOLTAGE = "status=fixed vminpu=0.3 vlowpu=0.2 vmaxpu=2.5"
_LOAD_MODEL = f"model=1 {_ANY_VOLTAGE}"
# OpenDSS compares all voltages to ground, and not all of them need be defined to better than the last.
_TOLERANCES = (1e-10, 1e-6, 1e-4)
_SOLUTION = "set mode=snapshot controlmode=off maxcontroliter=100 loadmult=1 year=0"
# What may be taken out where nothing defines its voltage.
_LINKS = ("line", "transformer", "autotrans", "reactor")
_SWITCH_CONTROLS = ("swtcontrol", "relay", "recloser", "fuse")
# OpenDSS gives up after 15 iterations unless its description says otherwise.
_ITERATIONS = 1000
_MULTIPHASE = 0


@dataclass(frozen=True)
class OpenCircuit:
    """A context that holds a feeder as described, and sentences on what was left out or took long.

    ``digest`` is a hash of all ``files`` that describe it, the master file first; both are empty for the
    shipped feeder.
    """

    dss: OpenDss
    notes: tuple[str, ...] = ()
    is_shipped: bool = False
    digest: str = ""
    files: tuple[Path, ...] = ()


def open_circuit(master: str | Path | None) -> OpenCircuit:
    """A feeder in an OpenDSS context of its own, solved once as its description leaves it.

    Parameters
    ----------
    master
        OpenDSS master file; none for the IEEE 123-node feeder.

    Raises
    ------
    FeederError
        The file is missing, refused by OpenDSS, or defines no circuit, or one whose sources feed nothing.
    """
    dss = new_context()
    notes: list[str] = []
    digest, files = "", tuple[Path, ...]()
    dss.Basic.AllowChangeDir(False)
    dss.Basic.AllowForms(False)
    dss.Basic.AllowEditor(False)
    if master is None or not str(master):
        for text in ieee123.commands():
            command(dss, text)
        command(dss, "set controlmode=off")
    else:
        path = Path(master).absolute()
        if path.is_dir():
            raise FeederError(f"feeder file '{master}' is a directory; give the OpenDSS master file in it")
        if not path.is_file():
            raise FeederError(f"feeder file '{master}' not found; give the path of an OpenDSS master file")
        read = run_master_file(dss, path, str(master))
        digest, files = read.digest, read.files
        if read.left_out:
            notes.append(
                f"the file's commands that write or show something ({', '.join(read.left_out)}): left out"
            )
        if dss.Basic.NumCircuits() == 0:
            raise FeederError(f"feeder file '{master}' defines no circuit; give an OpenDSS master file")
        if dss.Settings.CktModel() != _MULTIPHASE:
            raise FeederError(
                f"feeder file '{master}' holds a positive-sequence equivalent (cktmodel=positive), in which "
                "each kW of a load counts thrice at the source; describe the three phases"
            )
    # Node numbers exist only after a solution, and a file that does not solve itself has its regulators at
    # neutral. Whether it converged is looked at once the loads are ours.
    command(dss, "set mode=snapshot")
    if not solve_as_set(dss):
        notes.append("its controls do not come to rest in its own solution: they begin where they stand then")
        command(dss, "set controlmode=off")
    check_numbers(dss)
    notes += [*_leave_out_undefined(dss), *derive_bases(dss), *_given_time(dss), *check_frequency(dss)]
    _keep_disabled_ties(dss)
    return OpenCircuit(dss, tuple(notes), is_shipped=not master, digest=digest, files=files)


def _leave_out_undefined(dss: OpenDss) -> list[str]:
    """Take out lines and windings whose voltage nothing defines; a sentence where there are any.

    Without source and without shunt their equations are singular: OpenDSS finds neither their voltage nor the
    losses of the circuit. Where something draws or feeds there, it is left, and refused by name later.
    """
    is_lost = ~np.isfinite(solution_vector(dss))
    if not is_lost[1:].any() or is_lost[1:].all():
        return []
    dead = []
    for name in dss.Circuit.AllElementNames():
        if not is_enabled(dss, name):
            continue
        nodes = np.array(dss.CktElement.NodeRef(), dtype=np.intp)
        if is_lost[nodes[nodes > 0]].any():
            dead.append(name.lower())
    if any(name.partition(".")[0] not in _LINKS for name in dead):
        return []
    for name in dead:
        command(dss, f"edit {name} enabled=no")
    command(dss, "solve")
    return [f"{listed('element', dead, whole=True)} without any way to a source or to ground: left out"]


def _given_time(dss: OpenDss) -> list[str]:
    """Let a circuit that its description stops too soon converge; a sentence where that is so."""
    if dss.Solution.Converged():
        return []
    limit = dss.Solution.MaxIterations()
    dss.Solution.MaxIterations(max(_ITERATIONS, limit))
    command(dss, "solve")
    if not dss.Solution.Converged():
        return []
    return [
        f"its own power flow does not converge within its limit of {limit} iterations: the limit was raised"
    ]


def _keep_disabled_ties(dss: OpenDss) -> None:
    """Turn lines that are disabled between two buses of the circuit into open ones, which can be closed."""
    nodes = {name.lower() for name in dss.Circuit.AllNodeNames()}
    ties = []
    for name in dss.Circuit.AllElementNames():
        dss.Circuit.SetActiveElement(name)
        if name.lower().startswith("line.") and not dss.CktElement.Enabled():
            ends = [bus.lower().split(".") for bus in dss.CktElement.BusNames()]
            numbers = [end[1:] or [str(i + 1) for i in range(dss.CktElement.NumPhases())] for end in ends]
            if all(f"{end[0]}.{at}" in nodes for end, own in zip(ends, numbers, strict=True) for at in own):
                ties.append(name)
    for name in ties:
        for text in (f"edit {name} enabled=yes", f"open {name} 1", f"open {name} 2"):
            command(dss, text)
    if ties:
        command(dss, "solve")


def still_switch_controls(dss: OpenDss) -> None:
    """Take controls of switches out of the circuit: what they open and close is left as it is."""
    for name in dss.Circuit.AllElementNames():
        # To edit one anew would open once more what it had opened.
        if name.lower().startswith(tuple(f"{kind}." for kind in _SWITCH_CONTROLS)) and is_enabled(dss, name):
            command(dss, f"edit {name} enabled=no")


def change_circuit(dss: OpenDss, changes: Sequence[str]) -> None:
    """Carry out changes of a circuit, OpenDSS commands such as ``edit line.l115 enabled=no``.

    Raises
    ------
    FeederError
        OpenDSS refuses one.
    """
    still_switch_controls(dss)
    for text in changes:
        command(dss, text)


def take_multiplier(dss: OpenDss, loads: Sequence[SpotLoad]) -> None:
    """Set load multiplier and year to none, which the powers of ``loads`` hold, and hold the controls."""
    for load in loads:
        command(dss, f"edit load.{load.name} kw={load.kw} kvar={load.kvar}")
    command(dss, _SOLUTION)


def hold_constant_power(dss: OpenDss, loads: Sequence[SpotLoad], base_kv: Floats) -> None:
    """Make every load draw constant power, at any voltage near the base of its nodes ``(N,)`` [kV]."""
    for load in loads:
        # Rated as its bus: of a rated voltage that does not fit the bus, OpenDSS makes an impedance.
        dss.Loads.Name(load.name)
        kv = rated_kv(load, base_kv, dss.Loads.kV())
        command(dss, f"edit load.{load.name} {_LOAD_MODEL} kv={kv} kw={load.kw} kvar={load.kvar}")


def hold_laws(dss: OpenDss, loads: Sequence[SpotLoad]) -> None:
    """Let loads vary with voltage as their models say, at any voltage: without bands and cut-offs."""
    for load in loads:
        command(dss, f"edit load.{load.name} {_ANY_VOLTAGE} kw={load.kw} kvar={load.kvar}")
        dss.Loads.Name(load.name)
        if int(dss.Loads.Model()) == ZIP_MODEL:
            terms = ", ".join(repr(float(each)) for each in dss.Loads.ZipV()[:6])
            command(dss, f"edit load.{load.name} zipv=({terms}, 0)")


def rated_kv(load: SpotLoad, base_kv: Floats, own_kv: float) -> float:
    """Rated voltage that suits a load's bus, as OpenDSS wants it, given base voltages of nodes [kV].

    A load of one phase that returns to another node stands between two phases or to a neutral: what is nearer
    to its own rated voltage [kV].
    """
    to_ground = float(base_kv[load.nodes[0]])
    between_phases = math.sqrt(3.0) * to_ground
    if len(load.phases) > 1 or load.is_delta:
        return between_phases
    if load.nodes[-1] > 0 and abs(own_kv - between_phases) < abs(own_kv - to_ground):
        return between_phases
    return to_ground


def choose_tolerance(dss: OpenDss) -> bool:
    """Let OpenDSS's own solutions, by which controls act, be as exact as the circuit admits.

    Returns whether there is one at all.
    """
    for tolerance in _TOLERANCES:
        command(dss, f"set tolerance={tolerance} maxiterations=200")
        dss.Solution.Solve()
        if dss.Solution.Converged():
            return True
    return False
