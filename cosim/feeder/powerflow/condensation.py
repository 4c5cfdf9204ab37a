"""The equations of a network without the nodes at which nothing is ever injected.

Along a line without loads voltages follow from those at its two ends, in the same way in all states: there is
one row for each such node, found once, and the equations that are solved for every state are those of the
others. On IEEE 8500 these are half of the nodes. Only what hangs between at most two buses that stay is left
out, so that no entries are added that join more.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import linalg

from cosim.feeder.circuit import Complexes, Floats
from cosim.feeder.powerflow.entries import RealEntries
from cosim.feeder.powerflow.factors import Ints, Rows

Bools = NDArray[np.bool_]

# A bus between so many others can be left out: they are joined by one entry more, not by several.
_ENDS = 2


@dataclass(frozen=True)
class CondensedFactors:
    """`cosim.feeder.powerflow.factors.Factors` of 2 n real equations, as those of the 2 m that stay.

    Attributes
    ----------
    inner
        Factors of the equations that stay.
    lift
        All unknowns from those that stay ``(2 n, 2 m)``.
    stay, place
        The unknowns that stay ``(2 m,)``, and each one's place among these ``(2 n,)``, -1 without one.
    """

    inner: Rows
    lift: sparse.csr_array
    stay: Ints
    place: Ints

    def solve(self, given: Floats) -> Floats:
        """See `Factors`, where nothing is given to equations that were left out."""
        answer: Floats = self.lift @ self.inner.solve(given[self.stay])
        return answer

    def solve_transposed(self, rows: sparse.csr_array, wanted: Ints) -> Floats:
        """See `Factors`, of unknowns that stay."""
        return self.inner.solve_transposed(sparse.csr_array(rows @ self.lift), self.place[wanted])


class Condensation:
    """Leaves nodes out of equations Y dV + C A C' dV - C B C' conj(dV) of n voltages.

    Parameters
    ----------
    y
        The admittance Y ``(n, n)``.
    ends
        Places of the ends of each load winding ``(L, 2)``, n being ground, of which the incidence C consists.
    stay
        Nodes that must stay ``(n,)``, all ends among them.
    bus
        The bus of each node ``(n,)``.
    before
        The same of other values of Y at nodes that stay.

    Raises
    ------
    RuntimeError
        The equations of what may be left out are singular.
    """

    def __init__(
        self, y: sparse.csc_array, ends: Ints, stay: Bools, bus: Ints, before: "Condensation | None" = None
    ) -> None:
        n = y.shape[0]
        between: _Between | None = None if before is None else before._between
        if between is None or not between.is_of(y):
            between = _Between(y, _stays(y, stay, bus))
        self._between: _Between = between
        reduced = sparse.coo_array(between.reduced(y))
        place = np.append(between.place, len(between.kept))[ends]
        self._entries: RealEntries
        if before is not None and before._entries.are_of(reduced, place):
            self._entries = before._entries
        else:
            self._entries = RealEntries(reduced, place)
        self._of_network = self._entries.of_network(reduced.data)
        m = len(between.kept)
        self._stay = np.concatenate([between.kept, n + between.kept])
        self._place = np.concatenate([between.place, np.where(between.place < 0, -1, m + between.place)])

    def factorised(self, a: Complexes, b: Complexes) -> CondensedFactors:
        """Factors where loads have diagonals ``a`` and ``b`` of A and B ``(L,)``.

        Raises
        ------
        RuntimeError
            The equations are singular.
        """
        entries = self._of_network + self._entries.of_loads(a, b)
        return CondensedFactors(
            self._entries.pattern.rows(entries), self._between.lift, self._stay, self._place
        )


class _Between:
    """What lies between the nodes that stay: how voltages follow from these, and what it adds to them."""

    def __init__(self, y: sparse.csc_array, stays: Bools) -> None:
        self.kept, self._gone = np.flatnonzero(stays), np.flatnonzero(~stays)
        self.place = np.full(len(stays), -1, dtype=np.intp)
        self.place[self.kept] = np.arange(len(self.kept))
        self._own, self._out, self._into = self._parts(y)
        follow = -_solved(self._own, self._out)
        at = np.concatenate([self.kept, self._gone])
        self._added = sparse.csc_array(self._into @ follow)
        whole = sparse.vstack([sparse.eye_array(len(self.kept), dtype=np.complex128), follow], format="csr")
        whole = whole[np.argsort(at)]
        parts = [[whole.real, -whole.imag], [whole.imag, whole.real]]
        self.lift = sparse.csr_array(sparse.block_array(parts, format="csr"))

    def _parts(self, y: sparse.csc_array) -> tuple[sparse.csc_array, sparse.csc_array, sparse.csc_array]:
        of_gone = y[:, self._gone]
        return of_gone[self._gone], y[:, self.kept][self._gone], of_gone[self.kept]

    def is_of(self, y: sparse.csc_array) -> bool:
        """Whether these are the same with other values of an admittance."""
        mine = (self._own, self._out, self._into)
        return all(
            one.nnz == other.nnz
            and np.array_equal(one.indptr, other.indptr)
            and np.array_equal(one.indices, other.indices)
            and np.array_equal(one.data, other.data)
            for one, other in zip(mine, self._parts(y), strict=True)
        )

    def reduced(self, y: sparse.csc_array) -> sparse.csc_array:
        """The admittance between the nodes that stay."""
        return sparse.csc_array(y[:, self.kept][self.kept] + self._added)


def _solved(own: sparse.csc_array, out: sparse.csc_array) -> sparse.csr_array:
    """Solutions of ``own x = out``, where each connected part of ``own`` has few columns of ``out``.

    The columns of each part are numbered anew, so that as many are solved for as one part has at most.
    """
    shape = out.shape
    if not own.nnz:
        return sparse.csr_array(shape, dtype=np.complex128)
    pattern = sparse.csc_array((np.ones(own.nnz), own.indices, own.indptr), shape=own.shape)
    _, part = sparse.csgraph.connected_components(pattern, directed=False)
    given = out.tocoo()
    # Pairs of part and column, each once, in order of part; their places within their part.
    pairs, pair = np.unique(part[given.row] * shape[1] + given.col, return_inverse=True)
    of_part, column = pairs // shape[1], pairs % shape[1]
    first = np.searchsorted(of_part, np.arange(part.max() + 2))
    within = np.arange(len(pairs)) - first[of_part]
    most = int(within.max(initial=-1)) + 1
    dense = np.zeros((shape[0], most), dtype=np.complex128, order="F")
    dense[given.row, within[pair]] = given.data
    found = linalg.splu(own, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve(dense)
    counts = np.diff(first)[part]
    rows = np.repeat(np.arange(shape[0]), counts)
    nth = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    at = column[first[part[rows]] + nth]
    return sparse.coo_array((found[rows, nth], (rows, at)), shape=shape).tocsr()


def _stays(y: sparse.csc_array, stay: Bools, bus: Ints) -> Bools:
    """Which nodes stay: those that must, and those of buses that join more than two others."""
    entries, count = y.tocoo(), int(bus.max(initial=-1)) + 1
    joined = np.unique(bus[entries.row] * count + bus[entries.col])
    beside: list[set[int]] = [set() for _ in range(count)]
    for pair in joined.tolist():
        one, other = divmod(pair, count)
        if one != other:
            beside[one].add(other)
            beside[other].add(one)
    stays = np.zeros(count, dtype=bool)
    stays[bus[stay]] = True
    # One by one, which may leave its neighbours with less of them.
    waiting = np.flatnonzero(~stays).tolist()
    is_gone = [False] * count
    while waiting:
        here = waiting.pop()
        if is_gone[here] or len(beside[here]) > _ENDS:
            continue
        is_gone[here] = True
        for other in beside[here]:
            beside[other] |= beside[here] - {other}
            beside[other].discard(here)
            if not stays[other]:
                waiting.append(other)
    return ~np.array(is_gone)[bus]
