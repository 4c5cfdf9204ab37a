"""Fewer iterations where a fixed-point iteration converges slowly: Anderson's extrapolation."""

import numpy as np

from cosim.feeder.circuit import Complexes, Floats

_DEPTH = 5
# Differences that are parallel but for so little count as one.
_PARALLEL = 1e-12


class Extrapolation:
    """Where a fixed-point iteration is heading, from what its last few iterations changed.

    Of all sums of its last answers, with weights that add up to 1, the one that the iteration would change
    least if it were linear (D. G. Anderson, Journal of the ACM 12, 1965; H. F. Walker and P. Ni, SIAM Journal
    on Numerical Analysis 49, 2011). The iteration's fixed points stay what they are.

    Parameters
    ----------
    began
        What the iteration came to before ``(N,)``.
    changes
        How many complex numbers tell what an iteration changed.

    Attributes
    ----------
    began
        A copy of that.
    """

    def __init__(self, began: Complexes, changes: int) -> None:
        self.began = began.copy()
        self._answers = np.empty((_DEPTH, 2 * len(began)))
        self._changes = np.empty((_DEPTH, 2 * changes))
        self._products = np.zeros((_DEPTH, _DEPTH))
        self._last: tuple[Floats, Floats] | None = None
        self._seen = 0

    def step(self, answer: Complexes, change: Complexes) -> None:
        """Move on from what an iteration came to, in place.

        Parameters
        ----------
        answer
            What it came to ``(N,)``.
        change
            What it changed of that on which it depends ``(K,)``, in units in which all places matter alike.
        """
        at, moved = answer.view(np.float64), change.view(np.float64)
        before, self._last = self._last, (at.copy(), moved.copy())
        if before is None:
            return
        oldest = self._seen % _DEPTH
        self._seen += 1
        known = slice(min(self._seen, _DEPTH))
        np.subtract(at, before[0], out=self._answers[oldest])
        np.subtract(moved, before[1], out=self._changes[oldest])
        # Sums by numpy's own loops: the last bits of a BLAS tell how many threads it had.
        products = np.einsum("ij,j->i", self._changes[known], self._changes[oldest])
        self._products[known, oldest] = self._products[oldest, known] = products
        onto = np.einsum("ij,j->i", self._changes[known], moved)
        size = np.sqrt(np.maximum(self._products[known, known].diagonal(), np.finfo(float).tiny))
        scaled = self._products[known, known] / np.outer(size, size) + _PARALLEL * np.eye(len(size))
        weights = np.linalg.solve(scaled, onto / size) / size
        at -= np.einsum("i,ij->j", weights, self._answers[known])
