"""One column of a run's tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

Source = Literal["outcome", "booking", "audit", "certificate", "state", "telemetry"]


class Column(NamedTuple):
    """One column; ``unit`` is empty where a value has none.

    ``source`` names what holds the value under the column's own name; such a column needs no other line
    of code. The others are computed in ``cosim.recording.rows``.
    """

    name: str
    type: Literal["integer", "number", "flag", "text", "time"]
    unit: str
    meaning: str
    source: Source | None = None


def copied(table: Sequence[Column], source: Source, holder: object) -> dict[str, Any]:
    """Values of the columns that come from a source, from what holds them."""
    return {column.name: getattr(holder, column.name) for column in table if column.source == source}


TICK = Column("tick", "integer", "", "number of the interval, from 0")
