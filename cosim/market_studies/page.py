"""What a study says in words: a page of text, and one page and one PDF of all studies."""

from __future__ import annotations

import base64
import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cosim.market_studies.declaration import Claim, Figure, Settings, Study, Table, meanings
from cosim.results.arrow import replace_file

_SHOWN = 40
"""Lines of a table that the text shows."""


@dataclass(frozen=True)
class Result:
    """What a study came to.

    Attributes
    ----------
    study, settings
        The study and its keys.
    folder
        Where its files are.
    tables
        By name.
    figures, claims
        As the study makes them of its tables.
    """

    study: Study
    settings: Settings
    folder: Path
    tables: dict[str, Table]
    figures: Sequence[Figure]
    claims: Sequence[Claim]

    def frame(self, name: str) -> Any:
        """A table as a DataFrame of pandas."""
        import pandas as pd

        return pd.DataFrame(self.tables[name].rows)

    def _repr_html_(self) -> str:
        """What a notebook shows of it: claims and figures."""
        return _rendered("result.html.j2", section=_section(self), claims=self.claims)

    @property
    def text(self) -> str:
        """The page in Markdown: question, settings, claims, figures and tables."""
        study = self.study
        keys = meanings(study.settings)
        lines = [
            f"# Study: {study.name}",
            "",
            study.question,
            "",
            "| Key | Value | Meaning |",
            "| --- | --- | --- |",
        ]
        lines += [f"| {key} | {_value(getattr(self.settings, key))} | {keys[key]} |" for key in keys]
        lines += ["", *_claim_lines(self.claims)]
        for figure in self.figures:
            lines += ["", f"![{figure.caption}]({figure.name}.png)", "", figure.caption]
        for name, table in self.tables.items():
            lines += ["", f"## Table {name}", "", *_table_lines(table)]
        return "\n".join(lines) + "\n"


def write_all(results: Sequence[Result], folder: Path) -> tuple[Path, Path]:
    """All studies as one page of HTML and one PDF; returns their paths."""
    html, pdf = folder / "studies.html", folder / "studies.pdf"
    replace_file(html, _html(results).encode())
    replace_file(pdf, _pdf(results))
    return html, pdf


def _claim_lines(claims: Sequence[Claim]) -> list[str]:
    if not claims:
        return []
    lines = ["| Claim | Our figure | Agrees | Why |", "| --- | --- | --- | --- |"]
    return lines + [f"| {each.claim} | {each.ours} | {each.agrees} | {each.why} |" for each in claims]


def _table_lines(table: Table) -> list[str]:
    columns = list(dict.fromkeys(name for row in table.rows for name in row))
    lines = [f"| {' | '.join(columns)} |", f"| {' | '.join('---' for _ in columns)} |"]
    lines += [f"| {' | '.join(_value(row.get(name)) for name in columns)} |" for row in table.rows[:_SHOWN]]
    if len(table) > _SHOWN:
        lines += ["", f"The first {_SHOWN} of {len(table):,} lines."]
    return lines


def _value(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, tuple | list):
        return ", ".join(map(_value, value))
    return str(value)


def _html(results: Sequence[Result]) -> str:
    claims = [{"study": result.study.name, "claim": each} for result in results for each in result.claims]
    return _rendered("studies.html.j2", sections=[_section(result) for result in results], claims=claims)


def _section(result: Result) -> dict[str, Any]:
    """What pages show of a study."""
    return {
        "name": result.study.name,
        "question": result.study.question,
        "settings": {key: _value(getattr(result.settings, key)) for key in meanings(result.study.settings)},
        "figures": [
            {"caption": each.caption, "image": _embedded(result.folder / f"{each.name}.png")}
            for each in result.figures
        ],
    }


def _rendered(template: str, **values: Any) -> str:
    from jinja2 import Environment, PackageLoader

    environment = Environment(loader=PackageLoader("cosim.market_studies"), autoescape=True)
    return environment.get_template(template).render(**values)


def _embedded(image: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(image.read_bytes()).decode()}"


def _pdf(results: Sequence[Result]) -> bytes:
    from matplotlib.backends.backend_pdf import PdfPages
    from matplotlib.figure import Figure as Sheet

    from cosim.market_studies.drawing import draw

    content = io.BytesIO()
    with PdfPages(content, metadata={"CreationDate": None, "Producer": None, "Creator": None}) as pages:
        lines = ["Claim; our figure; agrees or not, and why", ""]
        for result in results:
            for each in result.claims:
                whole = f"[{result.study.name}] {each.claim}: {each.ours}. {each.agrees}: {each.why}"
                lines += [*textwrap.wrap(whole, 118), ""]
        for first in range(0, len(lines), 62):
            sheet = Sheet(figsize=(8.27, 11.69))
            sheet.text(
                0.06, 0.96, "\n".join(lines[first : first + 62]), va="top", family="monospace", fontsize=6.5
            )
            pages.savefig(sheet)
        for result in results:
            for figure in result.figures:
                drawn = draw(figure)
                drawn.suptitle(
                    "\n".join(textwrap.wrap(f"{result.study.name}: {figure.caption}", 90)), fontsize=8
                )
                pages.savefig(drawn)
    return content.getvalue()
