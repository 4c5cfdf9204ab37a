"""Writes docs/messages.md and docs/messages.schema.json from the declared messages.

Run it after a change to ``broker/messages``.
"""

from __future__ import annotations

import argparse
import inspect
import sys
import typing
from collections.abc import Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal

import msgspec

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


from broker import messages  # noqa: E402
from broker.messages import columns  # noqa: E402
from broker.messages.fields import Values  # noqa: E402
from broker.topics import Topics  # noqa: E402

HEADER = {field.name for field in msgspec.structs.fields(messages.Message)}
COLUMNS = {columns.Column.__metadata__: "column", columns.Index.__metadata__: "index"}


INTRODUCTION = """\
# Messages

This page and [messages.schema.json](messages.schema.json) are generated from `broker/messages/` by
`python scripts/make_message_docs.py`; edit those, not this.
Who acts on which message, and when, is in [architecture.md](architecture.md); units and signs are in
[nomenclature.md](nomenclature.md).

A payload is one JSON object. Its `kind` says which of the structs below it is; unknown fields, missing
fields and wrong types are refused. Every message carries this header:

{header}

- `column` is a base64 string of little-endian float64 values, `index` one of little-endian int32 values.
  Parallel columns of a message have equal lengths. Ragged data are laid end to end, with a column of counts.
- What a field's values are held against stands behind its type: their unit, of what they are indices, and how
  many there are. `lams`, `nodes`, `branches` and `prosumers` are those of the run, any other word stands for
  the length of the first field of the message that has it. Each unit has a range that is plausible.
- A value that is missing is `null`. Values that are not finite are refused on both sides, except for the
  limits of a row, where an infinite value means that there is none.
- Every topic has exactly one writer, which numbers its messages there from 0 (`seq`). A repeated message is
  a duplicate and is dropped; another one with a number that was used is a conflict and is refused; a skipped
  number is a gap and flags the interval; a message of a past tick is late.
- Only kinds whose table says so are retained. Any other that arrives retained is refused.
- No message has more than 64 MiB; a sender that is asked for one fails by an error that names topic and
  size. Beyond 512 KiB a message travels in parts on its own topic, so that brokers with small packets carry
  it. Each part has a head of 24 bytes, big-endian: the mark `00 70 61 72 74 00 00 01`, which no JSON begins
  with, 8 bytes that are the message's own, the part's number from 0 and how many there are, 4 bytes each. A
  receiver puts the parts together, in any order, before anything else looks at the message.
- QoS 1 delivers at least once; the numbers make it once. Order between topics is never relied upon.
- Very many messages that a service sends at once (`broker.bundle_from`) go in packets on their topic with `~`
  for its last level: 8 bytes `00 6d 61 6e 79 00 00 01`, then for each message the length of its last level (2
  bytes) and of its body (4 bytes, high byte first), that level and the body.
- A service that refuses a message says so on `rejected`, with the topic and the reason. What is checked, and
  in which order, is in [architecture.md](architecture.md#the-door).

All topics stand below `{root}`.

## Kinds

{table}
"""

PART_HEADING = """\
## Parts of messages

Structs that occur inside others; they have no header of their own.
"""


def render() -> str:
    """Text of docs/messages.md."""
    sections = [_section(each.kind, f"`{tag}`") for tag, each in messages.DECLARED.items()]
    parts = [_section(part, f"`{part.__name__}`", skip=set()) for part in _parts()]
    return "\n".join(
        [
            INTRODUCTION.format(
                header=_fields(messages.Message, skip=set()), root=Topics("{run}").root, table=_kinds()
            ),
            *sections,
            PART_HEADING,
            *parts,
        ]
    )


def schema() -> str:
    """Text of docs/messages.schema.json: JSON Schema 2020-12 of any message."""
    (any_message,), definitions = msgspec.json.schema_components(
        [messages.ANY_MESSAGE], ref_template="#/$defs/{name}"
    )
    for definition in definitions.values():
        definition["description"] = _one_line(definition["description"])
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "sharegrid wire messages, version 1",
        **any_message,
        "$defs": dict(sorted(definitions.items())),
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _one_line(docstring: str) -> str:
    return " ".join(docstring.replace("``", "").split())


def _parts() -> list[type[msgspec.Struct]]:
    """Structs inside messages, and inside these, in the order in which they occur."""
    found: dict[type[msgspec.Struct], None] = {}

    def look(kind: Any) -> None:
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            if not issubclass(kind, messages.Message):
                found[kind] = None
            for field in msgspec.structs.fields(kind):
                look(field.type)
        for argument in typing.get_args(kind):
            look(argument)

    look(messages.ANY_MESSAGE)
    return list(found)


def _kinds() -> str:
    rows = []
    for tag, each in messages.DECLARED.items():
        qos = f"{each.qos}, retained" if each.retained else str(each.qos)
        rows.append((f"[`{tag}`](#{tag})", f"`{each.topic}`", each.sender, each.receiver, qos))
    return _table(("kind", "topic", "sender", "receivers", "QoS"), rows)


def _section(kind: type[msgspec.Struct], heading: str, skip: set[str] = HEADER) -> str:
    text = inspect.cleandoc(kind.__doc__ or "").replace("``", "`")
    return f"### {heading}\n\n{text}\n\n{_fields(kind, skip)}\n"


def _fields(kind: type[msgspec.Struct], skip: set[str]) -> str:
    rows = [
        (f"`{field.encode_name}`", _type(field.type), _default(field))
        for field in msgspec.structs.fields(kind)
        if field.name not in skip
    ]
    return _table(("field", "type", "default"), rows)


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    made = field.default_factory is not msgspec.NODEFAULT
    value = field.default_factory() if made else field.default
    return "all 0" if isinstance(value, messages.Traffic) else f"`{msgspec.json.encode(value).decode()}`"


def _type(kind: Any) -> str:
    if typing.get_origin(kind) is typing.Annotated:
        column = COLUMNS.get(kind.__metadata__[:1])
        said = [each for each in kind.__metadata__ if isinstance(each, Values)]
        return " ".join([column or _type(kind.__origin__), *map(_values, said)])
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return ", ".join(f"`{msgspec.json.encode(argument).decode()}`" for argument in arguments)
    if origin is list:
        return f"list of {_type(arguments[0])}"
    if origin in (typing.Union, UnionType):
        inner = [_type(argument) for argument in arguments if argument is not NoneType]
        return " or ".join([*inner, "null"] if NoneType in arguments else inner)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return f"[`{kind.__name__}`](#{kind.__name__.lower()})"
    plain = {bool: "true or false", int: "integer", float: "number", str: "string", bytes: "base64 of bytes"}
    return plain[kind]


def _values(values: Values) -> str:
    """What a field's values are held against, in words."""
    said = [
        values.unit.replace("_", " "),
        f"of {values.of}s" if values.of else "",
        f"as many as {values.size}" if values.size and values.size != values.of else "",
        "or none" if values.empty else "",
        "infinite where there is no limit" if values.infinite else "",
        "judged one by one" if values.apart else "",
    ]
    text = ", ".join(each for each in said if each)
    return f"({text})" if text else ""


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main() -> None:
    """Write both files, or with ``--check`` say whether they are in step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare; fail where they differ")
    check = parser.parse_args().check
    for name, text in (("messages.md", render()), ("messages.schema.json", schema())):
        path = ROOT / "docs" / name
        if not check:
            path.write_text(text, encoding="utf-8")
        elif path.read_text(encoding="utf-8") != text:
            sys.exit(f"docs/{name} is out of step: run python scripts/make_message_docs.py")


if __name__ == "__main__":
    main()
