"""Single rows of a solved circuit's derivatives, by the adjoint method.

A row ``c' A^-1 D`` of derivatives along many directions D costs one back substitution with the transposed
equations, ``(A^-T c)' D``, where all rows cost one for each direction. Where a feeder has thousands of LAMs
and few of its limits matter, the rows of those limits are all that a market needs.
"""

from functools import cached_property

import numpy as np
from scipy import sparse

from cosim.feeder.circuit import Complexes, Floats
from cosim.feeder.powerflow.admittance import FactorisedState
from cosim.feeder.powerflow.factors import Ints

# Rows that are solved for at once, which bounds the memory that they take.
_BLOCK = 64
_NONE = np.zeros(0, dtype=np.intp)


class AdjointRows:
    """`cosim.feeder.derivatives.Derivatives` along D directions at one state, row by row.

    Parameters
    ----------
    state
        The factorised equations, v voltages of interest and b branches.
    directions
        Changes of the windings' powers ``(L, D)`` [VA].
    base_v
        Bases of the voltages ``(v,)`` [V].
    """

    def __init__(self, state: FactorisedState, directions: sparse.csc_array, base_v: Floats) -> None:
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
        parts = []
        if len(new_v):
            parts.append(self._voltage_rows(new_v))
        if len(new_a):
            parts += _real_rows(self._state.branches[new_a])
        if self._found_head is None:
            parts.append(self._head_row())
        if not parts:
            return
        rows = self._answers(parts[0] if len(parts) == 1 else sparse.vstack(parts, format="csr"))
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
        return self._answers(weights @ self._voltage_rows(np.arange(len(self._base_v))))

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

    @cached_property
    def _across_directions(self) -> sparse.csr_array:
        return self._directions.T.tocsr()

    @property
    def _count(self) -> int:
        return int(self._directions.shape[1])

    def head(self, count: int | None = None) -> Floats:
        """Change of the power from the sources ``(D,)`` [kW], or along the first ``count``; found once."""
        self.find(_NONE, _NONE)
        assert self._found_head is not None
        return self._found_head[:count]

    def _head_row(self) -> sparse.csr_array:
        """Row that turns changes of the real unknowns into that of the power from the sources [W]."""
        state, n = self._state, self._state.branches.shape[1]
        into = np.zeros(n + 1, dtype=np.complex128)
        np.add.at(into, state.source_place, state.source_a)
        fed = np.conj(state.source_v) @ state.sources
        row = -np.concatenate([into[:n].real + fed.real, into[:n].imag - fed.imag])
        return sparse.csr_array(row[None, :])

    def along(self, change: Floats) -> tuple[Floats, Complexes]:
        """Change of all voltages ``(v,)`` [pu] and currents ``(b,)`` [A] along a mixture of directions."""
        # Models are asked more than once what they expect of a dispatch.
        if self._along is None or not np.array_equal(change, self._along[0]):
            self._along = change.copy(), self._state.along_one(self._directions @ change)
        volts, current = self._along[1]
        return volts / self._base_v, current

    def _complex_answers(self, rows: sparse.csr_array) -> Complexes:
        """Changes of linear functions of the complex node voltages ``(k, n)`` along all directions."""
        if not rows.shape[0]:
            return np.zeros((0, self._count), dtype=np.complex128)
        both = self._answers(sparse.vstack(_real_rows(rows), format="csr"))
        return both[: rows.shape[0]] + 1j * both[rows.shape[0] :]

    def _voltage_rows(self, nodes: Ints) -> sparse.csr_array:
        """Rows that turn changes of the real unknowns into those of voltage magnitudes ``(k, 2 n)`` [pu]."""
        state = self._state
        n, monitored = state.branches.shape[1], state.monitored[nodes]
        along = state.along[nodes] / self._base_v[nodes]
        values = np.stack([along.real, -along.real, along.imag, -along.imag], axis=1)
        # Ground has no unknown.
        is_node = np.tile(monitored < n, 2)
        at = np.concatenate([monitored, n + monitored], axis=1)[is_node]
        ends = np.concatenate([[0], np.cumsum(is_node.sum(axis=1))])
        return sparse.csr_array((values[is_node], at, ends), shape=(len(nodes), 2 * n))

    def _answers(self, rows: sparse.csr_array) -> Floats:
        """Changes of linear functions of the real unknowns ``(k, 2 n)`` along all directions ``(k, D)``."""
        rows.sum_duplicates()
        found = np.empty((rows.shape[0], self._count))
        for start in range(0, len(found), _BLOCK):
            block = slice(start, start + _BLOCK)
            found[block] = (self._across_directions @ self._state.given_to(rows[block])).real.T
        return found


def _real_rows(rows: sparse.csr_array) -> list[sparse.csr_array]:
    """Real and imaginary parts of functions of complex unknowns ``(k, n)``, over real ones ``(k, 2 n)``."""
    count, n = rows.shape
    at, ends = np.stack([rows.indices, rows.indices + n], axis=1).ravel(), 2 * rows.indptr
    parts = (rows.data.real, -rows.data.imag), (rows.data.imag, rows.data.real)
    return [
        sparse.csr_array((np.stack(each, axis=1).ravel(), at, ends), shape=(count, 2 * n)) for each in parts
    ]


def _phasor_rows(state: FactorisedState, base_v: Floats) -> sparse.csr_array:
    """Rows that turn changes of node voltages into those of complex voltages ``(v + z, n)`` [pu, then V]."""
    n, count, neutrals = state.branches.shape[1], len(base_v), len(state.neutrals)
    rows = np.concatenate([np.arange(count), np.arange(count), count + np.arange(neutrals)])
    columns = np.concatenate([state.monitored.T.ravel(), state.neutrals])
    values = np.concatenate([1.0 / base_v, -1.0 / base_v, np.ones(neutrals)])
    return sparse.coo_array((values, (rows, columns)), shape=(count + neutrals, n + 1)).tocsr()[:, :n]
