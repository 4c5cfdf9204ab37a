"""Every study at its quick size, end to end: numbers, figures, text, and one page of all."""

import asyncio
import hashlib
import json
from contextlib import chdir
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from cosim.market_studies.catalogue import STUDIES
from cosim.market_studies.declaration import TIMING, Panel
from cosim.market_studies.engine import InProcess
from cosim.market_studies.running import StudyOptions, all_studies, run_study, unseen
from scripts.make_notebooks import NOTEBOOKS, notebook

pytestmark = pytest.mark.timeout(600)  # the first test waits for all studies

CHEAP = ("prices", "scale", "discrimination", "behaviour")


async def cells_of(name: str) -> dict[str, Any]:
    """What a notebook's cells leave behind; an event loop runs, as in Jupyter."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in json.loads((NOTEBOOKS / f"{name}.ipynb").read_text())["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"{name}.ipynb", "exec"), names)
    return names


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    top = tmp_path_factory.mktemp("studies")
    with chdir(top):
        notebooks = {name: asyncio.run(cells_of(name)) for name in STUDIES}
    folder = top / "studies"
    # What notebooks measured stands; the page and the PDF of all are made of it.
    results, pages = all_studies(folder, StudyOptions(quick=True, jobs=1, resume=True), unseen)
    return folder, {each.study.name: each for each in results}, pages, notebooks


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_a_notebook_shows_its_study(everything, name):
    found = everything[3][name]
    assert found["result"].claims == everything[1][name].claims
    assert all(len(frame) for frame in found["frames"].values())
    shown = found["result"]._repr_html_()
    assert shown.count("<img ") == len(found["result"].figures)
    assert (NOTEBOOKS / f"{name}.ipynb").read_text() == notebook(STUDIES[name])


def parquet_of(folder: Path) -> dict[str, str]:
    """Hash of every table of a folder."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.glob("*.parquet")}


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_a_study_leaves_tables_figures_and_text(everything, name):
    folder, results, *_ = everything
    result = results[name]
    assert result.figures
    for figure in result.figures:
        assert (folder / name / f"{figure.name}.pdf").read_bytes().startswith(b"%PDF")
        assert (folder / name / f"{figure.name}.png").read_bytes().startswith(b"\x89PNG")
        for panel in figure.panels:
            if isinstance(panel, Panel):
                assert panel.x
                assert panel.y
                assert any(len(each.y) for each in panel.series)
    text = (folder / name / "report.md").read_text()
    for claim in result.claims:
        assert claim.claim in text
        assert "nan" not in claim.ours
    for table, rows in result.tables.items():
        if table != TIMING:
            assert pq.read_table(folder / name / f"{table}.parquet").num_rows == len(rows)


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_nothing_that_a_study_is_sure_of_is_refuted(everything, name):
    # Tendencies need more than two sizes; what is exact holds at any size.
    exact = ("convergence", "prices", "discrimination", "propositions", "closed-loop", "followup")
    wrong = [each for each in everything[1][name].claims if each.agrees == "no"]
    assert not (wrong and name in exact), wrong


@pytest.mark.slow
def test_page_and_pdf_hold_every_claim_and_figure(everything):
    _, results, (html, pdf), _ = everything
    text = html.read_text()
    figures = sum(len(each.figures) for each in results.values())
    assert text.count("<img ") == figures
    assert text.count("<tr><td>") == sum(len(each.claims) for each in results.values())
    assert pdf.read_bytes().count(b"/Type /Page ") >= figures + 1


@pytest.mark.slow
@pytest.mark.parametrize("name", CHEAP)
def test_a_second_run_gives_the_same_parquet(everything, tmp_path, name):
    study = STUDIES[name]
    options = StudyOptions(quick=True)
    run_study(study, study.settled({}, quick=True), tmp_path, options, InProcess(), unseen)
    assert parquet_of(tmp_path) == parquet_of(everything[0] / name)


def test_every_key_has_a_meaning_and_quick_values_are_values():
    for study in STUDIES.values():
        quick = study.settled({}, quick=True)
        assert study.tasks(quick)
        properties = msgspec.json.schema_components([study.settings])[1][study.settings.__name__][
            "properties"
        ]
        assert [key for key, value in properties.items() if not value.get("description")] == []
