"""What programs written in cvxpy share: the solver's tolerances, and sums by owner."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import coo_array

from market.model.arrays import Ints

TOLERANCES = {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12, "max_iter": 500}
"""Clarabel's; near them it may stop at its last digits, which a solution's status tells."""


def incidence(row: Ints, rows: int) -> Any:
    """Sparse matrix that sums columns by their row, ``(rows, row.size)``."""
    return coo_array((np.ones(row.size), (row, np.arange(row.size))), shape=(rows, row.size)).tocsr()
