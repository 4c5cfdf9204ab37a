"""The reference of a scenario's keys and of users' tables, written from their declarations.

docs/scenario.md is this text; a test compares them; ``python -m scripts.make_scenario_doc`` writes it anew.
"""

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from cosim.population.profile_table import QUANTITIES
from cosim.population.tables import COLUMNS
from cosim.scenario import Scenario

HEAD = """# Scenario files

A scenario is one TOML file; everything that decides what a run is stands in it. `sharegrid run FILE`
loads it, and without a file the shipped default, `cosim/scenario/default.toml`: a summer day on the IEEE
123-node feeder. A key left out has its default. Unknown keys, wrong types and values out of range are
refused in one line that names the file, the line and the key. The run stores the scenario with every
value written out.

Prices marked "one or 24" are one number, or 24 by local hour from midnight. Paths are relative to the
file. Power is in kW, energy in kWh, price in $/kWh throughout.
"""

TABLES = """
## Tables of your own

`[tables]` names CSV or Parquet files that replace synthetic data. The first line of a CSV file holds the
names of the columns; decimals are points. See `scenarios/own-tables.toml` for a small example.

### Prosumers

One row per prosumer; every load bus of the feeder needs at least one. Optional columns may be left out,
but not single cells.

| column | unit | where left out | meaning |
|---|---|---|---|
"""

PROFILES = """
### Profiles

One row per interval, or per sub-step (`run.interval_min` / `run.substeps`), and at least those of the
run. Column `time` is the start of each row with its UTC offset (`2024-06-21T00:00+02:00`, or a column
with time zone in Parquet). The other columns are named by quantity and profile, such as `load_kw.p1`; a
prosumer's profile is its id unless the prosumers' table says otherwise, and several may share one. What
no column gives stays synthetic.

| column | meaning |
|---|---|
"""


def scenario_reference() -> str:
    """Text of docs/scenario.md: every key with unit, range, default and meaning, and the tables' columns."""
    parts = [HEAD]
    described = inspect.type_info(Scenario)
    if not isinstance(described, inspect.StructType):
        raise TypeError("a scenario is a struct")
    for field in described.fields:
        kind, _ = _plain(field.type)
        if isinstance(kind, inspect.VarTupleType):
            parts += _section(field.name, kind.item_type, listed=True)
        else:
            parts += _section(field.name, field.type)
    rows = (f"| `{name}` | {c.unit} | {c.otherwise} | {c.meaning} |" for name, c in COLUMNS.items())
    quantities = (f"| `{name}.PROFILE` | {meaning} |" for name, meaning in QUANTITIES.items())
    return "".join(parts) + TABLES + "\n".join(rows) + "\n" + PROFILES + "\n".join(quantities) + "\n"


def _section(name: str, annotated: inspect.Type, *, listed: bool = False) -> list[str]:
    """Table of one section and those below it."""
    described, _ = _plain(annotated)
    if not isinstance(described, inspect.StructType):
        raise TypeError(f"{name} is no section")
    heading = f"[[{name}]]" if listed else f"[{name}]"
    meaning = (described.cls.__doc__ or "").partition(": ")[2]
    lines = [f"\n## {heading}\n\n{meaning[:1].upper()}{meaning[1:]}\n\n"]
    lines.append("| key | unit | range | default | meaning |\n|---|---|---|---|---|\n")
    below: list[str] = []
    for field in described.fields:
        kind, meta = _plain(field.type)
        if isinstance(kind, inspect.StructType):
            below += _section(f"{name}.{field.name}", field.type)
            continue
        if isinstance(kind, inspect.VarTupleType) and isinstance(
            _plain(kind.item_type)[0], inspect.StructType
        ):
            below += _section(f"{name}.{field.name}", kind.item_type, listed=True)
        unit = (meta.extra or {}).get("unit", "") if meta else ""
        text = (meta.extra_json_schema or {}).get("description", "") if meta else ""
        default = "needed" if field.required else _default(field)
        lines.append(f"| `{field.name}` | {unit} | {_range(field.type)} | {default} | {text} |\n")
    return lines + below


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
        whole = isinstance(_plain(kind.item_type)[0], inspect.StructType)
        return "one or more sub-tables" if whole else "list of texts"
    if isinstance(kind, inspect.DictType):
        return "sub-table"
    if isinstance(kind, inspect.IntType | inspect.FloatType):
        names = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
        limits = [
            f"{sign} {getattr(kind, end):,.10g}"
            for end, sign in names.items()
            if getattr(kind, end) is not None
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


if __name__ == "__main__":
    Path("docs/scenario.md").write_text(scenario_reference(), encoding="utf-8")
