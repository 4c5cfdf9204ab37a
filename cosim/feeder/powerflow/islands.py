"""What an outage leaves without source: elements that hang on nothing are taken out of the circuit."""

from collections.abc import Collection, Mapping, Sequence

from cosim.feeder.api import OpenDss
from cosim.feeder.circuit import FeederError
from cosim.feeder.powerflow.by_phase import partly_fed
from cosim.feeder.powerflow.engine import command, is_enabled
from cosim.feeder.powerflow.made_names import as_described
from cosim.feeder.powerflow.notes import listed
from cosim.feeder.powerflow.opening import change_circuit
from cosim.feeder.powerflow.primitives import read_primitives
from cosim.feeder.powerflow.survey import spot_loads, survey_circuit
from cosim.feeder.powerflow.topology import CutOff, Fed, Survey, bus_of, fed_nodes, unfed

_LINKS = ("line.", "transformer.", "autotrans.", "reactor.")


def rewire(
    dss: OpenDss, changes: Sequence[str], known: Collection[str] = ()
) -> tuple[set[str], tuple[str, ...]]:
    """Carry out changes of a circuit and take out whatever no source feeds any more.

    Parameters
    ----------
    dss
        A context with a circuit, solved once.
    changes
        OpenDSS commands, such as ``edit line.l115 enabled=no``.
    known
        Names of loads before them, as of `partly_fed`.

    Returns
    -------
    tuple
        Buses that are left, and all commands: the changes and what took out the rest.

    Raises
    ------
    FeederError
        OpenDSS refuses one.
    """
    change_circuit(dss, changes)
    _solve_somehow(dss)
    survey = survey_circuit(dss)
    fed = fed_nodes(survey, read_primitives(dss, survey.elements))
    loads = spot_loads(dss) if dss.Loads.Count() else ()
    kept = {f"load.{load.name}" for load in partly_fed(loads, fed, known)}
    taken_out = disable_unfed(dss, survey, fed, kept)
    return {bus_of(name) for name in dss.Circuit.AllNodeNames()}, (*changes, *taken_out)


def disable_unfed(dss: OpenDss, survey: Survey, fed: Fed, kept: Collection[str] = ()) -> tuple[str, ...]:
    """Take out what no source feeds, but for some elements, with the controls and meters there.

    The circuit is solved again where there is any.

    Returns the commands that did it.
    """
    dead = [element.name for element in unfed(survey, fed) if element.name not in kept]
    if not dead:
        return ()
    alive = {bus_of(name) for name, is_fed in zip(survey.node_names, fed, strict=True) if is_fed}
    commands = tuple(f"edit {name} enabled=no" for name in [*dead, *_controls_beside(dss, survey, alive)])
    for text in commands:
        command(dss, text)
    command(dss, "solve")
    return commands


def out_of_service(dss: OpenDss) -> dict[str, set[str]]:
    """Lines, transformers and reactors that are disabled, and their buses."""
    found = {}
    for name in dss.Circuit.AllElementNames():
        if name.lower().startswith(_LINKS) and not is_enabled(dss, name):
            found[name.lower()] = {bus_of(bus.lower()) for bus in dss.CktElement.BusNames()}
    return found


def closing(dss: OpenDss, line: str) -> tuple[str, ...]:
    """Commands that close whatever a line has open; none where it is closed, or no line."""
    if f"line.{line}" not in (name.lower() for name in dss.Circuit.AllElementNames()):
        return ()
    dss.Circuit.SetActiveElement(f"line.{line}")
    element = dss.CktElement
    phases = range(1, element.NumPhases() + 1)
    is_open = [any(element.IsOpen(terminal, phase) for phase in phases) for terminal in (1, 2)]
    return tuple(f"close line.{line} {terminal}" for terminal in (1, 2) if is_open[terminal - 1])


def cut_off_notes(cut_off: Mapping[str, CutOff]) -> tuple[str, ...]:
    """A sentence for each open element on what stands behind it."""
    behind: dict[str, list[str]] = {}
    for name, each in cut_off.items():
        behind.setdefault(each.barrier, []).append(as_described(name))
    return tuple(
        f"{listed('element', names, whole=True)} cut off by {barrier}, which is open: left out"
        for barrier, names in behind.items()
    )


def _controls_beside(dss: OpenDss, survey: Survey, alive: set[str]) -> list[str]:
    """Controls and meters at dead buses: they would keep the buses in the circuit."""
    known = {element.name for element in survey.elements}
    found = []
    for name in dss.Circuit.AllElementNames():
        if name.lower() in known or name.lower().startswith("upfccontrol."):
            continue
        if is_enabled(dss, name) and any(bus_of(bus) not in alive for bus in dss.CktElement.BusNames()):
            found.append(name.lower())
    return found


def _solve_somehow(dss: OpenDss) -> None:
    # Node numbers exist only after a solution; an island may well have none, which is found out next.
    try:
        command(dss, "solve")
    except FeederError:
        return
