"""The elements of a circuit: what a source feeds, which nodes count as voltages, the map."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cosim.feeder.circuit import Complexes, FeederError, Floats, Segment
from cosim.feeder.powerflow.admittance import Ints

Fed = NDArray[np.bool_]

BRANCH_KINDS = ("line", "transformer", "autotrans")
_SERIES_KINDS = (*BRANCH_KINDS, "reactor")


@dataclass(frozen=True)
class Element:
    """One enabled circuit element that has an admittance.

    ``nodes`` are positions in the solution vector, terminal by terminal, 0 being ground; ``phases`` the phase
    numbers of its first terminal; ``current_at`` where its currents start among those of all branches, -1 if
    it is none.
    """

    name: str
    kind: str
    buses: tuple[str, ...]
    nodes: Ints
    phases: tuple[int, ...]
    rating_a: float
    is_switch: bool
    current_at: int
    emergency_a: float = np.inf


@dataclass(frozen=True)
class Branch:
    """One phase conductor of a line or transformer, at its first terminal."""

    element: Element
    conductor: int

    @property
    def name(self) -> str:
        """Element and phase, such as ``line.l115.1``."""
        return f"{self.element.name}.{self.element.phases[self.conductor]}"

    @property
    def current_at(self) -> int:
        """Place of its current among those of all branches."""
        return self.element.current_at + self.conductor


@dataclass(frozen=True)
class Survey:
    """A circuit's elements, nodes with base voltages to ground [kV], and branches. Node 0 is ground."""

    elements: tuple[Element, ...]
    node_names: tuple[str, ...]
    base_kv: Floats
    branches: tuple[Branch, ...]


def bus_of(node: str) -> str:
    """Bus of a node or of a terminal's connection, ``47`` for ``47.1``, in lower case."""
    return node.partition(".")[0].lower()


def fed_nodes(survey: Survey, primitives: Sequence[Complexes]) -> Fed:
    """Nodes that a path of lines, transformers and reactors joins to a source.

    Parameters
    ----------
    survey, primitives
        A circuit, and the admittances of its elements.

    Raises
    ------
    FeederError
        A load, capacitor or generator stands at a node that no such path reaches, as happens where a bus name
        is mistyped: OpenDSS then silently makes a bus of that name.
    """
    size = len(survey.node_names)
    source = size
    pairs = [np.zeros((2, 0), dtype=np.intp)]
    for element, primitive in zip(survey.elements, primitives, strict=True):
        if element.kind == "vsource":
            pairs.append(np.array([np.full(len(element.nodes), source), element.nodes]))
        elif element.kind in _SERIES_KINDS:
            # An open terminal leaves nothing of its couplings.
            pairs.append(element.nodes[np.array(np.nonzero(primitive))])
    joined = np.concatenate(pairs, axis=1)
    joined = joined[:, (joined > 0).all(axis=0)]
    graph = sparse.coo_array((np.ones(joined.shape[1]), joined), shape=(size + 1, size + 1))
    _, group = sparse.csgraph.connected_components(graph, directed=False)
    fed = np.asarray(group[:size] == group[source])
    for element in survey.elements:
        dead = [survey.node_names[node] for node in element.nodes if node > 0 and not fed[node]]
        if dead and element.kind not in _SERIES_KINDS:
            raise FeederError(
                f"{element.name} stands at '{dead[0]}', which no line or transformer feeds; "
                "check the bus names there and upstream"
            )
    return fed


def monitored_nodes(survey: Survey, fed: Fed) -> Ints:
    """Nodes whose voltages count: fed phase conductors, but not the dummy buses behind open switches.

    A dummy bus is one at which a single switch ends and nothing else is connected.
    """
    dummies = _dummy_buses(survey)
    return np.array(
        [
            node
            for node, name in enumerate(survey.node_names)
            if fed[node] and name.partition(".")[2] in ("1", "2", "3") and bus_of(name) not in dummies
        ],
        dtype=np.intp,
    )


def segments(survey: Survey) -> tuple[Segment, ...]:
    """Lines, switches and transformers between two buses, for the map."""
    return tuple(
        Segment(element.name, element.buses[0], element.buses[1])
        for element in survey.elements
        if element.kind in BRANCH_KINDS and element.buses[0] != element.buses[1]
    )


def _dummy_buses(survey: Survey) -> set[str]:
    touching: dict[str, list[Element]] = {}
    for element in survey.elements:
        for bus in set(element.buses):
            touching.setdefault(bus, []).append(element)
    return {bus for bus, elements in touching.items() if len(elements) == 1 and elements[0].is_switch}
