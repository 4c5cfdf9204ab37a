"""What an outage leaves without source: elements that hang on nothing are taken out of the circuit."""

from collections.abc import Sequence

import numpy as np

from cosim.feeder.api import OpenDss
from cosim.feeder.circuit import FeederError
from cosim.feeder.powerflow.engine import command
from cosim.feeder.powerflow.survey import survey_circuit
from cosim.feeder.powerflow.topology import BRANCH_KINDS, Element, Fed, Survey, bus_of

_LINKS = (*BRANCH_KINDS, "reactor")


def rewire(dss: OpenDss, changes: Sequence[str]) -> set[str]:
    """Carry out changes of a circuit and take out whatever no source feeds any more.

    Parameters
    ----------
    dss
        A context with a circuit, solved once.
    changes
        OpenDSS commands, such as ``edit line.l115 enabled=no``.

    Returns
    -------
    set of str
        Buses that are left.

    Raises
    ------
    FeederError
        OpenDSS refuses one.
    """
    for text in changes:
        command(dss, text)
    _solve_somehow(dss)
    survey = survey_circuit(dss)
    dead = [element.name for element in unfed(survey)]
    if dead:
        alive = {bus_of(name) for name, fed in zip(survey.node_names, reached(survey), strict=True) if fed}
        for name in [*dead, *_controls_beside(dss, survey, alive)]:
            command(dss, f"edit {name} enabled=no")
        command(dss, "solve")
    return {bus_of(name) for name in dss.Circuit.AllNodeNames()}


def unfed(survey: Survey) -> list[Element]:
    """Elements that stand, with all or some of their conductors, at nodes that no source reaches."""
    fed = reached(survey)
    return [
        element
        for element in survey.elements
        if element.kind != "vsource" and _stands_dead(element, fed[element.nodes[element.nodes > 0]])
    ]


def _stands_dead(element: Element, fed: Fed) -> bool:
    # A line that is fed at one end keeps its stub; anything else needs all its conductors.
    return bool(not fed.any() if element.kind in _LINKS else not fed.all())


def reached(survey: Survey) -> Fed:
    """Nodes that a path of lines, transformers and reactors joins to a source, ``(N,)``.

    A line joins each conductor's ends, a transformer all its nodes.
    """
    neighbours: dict[int, set[int]] = {}
    for element in survey.elements:
        if element.kind not in _LINKS:
            continue
        nodes = [node for node in element.nodes.tolist() if node]
        half = len(element.nodes) // 2
        if element.kind in ("line", "reactor"):
            pairs = list(zip(element.nodes[:half].tolist(), element.nodes[half:].tolist(), strict=True))
        else:
            pairs = [(nodes[0], other) for other in nodes[1:]]
        for one, other in pairs:
            if one and other:
                neighbours.setdefault(one, set()).add(other)
                neighbours.setdefault(other, set()).add(one)
    fed = np.zeros(len(survey.node_names), dtype=bool)
    frontier = {
        node for each in survey.elements if each.kind == "vsource" for node in each.nodes.tolist() if node
    }
    while frontier:
        fed[list(frontier)] = True
        frontier = {other for node in frontier for other in neighbours.get(node, ()) if not fed[other]}
    return fed


def _controls_beside(dss: OpenDss, survey: Survey, alive: set[str]) -> list[str]:
    """Controls and meters at dead buses: they would keep the buses in the circuit."""
    known = {element.name for element in survey.elements}
    found = []
    for name in dss.Circuit.AllElementNames():
        if name.lower() in known:
            continue
        dss.Circuit.SetActiveElement(name)
        if dss.CktElement.Enabled() and any(bus_of(bus) not in alive for bus in dss.CktElement.BusNames()):
            found.append(name.lower())
    return found


def _solve_somehow(dss: OpenDss) -> None:
    # Node numbers exist only after a solution; an island may well have none, which is found out next.
    try:
        command(dss, "solve")
    except FeederError:
        return
