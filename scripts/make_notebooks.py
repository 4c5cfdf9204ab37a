"""Writes docs/notebooks/NAME.ipynb, one for each study; the tests run their cells.

python -m scripts.make_notebooks
"""

import json
from pathlib import Path

from cosim.market_studies.catalogue import STUDIES
from cosim.market_studies.declaration import Study

NOTEBOOKS = Path(__file__).resolve().parents[1] / "docs" / "notebooks"


def notebook(study: Study) -> str:
    """A study's notebook as JSON: run it with a key of one's own, look at it, ask for its tables."""
    settings = study.settled({}, quick=True)
    key = study.settings.__struct_fields__[0]
    small = getattr(settings, key)
    value = json.dumps(list(small) if isinstance(small, tuple) else small)
    cells = [
        _text(
            f"# Study: {study.name}\n\n{study.question}\n\n"
            "Leave `quick=True` out for full size; keys are changed by name."
        ),
        _code(
            "import sharegrid\n\n"
            f'keys = {{"{key}": {value}}}\n'
            f'result = sharegrid.study("{study.name}", quick=True, jobs=1, resume=True, changes=keys)\n'
            "result"
        ),
        _text("Tables are DataFrames; claims stand beside our figures."),
        _code(
            "frames = {name: result.frame(name) for name in result.tables}\n"
            "next(iter(frames.values())).head()"
        ),
        _code("[(each.claim, each.ours, each.agrees) for each in result.claims]"),
    ]  # fmt: skip
    whole = {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 4,
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _text(text: str) -> dict[str, object]:
    return {"cell_type": "markdown", "metadata": {}, "source": text.splitlines(keepends=True)}


def _code(text: str) -> dict[str, object]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {},
        "outputs": [],
        "source": text.splitlines(keepends=True),
    }


def main() -> None:
    """Write all notebooks."""
    NOTEBOOKS.mkdir(exist_ok=True)
    for name, study in STUDIES.items():
        (NOTEBOOKS / f"{name}.ipynb").write_text(notebook(study), encoding="utf-8")


if __name__ == "__main__":
    main()
