"""The first field in which a message differs from the recorded one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args, get_origin

import msgspec
import numpy as np
import numpy.typing as npt

from broker.messages import Done, Message, Settled
from broker.messages.columns import Index
from broker.messages.fields import Opaque, Values
from broker.snapshot import unpack

_OF_SENDING = frozenset({"seq", "epoch"})
"""Numbers of a sender that was started anew begin anew, too."""

_OF_TRAVEL = {Done: frozenset({"flags", "traffic"}), Settled: frozenset({"flags"})}
"""Fields that also say how messages travelled."""

_LONGEST = 60


@dataclass(frozen=True)
class Difference:
    """Something that came out otherwise than in the recorded run.

    Attributes
    ----------
    tick
        The interval.
    where
        Topic below the run's root, or ``ledger``.
    what
        What differs, in words: field, value here and value there.
    """

    tick: int
    where: str
    what: str

    def __str__(self) -> str:
        return f"interval {self.tick}, {self.where}: {self.what}"


def first_difference(here: Message, there: Message) -> str:
    """Field in which two messages differ, and both values; empty where none does.

    Left out is what no two runs have in common: numbers of the sender's messages, and durations.
    """
    if type(here) is not type(there):
        return f"a {type(here).__name__} here, a {type(there).__name__} in the record"
    for name, is_index, is_opaque in _fields(type(here)):
        one, two = getattr(here, name), getattr(there, name)
        if is_opaque and one != two:
            one, two = _opened(one), _opened(two)
        for found in _walk(name, one, two, is_index=is_index):
            return found
    return ""


@cache
def _fields(kind: type[msgspec.Struct]) -> list[tuple[str, bool, bool]]:
    """Fields of a struct that are compared: name, whether it is a column of indices, whether it is opaque."""
    kept = []
    for each in msgspec.structs.fields(kind):
        marks = (
            each.type.__metadata__ if get_origin(each.type) is not None and _is_annotated(each.type) else ()
        )
        is_measured = any(isinstance(mark, Values) and mark.measured for mark in marks)
        if each.name in _OF_SENDING or is_measured or each.name in _OF_TRAVEL.get(kind, ()):
            continue
        is_index = any(mark in Index.__metadata__ for mark in marks)  # type: ignore[attr-defined]
        kept.append((each.name, is_index, any(isinstance(mark, Opaque) for mark in marks)))
    return kept


def _is_annotated(annotation: Any) -> bool:
    return hasattr(annotation, "__metadata__") and bool(get_args(annotation))


def _opened(content: bytes) -> Any:
    """What a service remembered, by name; the bytes where they are something else."""
    try:
        return unpack(content)
    except ValueError:
        return content


def _walk(path: str, here: Any, there: Any, *, is_index: bool = False) -> Iterator[str]:
    """Where two values differ, one after the other."""
    if isinstance(here, msgspec.Struct) and type(here) is type(there):
        for name, of_index, _ in _fields(type(here)):
            yield from _walk(f"{path}.{name}", getattr(here, name), getattr(there, name), is_index=of_index)
    elif isinstance(here, Mapping) and isinstance(there, Mapping):
        for name in sorted({*here, *there}, key=str):
            if name not in here or name not in there:
                yield f"{path}.{name} is only {'here' if name in here else 'in the record'}"
            else:
                yield from _walk(f"{path}.{name}", here[name], there[name])
    elif isinstance(here, bytes) and isinstance(there, bytes):
        if here != there:
            yield from _walk(path, *(_numbers(each, is_index=is_index) for each in (here, there)))
    elif isinstance(here, np.ndarray) and isinstance(there, np.ndarray):
        yield from _arrays(path, here, there)
    elif isinstance(here, list | tuple) and isinstance(there, list | tuple):
        yield from _sequences(path, here, there)
    elif type(here) is not type(there) or here != there:
        yield f"{path} is {_text(here)} here, {_text(there)} in the record"


def _sequences(path: str, here: Sequence[Any], there: Sequence[Any]) -> Iterator[str]:
    for place, (one, two) in enumerate(zip(here, there, strict=False)):
        yield from _walk(f"{path}[{place}]", one, two)
    if len(here) != len(there):
        yield f"{path} has {len(here)} items here, {len(there)} in the record"


def _numbers(column: bytes, *, is_index: bool) -> npt.NDArray[Any]:
    """Values of a column; single bytes where it is none."""
    dtype = np.dtype("<i4" if is_index else "<f8")
    return np.frombuffer(column, dtype if len(column) % dtype.itemsize == 0 else np.uint8)


def _arrays(path: str, here: npt.NDArray[Any], there: npt.NDArray[Any]) -> Iterator[str]:
    if here.shape != there.shape or here.dtype != there.dtype:
        yield f"{path} has {here.size} values here, {there.size} in the record"
        return
    # Bits, for which zeros of both signs differ, and one NaN is like another.
    bits = [
        np.ascontiguousarray(each).reshape(-1).view(np.uint8).reshape(each.size, -1) for each in (here, there)
    ]
    for place in np.flatnonzero((bits[0] != bits[1]).any(axis=1)) if here.size else ():
        one, two = here.reshape(-1)[place], there.reshape(-1)[place]
        yield f"{path}[{place}] is {_text(one)} here, {_text(two)} in the record"


def _text(value: object) -> str:
    if isinstance(value, msgspec.Struct | np.ndarray):
        return f"a {type(value).__name__}"
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
