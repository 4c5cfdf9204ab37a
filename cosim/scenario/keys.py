"""The keys of a scenario as its structs declare them: unit, range, default and meaning of each."""

from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

from cosim.scenario.scenario import Scenario
from cosim.scenario.units import LARGEST


class Key(NamedTuple):
    """One key of a section, in words; ``unit`` is empty where a value has none."""

    name: str
    unit: str
    range: str
    default: str
    meaning: str


class Section(NamedTuple):
    """A table of a scenario's file by its dotted name; ``is_list`` for one that may stand several times."""

    name: str
    is_list: bool
    meaning: str
    keys: tuple[Key, ...]


def sections() -> list[Section]:
    """Every section of a scenario, each before those below it."""
    return [part for field in _struct(inspect.type_info(Scenario)).fields for part in _below("", field)]


def _below(above: str, field: inspect.Field) -> list[Section]:
    """The section that a field is, and those in it; none where it is a plain value."""
    kind, _ = _plain(field.type)
    is_list = isinstance(kind, inspect.VarTupleType)
    inner = kind.item_type if isinstance(kind, inspect.VarTupleType) else kind
    if not isinstance(_plain(inner)[0], inspect.StructType):
        return []
    described, name = _struct(inner), f"{above}{field.name}"
    meaning = (described.cls.__doc__ or "").partition(": ")[2]
    keys = tuple(
        _key(each) for each in described.fields if not isinstance(_plain(each.type)[0], inspect.StructType)
    )
    own = Section(name, is_list, f"{meaning[:1].upper()}{meaning[1:]}", keys)
    return [own, *(part for each in described.fields for part in _below(f"{name}.", each))]


def _key(field: inspect.Field) -> Key:
    _, meta = _plain(field.type)
    return Key(
        name=field.name,
        unit=(meta.extra or {}).get("unit", "") if meta else "",
        range=_range(field.type),
        default="needed" if field.required else _default(field),
        meaning=(meta.extra_json_schema or {}).get("description", "") if meta else "",
    )


def _struct(annotated: inspect.Type) -> inspect.StructType:
    kind, _ = _plain(annotated)
    if not isinstance(kind, inspect.StructType):
        raise TypeError(f"{kind} is no section")
    return kind


def _plain(annotated: inspect.Type) -> tuple[inspect.Type, inspect.Metadata | None]:
    """Type under its metadata, and the metadata."""
    if isinstance(annotated, inspect.Metadata):
        return annotated.type, annotated
    return annotated, None


def _range(annotated: inspect.Type) -> str:
    """What values a type admits, in words."""
    kind, _ = _plain(annotated)
    if isinstance(kind, inspect.LiteralType):
        return ", ".join(f"`{value}`" for value in kind.values)
    if isinstance(kind, inspect.BoolType):
        return "`true`, `false`"
    if isinstance(kind, inspect.UnionType):
        return "number or text" if any(isinstance(t, inspect.StrType) for t in kind.types) else "one or 24"
    if isinstance(kind, inspect.TupleType):
        return f"{len(kind.item_types)} numbers"
    if isinstance(kind, inspect.DateTimeType):
        return "local date and time"
    if isinstance(kind, inspect.VarTupleType):
        is_struct = isinstance(_plain(kind.item_type)[0], inspect.StructType)
        return "one or more sub-tables" if is_struct else "list of texts"
    if isinstance(kind, inspect.DictType):
        return "sub-table"
    if isinstance(kind, inspect.IntType | inspect.FloatType):
        names = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
        limits = [
            f"{sign} {getattr(kind, end):,.10g}"
            for end, sign in names.items()
            if getattr(kind, end) not in (None, -LARGEST, LARGEST)
        ]
        whole = ["whole"] if isinstance(kind, inspect.IntType) else []
        return ", ".join([*whole, *limits])
    return "text"


def _default(field: inspect.Field) -> str:
    """Default of a key that may be left out."""
    if field.default_factory is not msgspec.NODEFAULT:
        return "none"
    return _value(field.default)


def _value(default: Any) -> str:
    """A default as one would write it."""
    if isinstance(default, tuple) and default and isinstance(default[0], msgspec.Struct):
        return ", ".join(str(getattr(item, "name", item)) for item in default)
    if default == ():
        return "none"
    if isinstance(default, tuple) and len(default) == 4:
        return ", ".join(f"{item:g}" for item in default)
    if isinstance(default, tuple):
        return "by hour, see default.toml"
    if isinstance(default, datetime):
        return f"{default:%Y-%m-%dT%H:%M:%S}"
    if isinstance(default, bool):
        return str(default).lower()
    return f'`"{default}"`' if isinstance(default, str) else f"{default}"
