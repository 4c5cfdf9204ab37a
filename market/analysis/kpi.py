"""How a key performance indicator is declared: once, beside its value's type.

A struct's field is ``name: Annotated[float | None, Kpi(...)]``. The summary, the report, the terminal and
docs/kpis.md show what stands there.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import get_type_hints

import msgspec


@dataclass(frozen=True)
class Kpi:
    """What an indicator is, for whoever shows it.

    Attributes
    ----------
    label
        Its name for people.
    meaning
        What it is a part or a sum of, in a few words that follow its value.
    formula
        As docs/kpis.md has it.
    unit
        What follows the number; empty for a share or a ratio.
    form
        How the number is written, as a format of Python; shares in percent.
    bounds
        What values it can take.
    undefined
        Where it is null.
    """

    label: str
    meaning: str
    formula: str
    unit: str = ""
    form: str = ".2%"
    bounds: str = ""
    undefined: str = "never"

    def shown(self, value: float | None) -> str:
        """Value with its unit, for people."""
        return "not known" if value is None else f"{value:{self.form}} {self.unit}".rstrip()


def declared(struct: type[msgspec.Struct]) -> dict[str, Kpi]:
    """Indicators of a struct by the names of their fields, in order."""
    hints = get_type_hints(struct, include_extras=True)
    return {
        name: next(each for each in hints[name].__metadata__ if isinstance(each, Kpi))
        for name in struct.__struct_fields__
    }


def lines(figures: msgspec.Struct, names: Collection[str] | None = None) -> list[tuple[str, str, str]]:
    """Label, value and meaning of each indicator, or of some."""
    return [
        (kpi.label, kpi.shown(getattr(figures, name)), kpi.meaning)
        for name, kpi in declared(type(figures)).items()
        if names is None or name in names
    ]
