"""Small systems of linear equations, within compiled functions that run on all cores at once."""

from __future__ import annotations

from market.horizon.compiled import compiled
from market.model.arrays import Floats


@compiled
def solve(system: Floats, right: Floats) -> None:
    """Solve ``system x = right`` by elimination with row pivots; both are written over, ``right`` by x.

    A library's threads for each of many small systems would wait for the cores that these use already.

    Parameters
    ----------
    system
        ``(n, n)``, not singular.
    right
        ``(n,)``.
    """
    n = right.size
    for k in range(n):
        pivot = k
        for i in range(k + 1, n):
            if abs(system[i, k]) > abs(system[pivot, k]):
                pivot = i
        if pivot != k:
            for j in range(k, n):
                system[k, j], system[pivot, j] = system[pivot, j], system[k, j]
            right[k], right[pivot] = right[pivot], right[k]
        for i in range(k + 1, n):
            part = system[i, k] / system[k, k]
            if part != 0.0:
                for j in range(k + 1, n):
                    system[i, j] -= part * system[k, j]
                right[i] -= part * right[k]
    for k in range(n - 1, -1, -1):
        total = right[k]
        for j in range(k + 1, n):
            total -= system[k, j] * right[j]
        right[k] = total / system[k, k]
