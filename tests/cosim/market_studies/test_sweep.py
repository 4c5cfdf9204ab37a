"""Grids of values, and runs and studies over them."""

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from cosim.cli import main
from cosim.market_studies.declaration import StudyError
from cosim.market_studies.sweep import parse_grid, sweep
from sharegrid.errors import SharegridError


def test_values_are_lists_ranges_and_arrays():
    grid = parse_grid(["population.pv.share=0.2,0.5", "run.seed=1..3", "market.bidding=curve", "x=[1,2],[3]"])
    assert grid == {
        "population.pv.share": [0.2, 0.5],
        "run.seed": [1, 2, 3],
        "market.bidding": ["curve"],
        "x": [[1, 2], [3]],
    }


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["run.seed"], "give KEY=VALUE"),
        (["run.seed="], "give KEY=VALUE,VALUE"),
        (["run.seed=5..1"], "give a range FIRST..LAST"),
        (["run.seed=1,2", "run.seed=3"], "is given twice"),
    ],
)
def test_what_is_no_grid_is_refused(texts, said):
    with pytest.raises(SharegridError, match=said):
        parse_grid(texts)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "nothing varies"),
        (("--set", "population.pv.shaer=0.2,0.5"), "did you mean"),
        (("--set", "population.pv.share=0.2,1.5"), "population.pv.share"),
        (("--study", "prices", "--set", "lam=2,3"), "no such key"),
        (
            ("--study", "prices", "--set", "lams=2,3", "--start", "12:00"),
            "leave scenario, intervals and start out",
        ),
        (("--set", "run.seed=0..90000", "--set", "run.intervals=1,2"), "are more than 100,000"),
    ],
)
def test_what_cannot_be_swept_is_refused_before_anything_runs(tmp_path, words, said):
    done = CliRunner().invoke(main, ["sweep", *words, "--jobs", "1", "--out", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert said in done.stderr
    assert not (tmp_path / "out" / "parts").exists()


def test_a_study_over_a_grid_is_one_table(tmp_path):
    frame = sweep(
        study="prices", grid={"price_span": [0.05, 0.1], "seed": [1, 2]}, quick=True, jobs=1, out=tmp_path
    )
    assert len(frame) == 8
    assert list(frame.groupby(["set.price_span", "set.seed"]).size()) == [2, 2, 2, 2]
    with pytest.raises(StudyError, match="holds results already"):
        sweep(study="prices", grid={"seed": [1]}, quick=True, jobs=1, out=tmp_path)


@pytest.mark.slow
def test_runs_over_a_grid_are_one_table_and_a_second_sweep_has_the_same_bits(tmp_path):
    words = [
        "sweep",
        "--set",
        "run.seed=1..2",
        "--set",
        "population.prosumers=200",
        "--intervals",
        "1",
        "--jobs",
        "1",
    ]
    for folder in ("one", "two"):
        done = CliRunner().invoke(main, [*words, "--out", str(tmp_path / folder)])
        assert done.exit_code == 0, done.output
    frame = pq.read_table(tmp_path / "one" / "runs.parquet").to_pandas()
    assert list(frame["run.seed"]) == [1, 2]
    assert frame["energy_kwh.lam"].nunique() == 2
    assert (frame["settlement.sum_micro"] == 0).all()
    assert (tmp_path / "one" / "runs.parquet").read_bytes() == (
        tmp_path / "two" / "runs.parquet"
    ).read_bytes()
