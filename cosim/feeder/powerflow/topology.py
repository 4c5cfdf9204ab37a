"""The elements of a circuit: what a source feeds, which nodes count as voltages, the map."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cosim.feeder.circuit import Complexes, FeederError, Floats, Segment
from cosim.feeder.powerflow.factors import Ints
from cosim.feeder.powerflow.made_names import as_described

Fed = NDArray[np.bool_]

BRANCH_KINDS = ("line", "transformer", "autotrans")
_CONDUCTOR_KINDS = ("line", "reactor", "capacitor")
# Part of a winding's admittance below which what it has to ground is OpenDSS's help against singularity.
_LEAK = 1e-3
_LINK_KINDS = (*BRANCH_KINDS, "reactor")


@dataclass(frozen=True)
class Element:
    """One enabled circuit element that has an admittance.

    ``nodes`` are indices in the solution vector, terminal by terminal, 0 being ground; ``phases`` the phase
    numbers of its first terminal, ``numbers`` those of all conductors; ``current_at`` where its
    currents start among those of all branches, -1 if it is none.
    """

    name: str
    kind: str
    buses: tuple[str, ...]
    nodes: Ints
    phases: tuple[int, ...]
    numbers: tuple[int, ...]
    rating_a: float
    is_switch: bool
    current_at: int
    emergency_a: float = np.inf


@dataclass(frozen=True)
class Branch:
    """One phase conductor of a line, at its first terminal, or of a transformer's winding.

    ``name`` is unique: element, winding after the first, and phase, such as ``line.l115.1`` or
    ``transformer.t.wdg2.1``. ``row`` is its place among the element's conductors of all terminals.
    """

    name: str
    element: Element
    row: int
    base_kv: float
    rating_a: float
    emergency_a: float

    @property
    def current_at(self) -> int:
        """Place of its current among those of all branches."""
        return self.element.current_at + self.row


@dataclass(frozen=True)
class Survey:
    """A circuit's elements, nodes with base voltages to ground [kV], branches, and notes on the bases.

    Node 0 is ground.
    """

    elements: tuple[Element, ...]
    node_names: tuple[str, ...]
    base_kv: Floats
    branches: tuple[Branch, ...]
    notes: tuple[str, ...] = ()

    @cached_property
    def sources(self) -> tuple[Element, ...]:
        """The voltage sources among the elements."""
        return tuple(element for element in self.elements if element.kind == "vsource")


def bus_of(node: str) -> str:
    """Bus of a node or of a terminal's connection, ``47`` for ``47.1``, in lower case."""
    return node.partition(".")[0].lower()


def fed_nodes(survey: Survey, primitives: Sequence[Complexes]) -> Fed:
    """Nodes that a path of closed conductors and transformers joins to a source ``(N,)``.

    A line, and a reactor or capacitor between two buses, joins the two ends of each conductor that is closed;
    coupling between conductors feeds nothing. A transformer joins all nodes that its windings couple. A
    neutral that a reactor grounds is joined to the sources by ground, where something that they feed returns
    by it.

    Parameters
    ----------
    survey, primitives
        A circuit, and the admittances of its elements.
    """
    size = len(survey.node_names)
    source = size
    pairs = [np.zeros((2, 0), dtype=np.intp)]
    for element, primitive in zip(survey.elements, primitives, strict=True):
        if element.kind == "vsource":
            pairs.append(np.array([np.full(len(element.nodes), source), element.nodes]))
        else:
            one, other = couplings(element)
            # An open terminal leaves nothing of its couplings.
            closed = primitive[one, other] != 0
            pairs.append(element.nodes[np.array([one[closed], other[closed]])])
    joined = np.concatenate(pairs, axis=1)
    joined = joined[:, (joined > 0).all(axis=0)]
    graph = sparse.coo_array((np.ones(joined.shape[1]), joined), shape=(size + 1, size + 1))
    _, group = sparse.csgraph.connected_components(graph, directed=False)
    fed = np.asarray(group[:size] == group[source])
    returned = set(group[_returns(survey, fed)].tolist()) & set(group[_grounded(survey, primitives)].tolist())
    return fed | np.isin(group[:size], sorted(returned))


def _returns(survey: Survey, fed: Fed) -> list[int]:
    """Nodes that no source feeds and by which loads and the like at nodes that are fed return."""
    found: list[int] = []
    for element in survey.elements:
        count = len(element.phases)
        if element.kind not in (*_LINK_KINDS, "vsource") and fed[element.nodes[:count]].any():
            found += [node for node in element.nodes[count:].tolist() if node > 0 and not fed[node]]
    return found


def _grounded(survey: Survey, primitives: Sequence[Complexes]) -> list[int]:
    """Nodes between which and ground a reactor stands."""
    found: list[int] = []
    for element, primitive in zip(survey.elements, primitives, strict=True):
        if element.kind == "reactor" and len(element.buses) == 2:
            half = len(element.nodes) // 2
            ends = zip(element.nodes[:half].tolist(), element.nodes[half:].tolist(), strict=True)
            found += [
                max(pair)
                for at, pair in enumerate(ends)
                if min(pair) == 0 < max(pair) and primitive[at, at] != 0
            ]
    return found


def tied_nodes(survey: Survey, primitives: Sequence[Complexes]) -> Fed:
    """Nodes in zones that something ties to ground ``(N,)``: a source, a winding, a shunt, a load to ground.

    A zone is what lines and the windings of one side join. Charging and capacitors hold no voltage to ground.

    Parameters
    ----------
    survey, primitives
        A circuit, and the admittances of its elements.
    """
    size = len(survey.node_names)
    pairs = [np.zeros((2, 0), dtype=np.intp)]
    for element, primitive in zip(survey.elements, primitives, strict=True):
        if is_series(element):
            one, other = couplings(element)
            pairs.append(element.nodes[np.array([one, other])])
            continue
        if element.kind == "capacitor":
            continue
        width = len(element.nodes) // len(element.buses)
        for at in range(0, len(element.nodes), width):
            own = primitive[at : at + width, at : at + width]
            nodes = element.nodes[at : at + width]
            live = nodes > 0
            own, nodes = own[np.ix_(live, live)], nodes[live]
            one, other = np.nonzero(np.abs(own) > 0)
            pairs.append(np.array([nodes[one], nodes[other]]))
            strength = np.abs(np.diag(own))
            to_ground = (np.abs(own.sum(axis=1)) > _LEAK * strength) & (strength > 0)
            pairs.append(np.array([nodes[to_ground], np.full(to_ground.sum(), 0)]))
    joined = np.concatenate(pairs, axis=1)
    graph = sparse.coo_array((np.ones(joined.shape[1]), joined), shape=(size, size))
    _, group = sparse.csgraph.connected_components(graph, directed=False)
    return np.asarray(group == group[0])


def unfed(survey: Survey, fed: Fed) -> list[Element]:
    """Elements that stand, with all or some of their conductors, at nodes that no source reaches."""
    return [
        element
        for element in survey.elements
        if element.kind != "vsource" and _stands_dead(element, fed[element.nodes[element.nodes > 0]])
    ]


@dataclass(frozen=True)
class CutOff:
    """Where something stands that no source feeds, and the open element in between."""

    bus: str
    barrier: str


def cut_off_by(
    survey: Survey,
    primitives: Sequence[Complexes],
    fed: Fed,
    out_of_service: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> dict[str, CutOff]:
    """What draws or feeds behind an open element, ``{element: where and behind what}``.

    Parameters
    ----------
    survey, primitives, fed
        The circuit, the admittances of its elements and the nodes that hang on a source.
    out_of_service
        Buses of elements that the circuit has and the survey leaves out.

    Raises
    ------
    FeederError
        A load, capacitor or generator stands at a node that is not fed, and nothing on the way is open. What
        is out of service there is named; else it is a mistyped bus name, of which OpenDSS makes a bus.
    """
    found = {}
    for element in survey.elements:
        dead = [node for node in element.nodes.tolist() if node > 0 and not fed[node]]
        if not dead or element.kind in _LINK_KINDS:
            continue
        barrier, behind = _barrier(survey, primitives, fed, dead[0])
        node = survey.node_names[dead[0]]
        if barrier is None:
            told = as_described(element.name)
            beyond = {bus_of(survey.node_names[at]) for at in np.flatnonzero(fed).tolist()}
            there = {bus_of(survey.node_names[at]) for at in behind}
            missing = [
                name for name, buses in out_of_service.items() if there & {*buses} and beyond & {*buses}
            ]
            if missing:
                raise FeederError(
                    f"{told} stands at '{node}', which nothing feeds: on the way there {missing[0]} is out "
                    "of service (enabled=no); put it into service, or take out what stands behind it"
                )
            raise FeederError(
                f"{told} stands at '{node}', which no line or transformer feeds; "
                "check the bus names there and upstream"
            )
        found[element.name] = CutOff(bus_of(node), barrier)
    return found


def is_series(element: Element) -> bool:
    """Whether an element is a conductor between two buses: a line, a reactor or capacitor in series."""
    return element.kind in _CONDUCTOR_KINDS and len(set(element.buses)) == 2


def couplings(element: Element) -> tuple[Ints, Ints]:
    """Rows of an element's conductors that it joins where it is closed."""
    size = len(element.nodes)
    if is_series(element):
        one = np.arange(size // 2)
        return one, one + size // 2
    if element.kind in ("transformer", "autotrans"):
        one, other = np.triu_indices(size, 1)
        return one, other
    nothing = np.zeros(0, dtype=np.intp)
    return nothing, nothing


def _stands_dead(element: Element, fed: Fed) -> bool:
    # A line that is fed at one end keeps its stub; anything else needs all its conductors.
    return bool(not fed.any() if element.kind in _LINK_KINDS else not fed.all())


def _barrier(
    survey: Survey, primitives: Sequence[Complexes], fed: Fed, dead: int
) -> tuple[str | None, set[int]]:
    """The first open element on a way from a dead node to one that is fed, and the nodes looked at."""
    ways: dict[int, list[tuple[int, str, bool]]] = {}
    for element, primitive in zip(survey.elements, primitives, strict=True):
        for one, other in zip(*couplings(element), strict=True):
            a, b = int(element.nodes[one]), int(element.nodes[other])
            is_open = primitive[one, other] == 0
            if a and b and not (is_open and element.kind == "transformer"):
                ways.setdefault(a, []).append((b, element.name, is_open))
                ways.setdefault(b, []).append((a, element.name, is_open))
    seen = {dead}
    frontier: list[tuple[int, str | None]] = [(dead, None)]
    while frontier:
        node, crossed = frontier.pop(0)
        if fed[node]:
            return crossed, seen
        for other, name, is_open in ways.get(node, ()):
            if other not in seen:
                seen.add(other)
                frontier.append((other, crossed or (name if is_open else None)))
    return None, seen


def segments(survey: Survey) -> tuple[Segment, ...]:
    """Lines, switches and transformers between two buses, for the map."""
    return tuple(
        Segment(element.name, element.buses[0], element.buses[1])
        for element in survey.elements
        if element.kind in BRANCH_KINDS and element.buses[0] != element.buses[1]
    )


def dummy_buses(survey: Survey) -> set[str]:
    """Buses at which a single switch ends and nothing else is connected."""
    touching: dict[str, list[Element]] = {}
    for element in survey.elements:
        for bus in set(element.buses):
            touching.setdefault(bus, []).append(element)
    return {bus for bus, elements in touching.items() if len(elements) == 1 and elements[0].is_switch}
