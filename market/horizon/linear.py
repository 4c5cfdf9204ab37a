"""Small systems of linear equations, within compiled functions that run on all cores at once."""

from __future__ import annotations

import numpy as np

from market.horizon.compiled import compiled
from market.model.arrays import Floats

LEAST_PIVOT = 1e-13
"""Part of the largest diagonal entry below which rounding alone makes a pivot: it counts as so much."""


@compiled
def solve(system: Floats, right: Floats) -> None:
    """Solve ``system x = right`` by symmetric elimination, two rows at a time; ``right`` becomes x.

    A library's threads for each of many small systems would wait for the cores that these use already.

    Parameters
    ----------
    system
        ``(n, n)``, symmetric and positive definite; its upper half is read, and written over.
    right
        ``(n,)``.
    """
    n, least = right.size, 0.0
    for k in range(n):
        least = max(least, LEAST_PIVOT * system[k, k])
    for k in range(0, n - 1, 2):
        one, two = system[k], system[k + 1]
        one[k] = max(one[k], least)
        part = one[k + 1] / one[k]
        for j in range(k + 1, n):
            two[j] -= part * one[j]
        right[k + 1] -= part * right[k]
        two[k + 1] = max(two[k + 1], least)
        for i in range(k + 2, n):
            row, first, second = system[i], one[i] / one[k], two[i] / two[k + 1]
            for j in range(i, n):
                row[j] -= first * one[j] + second * two[j]
            right[i] -= first * right[k] + second * right[k + 1]
    if n % 2:
        system[n - 1, n - 1] = max(system[n - 1, n - 1], least)
    for k in range(n - 1, -1, -1):
        row, total = system[k], right[k]
        for j in range(k + 1, n):
            total -= row[j] * right[j]
        right[k] = total / row[k]


@compiled
def factor(system: Floats) -> None:
    """Cholesky's factor of a symmetric positive definite matrix, ``(n, n)``, in place of its lower half."""
    n, least = system.shape[0], 0.0
    for k in range(n):
        least = max(least, LEAST_PIVOT * system[k, k])
    for k in range(n):
        row = system[k]
        for i in range(k):
            other, total = system[i], row[i]
            for j in range(i):
                total -= row[j] * other[j]
            row[i] = total / other[i]
        pivot = row[k]
        for j in range(k):
            pivot -= row[j] * row[j]
        row[k] = np.sqrt(max(pivot, least))
