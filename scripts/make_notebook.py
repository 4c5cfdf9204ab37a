"""Executes the analyst's notebook and writes it with its outputs: ``python -m scripts.make_notebook``.

It runs in an empty folder of its own, so that nothing of a former execution is found. Outputs hold nothing
that differs from one execution to the next: the tests execute it again and compare.
"""

import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "docs" / "tutorials" / "analyst.ipynb"
TIMEOUT_S = 300


def executed(folder: Path) -> nbformat.NotebookNode:
    """The notebook with the outputs of an execution in a folder."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=TIMEOUT_S, kernel_name="python3", resources=resources).execute()
    return notebook


def without_chance(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook without what differs each time: times, versions, and what a run says as it goes on."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if "sharegrid.run" in cell.source and cell.cell_type == "code":
            cell.outputs = [each for each in cell.outputs if each.output_type != "stream"]
    notebook.metadata.get("language_info", {}).pop("version", None)
    return notebook


def words_of(notebook: nbformat.NotebookNode) -> list[str]:
    """What the cells print, without pictures, whose bytes differ between versions of what draws them."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return [output.get("text") or output["data"].get("text/plain", "") for output in outputs]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        nbformat.write(without_chance(executed(Path(folder))), NOTEBOOK)
