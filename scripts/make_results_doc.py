"""The reference of a run directory's figures and columns, written from their declarations.

docs/results.md keeps it between marks, and a test compares; ``python -m scripts.make_results_doc`` writes it.
"""

import re
from pathlib import Path

from cosim.results.columns import TABLES
from cosim.results.summary import meanings

PAGE = Path(__file__).parents[1] / "docs/results.md"
_BLOCK = re.compile(r"<!-- table (\w+) -->\n.*?<!-- end -->", re.DOTALL)


def summary_table() -> str:
    """Keys of ``summary.json`` with their meaning."""
    rows = [f"| `{key}` | {meaning} |" for key, meaning in meanings().items()]
    return "\n".join(["| key | meaning |", "| --- | --- |", *rows])


def column_table(name: str) -> str:
    """Columns of a table with type, unit and meaning."""
    rows = [f"| `{each.name}` | {each.type} | {each.unit} | {_cell(each.meaning)} |" for each in TABLES[name]]
    return "\n".join(["| column | type | unit | meaning |", "| --- | --- | --- | --- |", *rows])


def _cell(text: str) -> str:
    """Text that does not end its cell."""
    return text.replace("|", "\\|")


def with_tables(page: str) -> str:
    """A page with what stands between its marks written anew."""

    def table(found: re.Match[str]) -> str:
        name = found[1]
        text = summary_table() if name == "summary" else column_table(name)
        return f"<!-- table {name} -->\n{text}\n<!-- end -->"

    return _BLOCK.sub(table, page)


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
