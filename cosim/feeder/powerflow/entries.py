"""Where the complex equations of a network and its loads stand in a real sparse matrix."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cosim.feeder.circuit import Complexes, Floats
from cosim.feeder.powerflow.factors import Ints, Pattern


class RealEntries:
    """Entries of Y dV + C A C' dV - C B C' conj(dV) over real, then imaginary parts of n voltages.

    Parameters
    ----------
    y
        The admittance Y ``(n, n)``; its values do not matter.
    ends
        Places of the ends of each load winding ``(L, 2)``, n being ground, of which the incidence C consists.

    Attributes
    ----------
    pattern
        Of the real matrix ``(2 n, 2 n)``.
    """

    def __init__(self, y: sparse.coo_array, ends: Ints) -> None:
        n = y.shape[0]
        self._y_at, self._windings = (y.row, y.col), ends
        first, second = ends.T
        row = np.concatenate([first, second, first, second])
        column = np.concatenate([first, second, second, first])
        self._there = np.flatnonzero((row < n) & (column < n))
        row, column = row[self._there], column[self._there]
        rows = np.concatenate([*_quadrants(y.row, n)[0], *_quadrants(row, n)[0]])
        columns = np.concatenate([*_quadrants(y.col, n)[1], *_quadrants(column, n)[1]])
        keys, places = np.unique(columns * (2 * n) + rows, return_inverse=True)
        self._of_y, self._of_loads = places[: 4 * len(y.row)], places[4 * len(y.row) :]
        self._size = len(keys)
        pointers = np.searchsorted(keys, 2 * n * np.arange(2 * n + 1)).astype(np.int32)
        self.pattern = Pattern((keys % (2 * n)).astype(np.int32), pointers)

    def are_of(self, y: sparse.coo_array, ends: Ints) -> bool:
        """Whether they are those of other values at the same places."""
        return (
            np.array_equal(y.row, self._y_at[0])
            and np.array_equal(y.col, self._y_at[1])
            and np.array_equal(ends, self._windings)
        )

    def of_network(self, y: Complexes) -> Floats:
        """Entries of Y, given its values."""
        values = np.concatenate([y.real, -y.imag, y.imag, y.real])
        return np.asarray(np.bincount(self._of_y, values, minlength=self._size), dtype=np.float64)

    def of_loads(self, a: Complexes, b: Complexes) -> Floats:
        """Entries of C A C' and C B C', with ``a`` and ``b`` ``(L,)``."""
        own, conj = (np.concatenate([each, each, -each, -each])[self._there] for each in (a, b))
        values = np.concatenate(
            [own.real - conj.real, -own.imag - conj.imag, own.imag - conj.imag, own.real + conj.real]
        )
        return np.asarray(np.bincount(self._of_loads, values, minlength=self._size), dtype=np.float64)


def _quadrants(at: NDArray[np.intp], n: int) -> tuple[list[Ints], list[Ints]]:
    """Rows, and columns, of the four real entries that one complex entry makes."""
    return [at, at, at + n, at + n], [at, at + n, at, at + n]
