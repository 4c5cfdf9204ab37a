"""Whether the numbers and texts of a decoded message can be meant: how many, of what, and how large.

Each struct's annotations (`broker.messages.fields.Values`) are turned into checks once; a check raises
``ValueError`` with the reason.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from broker.door.bounds import Bounds
from broker.messages import Message
from broker.messages.columns import Index
from broker.messages.fields import Opaque, Unit, Values

LONGEST_TEXT = 2000
"""Characters of one text; names are far shorter, and so is what a person reads."""


@dataclass
class _Context:
    """What one message is held against, and the sizes that its first fields have set."""

    bounds: Bounds
    sender: str
    sizes: dict[str, int]
    ranges: dict[Unit, tuple[float, float]]


Check = Callable[[Any, _Context], None]


def check_content(message: Message, bounds: Bounds) -> None:
    """Hold a message's values against a run.

    Raises
    ------
    ValueError
        A value, or how many there are, cannot be meant; the reason names the field.
    """
    _check_struct(message, _Context(bounds, message.sender, dict(bounds.sizes), bounds.ranges))
    message.check(bounds.sizes)


def implausible(struct: msgspec.Struct, bounds: Bounds) -> list[str]:
    """Names of a struct's fields whose values would not pass in a message of a run, in their order.

    Who passes on numbers from outside holds them against the same bounds as the door, before it sends them.
    """
    context = _Context(bounds, "", dict(bounds.sizes), bounds.ranges)
    try:
        _check_struct(struct, context)
    except ValueError:
        fields = _checks(type(struct))
        return [name for name, _, check in fields if not _passes(check, getattr(struct, name), context)]
    return []


def _passes(check: Check, value: Any, context: _Context) -> bool:
    try:
        check(value, context)
    except ValueError:
        return False
    return True


def _check_struct(struct: msgspec.Struct, context: _Context) -> None:
    ranges = context.ranges
    for name, unit, check in _checks(type(struct)):
        value = getattr(struct, name)
        if unit is None:
            try:
                check(value, context)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        elif value is not None:
            # As `_number`, of which messages hold most.
            low, high = ranges[unit]
            if not low <= value <= high:
                raise ValueError(f"{name}: {_implausible(value)}")


@cache
def _checks(kind: type[msgspec.Struct]) -> list[tuple[str, Unit | None, Check]]:
    """Fields of a struct that need a check, in their order: the unit of a plain number, and the check."""
    found = ((each, _check_of(each.type, Values())) for each in msgspec.structs.fields(kind))
    return [(each.name, _unit_of(each.type), check) for each, check in found if check is not None]


def _unit_of(annotation: Any) -> Unit | None:
    """Unit of a number that may be missing, and is nothing more."""
    values = Values()
    while True:
        origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is typing.Annotated:
            values = next((each for each in annotation.__metadata__ if isinstance(each, Values)), values)
            annotation = annotation.__origin__
        elif origin in (typing.Union, UnionType):
            (annotation,) = (each for each in inner if each is not NoneType)
        else:
            is_number = annotation is float or (annotation is int and bool(values.unit))
            return values.unit if is_number and not values.sums else None


def _implausible(value: float) -> str:
    return f"{value:g} is not plausible"


def _check_of(annotation: Any, values: Values) -> Check | None:
    """Check of values of an annotated type; ``None`` where decoding has checked all there is."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        values = next((each for each in annotation.__metadata__ if isinstance(each, Values)), values)
        bare = annotation.__origin__
        if any(isinstance(each, Opaque) for each in annotation.__metadata__):
            return None
        if bare is bytes:
            is_index = annotation.__metadata__[0] in Index.__metadata__  # type: ignore[attr-defined]
            return _index(values) if is_index else _column(values)
        return _check_of(bare, values)
    if origin in (typing.Union, UnionType):
        (inner,) = (each for each in typing.get_args(annotation) if each is not NoneType)
        return _unless_none(_check_of(inner, values))
    if origin is list:
        return _list(_check_of(typing.get_args(annotation)[0], values), values)
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return _check_struct if _checks(annotation) else None
    if annotation is float or (annotation is int and values.unit):
        return _number(values)
    return _text if annotation is str else None


def _number(values: Values) -> Check:
    unit = values.unit
    if not unit:
        raise TypeError("a number of a message has no range: say its unit by Values")

    def check(value: float, context: _Context) -> None:
        low, high = context.ranges[unit]
        if not low <= value <= high:
            raise ValueError(_implausible(value))
        if values.sums:
            context.sizes[values.sums] = int(value)

    return check


def _text(value: str, context: _Context) -> None:  # noqa: ARG001
    if len(value) > LONGEST_TEXT:
        raise ValueError(f"a text has {len(value)} characters where at most {LONGEST_TEXT} belong")


def _unless_none(inner: Check | None) -> Check | None:
    if inner is None:
        return None

    def check(value: Any, context: _Context) -> None:
        if value is not None:
            inner(value, context)

    return check


def _list(inner: Check | None, values: Values) -> Check:
    def check(items: Sequence[Any], context: _Context) -> None:
        _check_size(len(items), values, context)
        if values.of:
            _check_members(items, values, context)
            return
        if inner is not None:
            for item in items:
                inner(item, context)

    return check


def _column(values: Values) -> Check:
    if not values.unit:
        raise TypeError("a column of a message has no range: say its unit by Values")

    def check(column: bytes, context: _Context) -> None:
        if len(column) % 8:
            raise ValueError(f"{len(column)} bytes are no whole number of values")
        _check_size(len(column) // 8, values, context)
        if values.apart or not column:
            return
        array = np.frombuffer(column, dtype="<f8")
        low, high = context.ranges[values.unit]
        if values.infinite:
            array = array[~np.isinf(array)]
        # The least and the most are NaN where any value is.
        if array.size and not (low <= array.min() and array.max() <= high):
            raise ValueError("a value is not finite or not plausible")

    return check


def _index(values: Values) -> Check:
    def check(index: bytes, context: _Context) -> None:
        if len(index) % 4:
            raise ValueError(f"{len(index)} bytes are no whole number of indices")
        _check_size(len(index) // 4, values, context)
        array = np.frombuffer(index, dtype="<i4")
        if values.of:
            _check_indices(array, values, context)
        elif array.size and array.min() < 0:
            raise ValueError("a count is below 0")
        if values.sums:
            context.sizes[values.sums] = int(array.sum(dtype=np.int64))

    return check


def _check_size(size: int, values: Values, context: _Context) -> None:
    if not values.size or (values.empty and size == 0):
        return
    if values.steady and size == _wanted(values.size.partition("*")[0], context):
        return
    wanted = _wanted(values.size, context)
    if wanted is None:
        context.sizes[values.size] = size
    elif size != wanted:
        raise ValueError(f"{size} values where {wanted} belong")


def _wanted(size: str, context: _Context) -> int | None:
    product = 1
    for factor in size.split("*"):
        if factor not in context.sizes:
            return None
        product *= context.sizes[factor]
    return product


def _check_indices(array: npt.NDArray[np.int32], values: Values, context: _Context) -> None:
    known = context.bounds.names.get(values.of)
    most = np.iinfo(np.int32).max if known is None else len(known)
    if array.size and not (array.min() >= 0 and array.max() < most):
        raise ValueError(f"an index is of no {values.of} in this run")
    scope = context.bounds.scopes.get(context.sender, {}).get(values.of)
    if scope is not None and not scope[array].all():
        raise ValueError(f"{context.sender} does not speak for each {values.of}")
    if values.size == values.of and not _are_distinct(array):
        raise ValueError(f"a {values.of} is named twice")


def _are_distinct(array: npt.NDArray[np.int32]) -> bool:
    """Whether no index stands twice; most columns name parties in their order."""
    return _is_rising(array) or _is_rising(np.sort(array))


def _is_rising(array: npt.NDArray[np.int32]) -> bool:
    return bool((array[1:] > array[:-1]).all())


def _check_members(items: Sequence[Any], values: Values, context: _Context) -> None:
    """Hold names, or indices in a plain list, against the roster."""
    known = context.bounds.names.get(values.of)
    if known is None:
        return
    for item in items:
        if not (0 <= item < len(known) if isinstance(item, int) else item in known):
            raise ValueError(f"{str(item)[:50]} is no {values.of} of this run")
