"""Sparse real equations, factorised: for changes one after the other, or for many rows of their inverse."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import linalg

from cosim.feeder.circuit import Floats

Ints = NDArray[np.intp]
Indices = NDArray[np.int32]
_InOrder = tuple[Ints, Ints, Indices, Indices]

# A diagonal this large beside the rest of its column is pivot enough, so that few zeros are filled in.
_DIAGONAL_ENOUGH = 1e-3
# Along a feeder few columns have one pattern. Of 1 to 20, and of 1 to 8, the fastest at 8,000 nodes.
_RELAX, _PANEL = 1, 4


class Factors(Protocol):
    """Equations ``A`` of n unknowns, factorised."""

    def solve(self, given: Floats) -> Floats:
        """Solutions x of ``A x = given``, ``(n,)`` or ``(n, k)``."""
        ...

    def solve_transposed(self, rows: sparse.csr_array, wanted: Ints) -> Floats:
        """Some unknowns ``(w,)`` of the solutions of ``A' x = row`` for each row ``(k, n)``, ``(w, k)``."""
        ...


@dataclass(frozen=True)
class Columns:
    """`Factors` of a matrix as it stands, quick where many columns are given to `solve`."""

    lu: linalg.SuperLU

    def solve(self, given: Floats) -> Floats:
        """See `Factors`."""
        answer: Floats = self.lu.solve(given)
        return answer

    def solve_transposed(self, rows: sparse.csr_array, wanted: Ints) -> Floats:
        """See `Factors`."""
        answer: Floats = self.lu.solve(rows.T.toarray(order="F"), "T")[wanted]
        return answer


@dataclass(frozen=True)
class Rows:
    """`Factors` of the transpose, quick where many columns are given to `solve_transposed`.

    SuperLU solves for many columns of a matrix together, for those of its transpose one by one.

    Attributes
    ----------
    lu
        Factors of the transpose, its unknowns in the order in which they are eliminated.
    place
        Their places in that order ``(n,)``.
    """

    lu: linalg.SuperLU
    place: Ints

    def solve(self, given: Floats) -> Floats:
        """See `Factors`."""
        in_order = np.empty(given.shape, order="F")
        in_order[self.place] = given
        answer: Floats = self.lu.solve(in_order, "T")[self.place]
        return answer

    def solve_transposed(self, rows: sparse.csr_array, wanted: Ints) -> Floats:
        """See `Factors`."""
        in_order = np.zeros(rows.shape[::-1], order="F")
        in_order[self.place[rows.indices], np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))] = (
            rows.data
        )
        answer: Floats = self.lu.solve(in_order)[self.place[wanted]]
        return answer


class Pattern:
    """Where square matrices have entries, and how those are best factorised.

    Parameters
    ----------
    indices, pointers
        Rows of the entries, column by column, as of a `scipy.sparse.csc_array` ``(n, n)``.
    """

    def __init__(self, indices: Indices, pointers: Indices) -> None:
        self._indices, self._pointers = indices, pointers
        self._shape = 2 * (len(pointers) - 1,)
        self._transposed: _InOrder | None = None

    def columns(self, data: Floats) -> Columns:
        """Factors of the matrix with entries ``data``; raises ``RuntimeError`` where it is singular."""
        matrix = sparse.csc_array((data, self._indices, self._pointers), shape=self._shape)
        return Columns(linalg.splu(matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}))

    def rows(self, data: Floats) -> Rows:
        """The same of its transpose, as `Rows` has it."""
        if self._transposed is None:
            self._transposed = self._in_order(data)
        place, entries, indices, pointers = self._transposed
        matrix = sparse.csc_array((data[entries], indices, pointers), shape=self._shape)
        return Rows(_eliminated(matrix, "NATURAL"), place)

    def _in_order(self, data: Floats) -> _InOrder:
        """The transpose with its unknowns in the order of elimination, which the pattern alone decides."""
        transposed = sparse.csr_array((data, self._indices, self._pointers), shape=self._shape).tocsc()
        place = _eliminated(transposed, "MMD_AT_PLUS_A").perm_c.astype(np.intp)
        size = self._shape[0]
        of_column = np.repeat(np.arange(size), np.diff(self._pointers))
        keys = place[self._indices] * size + place[of_column]
        entries = np.argsort(keys)
        pointers = np.searchsorted(keys[entries], size * np.arange(size + 1)).astype(np.int32)
        return place, entries, (keys[entries] % size).astype(np.int32), pointers


def _eliminated(matrix: sparse.csc_array, order: str) -> linalg.SuperLU:
    return linalg.splu(
        matrix,
        permc_spec=order,
        diag_pivot_thresh=_DIAGONAL_ENOUGH,
        relax=_RELAX,
        panel_size=_PANEL,
        options={"SymmetricMode": True},
    )
