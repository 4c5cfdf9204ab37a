"""Reads the admittances of a circuit's elements, and builds the network's sparse matrices from them."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from scipy import sparse

from cosim.feeder.circuit import Complexes, FeederError
from cosim.feeder.powerflow.admittance import Ints
from cosim.feeder.powerflow.topology import Element, Survey


def primitive_of(dss: Any, name: str) -> Complexes | None:
    """Admittance between the conductors of an element [S]; none for controls and meters, which have none."""
    dss.Circuit.SetActiveElement(name)
    # Controls and meters answer with a single number instead of a matrix.
    values = dss.CktElement.YPrim()
    size = len(dss.CktElement.NodeRef())
    if len(values) != 2 * size * size:
        return None
    return np.array(values).view(np.complex128).reshape(size, size).T


def read_primitives(dss: Any, survey: Survey) -> tuple[Complexes, ...]:
    """Present admittances of a circuit's elements, in the order of the survey.

    Raises
    ------
    FeederError
        An element was taken out of service behind the feeder's back.
    """
    found = []
    for element in survey.elements:
        primitive = primitive_of(dss, element.name)
        if primitive is None:
            raise FeederError(
                f"{element.name} lost its admittance; leave elements enabled while the feeder is in use"
            )
        found.append(primitive)
    return tuple(found)


def nodal_matrix(survey: Survey, primitives: Sequence[Complexes]) -> sparse.csc_array:
    """Nodal admittance of everything but the loads, ground being row and column 0 ``(N, N)`` [S]."""
    parts = [
        (element.nodes[:, None], element.nodes[None, :], primitive)
        for element, primitive in zip(survey.elements, primitives, strict=True)
        if element.kind != "load"
    ]
    return _assembled(parts, len(survey.node_names)).tocsc()


def branch_matrix(survey: Survey, primitives: Sequence[Complexes]) -> sparse.csr_array:
    """Rows that turn node voltages into the branches' currents ``(b, N)`` [S]."""
    own = {element.name: primitive for element, primitive in zip(survey.elements, primitives, strict=True)}
    parts = [
        (np.array(row), branch.element.nodes, own[branch.element.name][branch.conductor])
        for row, branch in enumerate(survey.branches)
    ]
    return _assembled(parts, len(survey.node_names), len(survey.branches))


def source_terminals(survey: Survey, primitives: Sequence[Complexes]) -> tuple[Ints, sparse.csr_array]:
    """Nodes at the sources' terminals ``(s,)`` and the rows of their admittance ``(s, N)`` [S]."""
    nodes: list[Ints] = []
    parts = []
    for element, primitive in zip(survey.elements, primitives, strict=True):
        if element.kind != "vsource":
            continue
        rows = sum(map(len, nodes)) + np.arange(len(element.nodes))
        parts.append((rows[:, None], element.nodes[None, :], primitive))
        nodes.append(element.nodes)
    ends = np.concatenate(nodes)
    return ends, _assembled(parts, len(survey.node_names), len(ends))


def source_currents(dss: Any, survey: Survey) -> Complexes:
    """Present currents into the sources' terminals, in the order of `source_terminals` ``(s,)`` [A]."""
    currents = []
    for source in sources(survey.elements):
        dss.Circuit.SetActiveElement(source.name)
        currents.append(np.array(dss.CktElement.Currents()).view(np.complex128))
    return np.concatenate(currents)


def sources(elements: Iterable[Element]) -> list[Element]:
    """The voltage sources among elements."""
    return [element for element in elements if element.kind == "vsource"]


def _assembled(
    parts: Sequence[tuple[Ints, Ints, Complexes]], columns: int, rows: int | None = None
) -> sparse.csr_array:
    """Sparse sum of small matrices at their rows and columns; entries that add up are added up."""
    spread = [np.broadcast_arrays(*part) for part in parts]
    i, j, values = (np.concatenate([np.ravel(part[k]) for part in spread]) for k in range(3))
    there = values != 0
    shape = (columns if rows is None else rows, columns)
    return sparse.coo_array((values[there], (i[there], j[there])), shape=shape).tocsr()
