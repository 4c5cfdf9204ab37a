"""The analyst's notebook, executed anew."""

import pytest

from cosim.results.reader import load

nbformat = pytest.importorskip("nbformat", reason="the extra `docs` is not installed: pip install '.[docs]'")

from scripts.make_notebook import NOTEBOOK, executed, without_chance, words_of  # noqa: E402


@pytest.mark.timeout(300)
def test_notebook_prints_what_it_is_stored_with(tmp_path):
    notebook = executed(tmp_path)
    streams = [output for cell in notebook.cells for output in cell.get("outputs", ()) if "name" in output]
    # A run inside a notebook's own event loop says what it has to say as text, and starts nothing that fails.
    said = "".join(each.text for each in streams)
    assert "results: runs/afternoon" in said
    assert "Traceback" not in said
    assert "Warning" not in said
    stored = nbformat.read(NOTEBOOK, as_version=4)
    assert words_of(without_chance(notebook)) == words_of(stored), "python -m scripts.make_notebook"
    pictures = [output for cell in stored.cells for output in cell.get("outputs", ()) if "data" in output]
    assert [each for each in pictures if "image/png" in each["data"]]
    run = load(tmp_path / "runs" / "afternoon")
    assert f"{run.summary.cost.market:8.2f} $" in "".join(words_of(stored))
