"""What a service remembers from one interval to the next, as bytes in which arrays keep their bits.

A snapshot is a map of names to numbers, texts, lists, maps and numpy arrays. It travels as one field of a
message and rests in the ledger's file, so nothing in it is ever executed. Large ones are compressed where
that makes them much smaller: what stands in the registers of 11,250 meters is 9 MB and hardly differs from
one to the other, while figures of prosumers lose a twentieth, for more work than it takes to send them.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

Values = Mapping[str, Any]

_ARRAY = 1
_LARGE = 64 * 2**10
# No map begins with it, which is what a snapshot is.
_COMPRESSED = b"\x78"
_FASTEST = 1
_TRIED_BYTES = 8 * 2**10
_WORTH = 0.5
_MOST_BYTES = 2**30
_DTYPES = frozenset({"<f8", "<i8", "<u8", "<u2", "|b1"})

T = TypeVar("T", bound=np.generic)
S = TypeVar("S")


class Stateful(Protocol):
    """A service that remembers something from one interval to the next."""

    async def snapshot(self) -> Values:
        """What it remembers now, between two intervals."""
        ...

    async def restore(self, values: Values) -> None:
        """Go on from what a snapshot holds; raises ``ValueError`` where that is not its own."""
        ...


class _Array(msgspec.Struct, array_like=True):
    """An array in a snapshot."""

    dtype: str
    shape: tuple[int, ...]
    content: bytes


def pack(values: Values) -> bytes:
    """Bytes of a snapshot."""
    content = msgspec.msgpack.encode(values, enc_hook=_packed)
    return zlib.compress(content, _FASTEST) if _is_worth_compressing(content) else content


def _is_worth_compressing(content: bytes) -> bool:
    """Whether it is large, and a piece out of its middle shrinks well."""
    begin = len(content) // 2
    tried = content[begin : begin + _TRIED_BYTES]
    return len(content) >= _LARGE and len(zlib.compress(tried, _FASTEST)) < _WORTH * len(tried)


def unpack(content: bytes) -> dict[str, Any]:
    """Snapshot from its bytes; raises ``ValueError`` where they are none."""
    try:
        if content.startswith(_COMPRESSED):
            content = zlib.decompressobj().decompress(content, _MOST_BYTES)
        return msgspec.msgpack.decode(content, type=dict[str, Any], ext_hook=_unpacked)
    except (msgspec.DecodeError, zlib.error) as error:
        raise ValueError(f"a snapshot cannot be read: {error}") from None


def part(values: Values, name: str) -> dict[str, Any]:
    """Map ``name`` of a snapshot; raises ``ValueError`` where it has none."""
    found = values.get(name)
    if not isinstance(found, dict):
        raise ValueError(f"the snapshot has no {name}")  # noqa: TRY004 - as for what is missing
    return found


def array_of(values: Mapping[Any, Any], name: object, like: npt.NDArray[T]) -> npt.NDArray[T]:
    """Array ``name`` of a snapshot; raises ``ValueError`` unless it has the shape and type of ``like``."""
    found = values.get(name)
    if not isinstance(found, np.ndarray) or found.shape != like.shape or found.dtype != like.dtype:
        raise ValueError(f"the snapshot has no {name} of shape {like.shape}")
    return found


def optional_array(values: Values, name: str, like: npt.NDArray[T]) -> npt.NDArray[T] | None:
    """As `array_of`, or ``None`` where the snapshot says that there was none."""
    return None if name in values and values[name] is None else array_of(values, name, like)


def typed(values: Values, name: str, kind: type[S]) -> S:
    """Value ``name`` of a snapshot as a ``kind``; raises ``ValueError`` where it is none."""
    try:
        return msgspec.convert(values.get(name), kind, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(f"{name} in the snapshot: {error}") from None


def _packed(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, np.ndarray):
        raise NotImplementedError(f"a snapshot cannot hold {type(value).__name__}")
    content = np.ascontiguousarray(value)
    if content.dtype.str not in _DTYPES:
        raise NotImplementedError(f"a snapshot cannot hold arrays of {content.dtype}")
    array = _Array(content.dtype.str, value.shape, content.tobytes())
    return msgspec.msgpack.Ext(_ARRAY, msgspec.msgpack.encode(array))


def _unpacked(code: int, content: memoryview) -> object:
    if code != _ARRAY:
        raise ValueError(f"a snapshot holds something of an unknown kind {code}")
    array = msgspec.msgpack.decode(content, type=_Array)
    if array.dtype not in _DTYPES or min(array.shape, default=0) < 0:
        raise ValueError(f"a snapshot holds an array of {array.dtype[:20]}")
    dtype = np.dtype(array.dtype)
    if len(array.content) != dtype.itemsize * math.prod(array.shape):
        raise ValueError("an array in a snapshot is cut off")
    # A copy, so that it may be written to.
    return np.frombuffer(array.content, dtype).reshape(array.shape).copy()
