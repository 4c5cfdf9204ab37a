"""A recorded message as a person reads it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_origin

import msgspec
import numpy as np

from broker.messages import Message
from broker.messages.columns import Index
from broker.messages.fields import Opaque
from broker.snapshot import unpack
from cosim.traffic.entries import Entry

_MOST_ITEMS = 12
_MOST_BYTES = 4000


def read_message(entry: Entry, message: Message | None) -> str:
    """Text of a message over several lines: when and where it was said, and its fields with their numbers."""
    at = datetime.fromtimestamp(entry.at_s, tz=UTC).strftime("%H:%M:%S.%f")
    head = f"{entry.topic}  at {at} UTC, {len(entry.body):,} bytes"
    if message is None:
        return f"{head}\n{entry.body[:_MOST_BYTES].decode(errors='replace')}"
    text = msgspec.json.format(msgspec.json.encode(_readable(message)), indent=2)
    return f"{head}\n{text.decode()}"


def _readable(value: Any) -> Any:
    """Value with columns as lists, of which long ones are cut."""
    if isinstance(value, msgspec.Struct):
        found = {}
        for each in msgspec.structs.fields(type(value)):
            marks = getattr(each.type, "__metadata__", ()) if get_origin(each.type) is not None else ()
            found[each.name] = _field(getattr(value, each.name), marks)
        return found
    if isinstance(value, dict):
        return {str(name): _readable(each) for name, each in value.items()}
    if isinstance(value, np.ndarray):
        return _readable(value.reshape(-1).tolist())
    if isinstance(value, list | tuple):
        rest = len(value) - _MOST_ITEMS
        return [_readable(each) for each in value[:_MOST_ITEMS]] + ([f"... {rest} more"] if rest > 0 else [])
    return value


def _field(value: Any, marks: tuple[Any, ...]) -> Any:
    if not isinstance(value, bytes):
        return _readable(value)
    if any(isinstance(mark, Opaque) for mark in marks):
        try:
            return _readable(unpack(value))
        except ValueError:
            return f"{len(value):,} bytes"
    is_index = any(mark in Index.__metadata__ for mark in marks)  # type: ignore[attr-defined]
    dtype = np.dtype("<i4" if is_index else "<f8")
    return f"{len(value):,} bytes" if len(value) % dtype.itemsize else _readable(np.frombuffer(value, dtype))
