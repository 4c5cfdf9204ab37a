"""Single rows of a solved circuit's derivatives, by the adjoint method.

A row ``c' A^-1 D`` of derivatives along many directions D costs one back substitution with the transposed
equations, ``(A^-T c)' D``, where all rows cost one for each direction. Where a feeder has thousands of LAMs
and few of its limits matter, the rows of those limits are all that a market needs.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse

from cosim.feeder.circuit import Complexes, Floats
from cosim.feeder.powerflow.admittance import FactorisedState
from cosim.feeder.powerflow.factors import Ints

# Rows that are solved for at once, which bounds the memory that they take.
_BLOCK = 64
_NONE = np.zeros(0, dtype=np.intp)


class _Entries(NamedTuple):
    """Entries of sparse rows: values, columns, and how many each row has."""

    data: Floats
    at: Ints
    counts: Ints


class Directions:
    """Changes of L windings' powers along D directions, some of kW and some of kvar.

    Parameters
    ----------
    per_kw, per_kvar
        Changes along directions of each kind ``(L, d)`` [VA], real and imaginary.
    """

    def __init__(self, per_kw: sparse.csc_array, per_kvar: sparse.csc_array) -> None:
        self._va = sparse.csr_array(sparse.hstack([per_kw, per_kvar], format="csr"))
        self._real, self._imag = sparse.csr_array(per_kw.real.T), sparse.csr_array(per_kvar.imag.T)
        self.count: int = self._va.shape[1]

    def mixed(self, change: Floats) -> Complexes:
        """Change of the windings' powers along a mixture of directions ``(L,)`` [VA]."""
        return np.asarray(self._va @ change, dtype=np.complex128)

    def worth(self, each_va: Complexes) -> Floats:
        """What the directions are worth ``(k, D)`` where each winding's power is worth ``(L, k)`` [1/VA]."""
        of_kw = self._real @ np.ascontiguousarray(each_va.real)
        of_kvar = self._imag @ np.ascontiguousarray(each_va.imag)
        return np.concatenate([of_kw, -of_kvar]).T


class AdjointRows:
    """`cosim.feeder.derivatives.Derivatives` along D directions at one state, row by row.

    Parameters
    ----------
    state
        The factorised equations, v voltages of interest and b branches.
    directions
        The D directions.
    base_v
        Bases of the voltages ``(v,)`` [V].
    """

    def __init__(self, state: FactorisedState, directions: Directions, base_v: Floats) -> None:
        self._state = state
        self._directions = directions
        self._base_v = base_v
        self._found_v: dict[int, Floats] = {}
        self._found_a: dict[int, Complexes] = {}
        self._found_head: Floats | None = None
        self._along: tuple[Floats, tuple[Floats, Complexes]] | None = None

    @property
    def is_whole(self) -> bool:
        """Each row costs a back substitution."""
        return False

    def find(self, nodes: Ints, branches: Ints) -> None:
        """Find rows of some voltages and currents, and the head's: together in less time than by kind."""
        new_v = np.array([node for node in nodes.tolist() if node not in self._found_v], dtype=np.intp)
        new_a = np.array([each for each in branches.tolist() if each not in self._found_a], dtype=np.intp)
        if not len(new_v) + len(new_a) and self._found_head is not None:
            return
        parts = [self._voltage_entries(new_v), *_real_entries(self._state.branches[new_a])]
        parts += [self._head_entries()] if self._found_head is None else []
        rows = self._answers(self._rows_of(parts))
        if self._found_head is None:
            self._found_head = rows[-1] / 1e3
        end_v, end_a = len(new_v), len(new_v) + len(new_a)
        self._found_v.update(zip(new_v.tolist(), rows[:end_v], strict=True))
        current = rows[end_v:end_a] + 1j * rows[end_a : end_a + len(new_a)]
        self._found_a.update(zip(new_a.tolist(), current, strict=True))

    def volts(self, nodes: Ints, count: int | None = None) -> Floats:
        """Changes of some voltages ``(k, D)`` [pu], or along the first ``count``; found once."""
        self.find(nodes, _NONE)
        found = np.array([self._found_v[node] for node in nodes.tolist()]).reshape(len(nodes), self._count)
        return found[:, :count]

    def seen(self, weights: sparse.csr_array) -> Floats:
        """Changes of weighted sums of voltages ``(k, D)`` [pu] for weights ``(k, v)``."""
        return self._answers(weights @ self._rows_of([self._voltage_entries(np.arange(len(self._base_v)))]))

    def phasors(self, weights: sparse.csr_array) -> Complexes:
        """Changes of weighted sums of complex voltages ``(k, D)``: of interest [pu], then neutrals [V].

        Complex weights ``(k, v + z)``.
        """
        return self._complex_answers((weights @ _phasor_rows(self._state, self._base_v)).tocsr())

    def currents(self, branches: Ints, count: int | None = None) -> Complexes:
        """The same of some branches' complex currents [A]."""
        self.find(_NONE, branches)
        found = np.array([self._found_a[each] for each in branches.tolist()], dtype=np.complex128)
        return found.reshape(len(branches), self._count)[:, :count]

    @property
    def _count(self) -> int:
        return self._directions.count

    def head(self, count: int | None = None) -> Floats:
        """Change of the power from the sources ``(D,)`` [kW], or along the first ``count``; found once."""
        self.find(_NONE, _NONE)
        assert self._found_head is not None
        return self._found_head[:count]

    def _head_entries(self) -> _Entries:
        """Of the row that turns changes of the real unknowns into that of the power from the sources [W]."""
        state, n = self._state, self._state.branches.shape[1]
        into = np.zeros(n + 1, dtype=np.complex128)
        np.add.at(into, state.source_place, state.source_a)
        fed = np.conj(state.source_v) @ state.sources
        row = -np.concatenate([into[:n].real + fed.real, into[:n].imag - fed.imag])
        at = np.flatnonzero(row)
        return _Entries(row[at], at, np.array([len(at)]))

    def along(self, change: Floats) -> tuple[Floats, Complexes]:
        """Change of all voltages ``(v,)`` [pu] and currents ``(b,)`` [A] along a mixture of directions."""
        # Models are asked more than once what they expect of a dispatch.
        if self._along is None or not np.array_equal(change, self._along[0]):
            self._along = change.copy(), self._state.along_one(self._directions.mixed(change))
        volts, current = self._along[1]
        return volts / self._base_v, current

    def _complex_answers(self, rows: sparse.csr_array) -> Complexes:
        """Changes of linear functions of the complex node voltages ``(k, n)`` along all directions."""
        if not rows.shape[0]:
            return np.zeros((0, self._count), dtype=np.complex128)
        both = self._answers(self._rows_of(_real_entries(rows)))
        return both[: rows.shape[0]] + 1j * both[rows.shape[0] :]

    def _voltage_entries(self, nodes: Ints) -> _Entries:
        """Of rows that turn changes of the real unknowns into those of voltage magnitudes [pu]."""
        state = self._state
        n, monitored = state.branches.shape[1], state.monitored[nodes]
        along = state.along[nodes] / self._base_v[nodes]
        values = np.stack([along.real, -along.real, along.imag, -along.imag], axis=1)
        # Ground has no unknown.
        is_node = np.tile(monitored < n, 2)
        at = np.concatenate([monitored, n + monitored], axis=1)[is_node]
        return _Entries(values[is_node], at, is_node.sum(axis=1))

    def _rows_of(self, parts: Sequence[_Entries]) -> sparse.csr_array:
        """Rows of all parts, one part after the other, over the real unknowns ``(k, 2 n)``."""
        data, at, counts = (np.concatenate(each) for each in zip(*parts, strict=True))
        ends = np.concatenate([[0], np.cumsum(counts)])
        return sparse.csr_array((data, at, ends), shape=(len(counts), 2 * self._state.branches.shape[1]))

    def _answers(self, rows: sparse.csr_array) -> Floats:
        """Changes of linear functions of the real unknowns ``(k, 2 n)`` along all directions ``(k, D)``."""
        rows.sum_duplicates()
        found = np.empty((rows.shape[0], self._count))
        for start in range(0, len(found), _BLOCK):
            block = slice(start, start + _BLOCK)
            found[block] = self._directions.worth(self._state.given_to(rows[block]))
        return found


def _real_entries(rows: sparse.csr_array) -> list[_Entries]:
    """Of real and imaginary parts of functions of complex unknowns ``(k, n)``, over the real ones."""
    at, counts = (
        np.stack([rows.indices, rows.indices + rows.shape[1]], axis=1).ravel(),
        2 * np.diff(rows.indptr),
    )
    parts = (rows.data.real, -rows.data.imag), (rows.data.imag, rows.data.real)
    return [_Entries(np.stack(each, axis=1).ravel(), at, counts) for each in parts]


def _phasor_rows(state: FactorisedState, base_v: Floats) -> sparse.csr_array:
    """Rows that turn changes of node voltages into those of complex voltages ``(v + z, n)`` [pu, then V]."""
    n, count, neutrals = state.branches.shape[1], len(base_v), len(state.neutrals)
    rows = np.concatenate([np.arange(count), np.arange(count), count + np.arange(neutrals)])
    columns = np.concatenate([state.monitored.T.ravel(), state.neutrals])
    values = np.concatenate([1.0 / base_v, -1.0 / base_v, np.ones(neutrals)])
    return sparse.coo_array((values, (rows, columns)), shape=(count + neutrals, n + 1)).tocsr()[:, :n]
