"""Columns of numbers inside messages: base64 strings that keep every bit and stay cheap to read.

A ``Column`` holds little-endian float64 values, an ``Index`` int32; small columns may also travel as plain
JSON lists (``column_list``). JSON has no NaN and infinity, so values are checked before they are sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
import numpy as np
import numpy.typing as npt

Column = Annotated[bytes, msgspec.Meta(description="little-endian float64 array, base64")]
Index = Annotated[bytes, msgspec.Meta(description="little-endian int32 array, base64")]


def pack(values: npt.ArrayLike) -> bytes:
    """Column of float64 values as bytes; raises ``ValueError`` where a value is not finite."""
    array = np.ascontiguousarray(values, dtype="<f8")
    if not np.isfinite(array).all():
        raise ValueError("a column holds a value that is not finite")
    return array.tobytes()


def unpack(column: bytes, length: int | None = None) -> npt.NDArray[np.float64]:
    """Float64 array of a column; raises ``ValueError`` at a wrong length or a value that is not finite."""
    array = np.frombuffer(column, dtype="<f8").astype(np.float64)
    if length is not None and array.size != length:
        raise ValueError(f"a column has {array.size} values where {length} belong")
    if not np.isfinite(array).all():
        raise ValueError("a column holds a value that is not finite")
    return array


def unpack_open(column: bytes, length: int) -> npt.NDArray[np.float64]:
    """Float64 array of a column of limits, where infinity means that there is none; NaN is refused."""
    array = np.frombuffer(column, dtype="<f8").astype(np.float64)
    if array.size != length or np.isnan(array).any():
        raise ValueError(f"a column of limits must have {length} values, none of them NaN")
    return array


def pack_open(values: npt.ArrayLike) -> bytes:
    """Column of limits, which may be infinite; raises ``ValueError`` at NaN."""
    array = np.ascontiguousarray(values, dtype="<f8")
    if np.isnan(array).any():
        raise ValueError("a limit is NaN")
    return array.tobytes()


def pack_index(values: npt.ArrayLike) -> bytes:
    """Column of int32 values as bytes."""
    return np.ascontiguousarray(values, dtype="<i4").tobytes()


def unpack_index(column: bytes) -> npt.NDArray[np.intp]:
    """Integer array of an index column."""
    return np.frombuffer(column, dtype="<i4").astype(np.intp)


def column_list(values: Sequence[float] | npt.NDArray[np.float64]) -> list[float]:
    """Plain floats for a small JSON column; raises ``ValueError`` where a value is not finite."""
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError("a column holds a value that is not finite")
    floats: list[float] = array.tolist()
    return floats
