"""Tables as plain Python has them: ``None`` where a value is missing, which JSON and messages know too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import pandas as pd


def with_none(table: pd.DataFrame) -> pd.DataFrame:
    """A table of objects, with ``None`` where a value is missing."""
    plain = table.astype(object)
    return plain.where(plain.notna(), None)


def rows_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table by column, with ``None`` where a value is missing."""
    return cast("list[dict[str, Any]]", with_none(table).to_dict("records"))
