"""The reference of a run directory's figures and columns, written from their declarations.

docs/results.md and docs/kpis.md keep it between marks, and a test compares; ``python -m
scripts.make_results_doc`` writes it.
"""

import re
from pathlib import Path

import msgspec

from cosim.results.columns import TABLES
from cosim.results.network import NetworkFigures
from cosim.results.summary import meanings
from market.analysis.indicators import Indicators
from market.analysis.kpi import declared

DOCS = Path(__file__).parents[1] / "docs"
PAGES = (DOCS / "results.md", DOCS / "kpis.md")
INDICATORS = {"indicators": Indicators, "network_indicators": NetworkFigures}
_BLOCK = re.compile(r"<!-- table (\w+) -->\n.*?<!-- end -->", re.DOTALL)


def summary_table() -> str:
    """Keys of ``summary.json`` with their meaning."""
    return _table(("key", "meaning"), [(f"`{key}`", meaning) for key, meaning in meanings().items()])


def column_table(name: str) -> str:
    """Columns of a table with type, unit and meaning."""
    rows = [(f"`{each.name}`", each.type, each.unit, each.meaning) for each in TABLES[name]]
    return _table(("column", "type", "unit", "meaning"), rows)


def indicator_table(struct: type[msgspec.Struct]) -> str:
    """Indicators with what they mean, how they are computed, and where they have no meaning."""
    rows = [
        (
            f"`{name}`",
            f"{kpi.label}: {kpi.meaning}",
            f"`{kpi.formula}`",
            kpi.unit or ("share" if kpi.form.endswith("%") else ""),
            kpi.bounds,
            kpi.undefined,
        )
        for name, kpi in declared(struct).items()
    ]
    return _table(("key", "indicator", "formula", "unit", "range", "`null` where"), rows)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    cells = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(each.replace('|', chr(92) + '|') for each in row)} |" for row in cells)


def with_tables(page: str) -> str:
    """A page with what stands between its marks written anew."""

    def table(found: re.Match[str]) -> str:
        name = found[1]
        if name == "summary":
            text = summary_table()
        elif name in INDICATORS:
            text = indicator_table(INDICATORS[name])
        else:
            text = column_table(name)
        return f"<!-- table {name} -->\n{text}\n<!-- end -->"

    return _BLOCK.sub(table, page)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
