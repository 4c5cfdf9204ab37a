"""Reads the admittances of a circuit's elements, and builds the network's sparse matrices from them."""

from collections.abc import Collection, Iterable, Sequence

import numpy as np
from scipy import sparse

from cosim.feeder.api import OpenDss
from cosim.feeder.circuit import Complexes, FeederError
from cosim.feeder.powerflow.factors import Ints
from cosim.feeder.powerflow.topology import Element, Survey


def primitive_of(dss: OpenDss, name: str) -> Complexes | None:
    """Admittance between the conductors of an element [S]; none for controls and meters, which have none."""
    dss.Circuit.SetActiveElement(name)
    # Controls and meters answer with a single number instead of a matrix.
    values = dss.CktElement.YPrim()
    size = len(dss.CktElement.NodeRef())
    if len(values) != 2 * size * size:
        return None
    return np.array(values).view(np.complex128).reshape(size, size).T


def read_primitives(dss: OpenDss, elements: Iterable[Element]) -> tuple[Complexes, ...]:
    """Present admittances of elements, one after the other.

    Raises
    ------
    FeederError
        An element was taken out of service behind the feeder's back.
    """
    found = []
    for element in elements:
        primitive = primitive_of(dss, element.name)
        if primitive is None:
            raise FeederError(
                f"{element.name} lost its admittance; leave elements enabled while the feeder is in use"
            )
        found.append(primitive)
    return tuple(found)


class Primitives:
    """Admittances of a circuit's elements, read once, and again of those that controls move.

    Parameters
    ----------
    dss, survey
        The context and its circuit.
    moved
        Names of the elements that move.

    Attributes
    ----------
    moving
        Nodes of these.
    """

    def __init__(self, dss: OpenDss, survey: Survey, moved: Collection[str]) -> None:
        self._dss, self._survey = dss, survey
        sizes = [len(element.nodes) ** 2 for element in survey.elements]
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).tolist()
        self._moved = [
            (element, slice(start, start + size))
            for element, start, size in zip(survey.elements, starts, sizes, strict=True)
            if element.name in moved
        ]
        self.moving = np.unique([node for element, _ in self._moved for node in element.nodes]).astype(
            np.intp
        )
        self._values: Complexes | None = None

    def present(self) -> Complexes:
        """All of them end to end, in the order of the survey, row by row; good until the next call.

        Raises
        ------
        FeederError
            As `read_primitives`.
        """
        if self._values is None:
            found = read_primitives(self._dss, self._survey.elements)
            self._values = np.concatenate([each.ravel() for each in found])
        else:
            found = read_primitives(self._dss, [element for element, _ in self._moved])
            for (_, places), each in zip(self._moved, found, strict=True):
                self._values[places] = each.ravel()
        return self._values


class Assembly:
    """Where the admittances of elements go in the network's matrices: laid out once, filled often.

    Parameters
    ----------
    survey
        The circuit, N nodes and b branch conductors.

    Attributes
    ----------
    source_nodes, is_first_end
        Nodes at the sources' terminals ``(s,)``, and which of these belong to first terminals ``(s,)``.
    """

    def __init__(self, survey: Survey) -> None:
        self._nodes = len(survey.node_names)
        sizes = np.array([len(element.nodes) for element in survey.elements])
        # Primitives lie end to end, row by row.
        starts = np.concatenate([[0], np.cumsum(sizes**2)[:-1]])
        rows = np.concatenate([np.repeat(element.nodes, len(element.nodes)) for element in survey.elements])
        columns = np.concatenate([np.tile(element.nodes, len(element.nodes)) for element in survey.elements])
        is_load = np.repeat([element.kind == "load" for element in survey.elements], sizes**2)
        self._network = np.flatnonzero(~is_load)
        self._network_at = rows[self._network], columns[self._network]
        start = dict(zip((element.name for element in survey.elements), starts.tolist(), strict=True))
        self._branches, self._branches_at = _some_rows(
            [(branch.element, branch.row) for branch in survey.branches], start
        )
        self._branch_count = len(survey.branches)
        ends = [(element, row) for element in survey.sources for row in range(len(element.nodes))]
        self._sources, self._sources_at = _some_rows(ends, start)
        self.source_nodes = np.array([element.nodes[row] for element, row in ends], dtype=np.intp)
        self.is_first_end = np.array([row < len(element.nodes) // 2 for element, row in ends], dtype=bool)
        self._loads = np.flatnonzero(is_load)
        self._loads_at = rows[self._loads], columns[self._loads]
        conductor = np.concatenate(
            [
                np.repeat(element.current_at + np.arange(len(element.nodes)), len(element.nodes))
                for element in survey.elements
            ]
        )
        delivers = np.array([element.current_at >= 0 for element in survey.elements])
        delivers = np.flatnonzero(np.repeat(delivers, sizes**2))
        self._delivering = delivers[np.argsort(conductor[delivers], kind="stable")]
        self._delivering_at = columns[self._delivering].astype(np.int32)
        self._conductor_ends = np.concatenate([[0], np.cumsum(np.bincount(conductor[delivers]))])

    def nodal(self, values: Complexes) -> sparse.csc_array:
        """Nodal admittance of everything but the loads, ground being row and column 0 ``(N, N)`` [S].

        Parameters
        ----------
        values
            As of `Primitives`.
        """
        shape = (self._nodes, self._nodes)
        return sparse.coo_array((values[self._network], self._network_at), shape=shape).tocsc()

    def loads(self, values: Complexes) -> sparse.csr_array:
        """Nodal admittance of the loads ``(N, N)`` [S]; values as in `nodal`."""
        shape = (self._nodes, self._nodes)
        return sparse.coo_array((values[self._loads], self._loads_at), shape=shape).tocsr()

    def conductors(self, values: Complexes) -> sparse.csr_array:
        """Rows that turn node voltages into all currents of the elements that deliver power ``(c, N)`` [S].

        In the order of `cosim.feeder.powerflow.arrays.all_currents`; values as in `nodal`.
        """
        shape = (len(self._conductor_ends) - 1, self._nodes)
        found = self.conductor_values(values), self._delivering_at, self._conductor_ends
        # A copy, for what is asked of it may put its entries in another order.
        return sparse.csr_array(found, shape=shape, copy=True)

    def conductor_values(self, values: Complexes) -> Complexes:
        """Entries of `conductors`, as they stand there."""
        return values[self._delivering]

    def branches(self, values: Complexes) -> sparse.csr_array:
        """Rows that turn node voltages into the branches' currents ``(b, N)`` [S]; values as in `nodal`."""
        shape = (self._branch_count, self._nodes)
        return sparse.coo_array((values[self._branches], self._branches_at), shape=shape).tocsr()

    def sources(self, values: Complexes) -> sparse.csr_array:
        """Rows of the admittance of the sources' terminals ``(s, N)`` [S]; values as in `nodal`."""
        shape = (len(self.source_nodes), self._nodes)
        return sparse.coo_array((values[self._sources], self._sources_at), shape=shape).tocsr()


def source_currents(dss: OpenDss, survey: Survey) -> Complexes:
    """Present currents into the sources' terminals, in the order of `source_terminals` ``(s,)`` [A]."""
    currents = []
    for source in survey.sources:
        dss.Circuit.SetActiveElement(source.name)
        currents.append(np.array(dss.CktElement.Currents()).view(np.complex128))
    return np.concatenate(currents)


def _some_rows(
    wanted: Sequence[tuple[Element, int]], start: dict[str, int]
) -> tuple[Ints, tuple[Ints, Ints]]:
    """Places of some elements' rows among all primitives, and their rows and columns in a matrix of them."""
    sizes = [len(element.nodes) for element, _ in wanted]
    places = [
        start[element.name] + row * size + np.arange(size)
        for (element, row), size in zip(wanted, sizes, strict=True)
    ]
    columns = [element.nodes for element, _ in wanted]
    empty = np.zeros(0, dtype=np.intp)
    return (
        np.concatenate([empty, *places]),
        (np.repeat(np.arange(len(wanted)), sizes), np.concatenate([empty, *columns])),
    )
