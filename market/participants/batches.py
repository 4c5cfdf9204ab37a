"""Columns of bids in a host's messages, whose receiver judges them one by one."""

from __future__ import annotations

import numpy as np

from market.model.arrays import Floats


def read_values(column: bytes, length: int) -> Floats:
    """Values of a column, finite or not: one that is not must spoil its own bid alone.

    Raises
    ------
    ValueError
        The column has another length.
    """
    values = np.frombuffer(column, dtype="<f8").astype(np.float64)
    if values.size != length:
        raise ValueError(f"a column has {values.size} values where {length} belong")
    return values


def pack_values(values: Floats) -> bytes:
    """Column of values, finite or not: who receives them judges them."""
    return np.ascontiguousarray(values, dtype="<f8").tobytes()
