from pathlib import Path

import pytest

from cosim.feeder.circuit import LamSite
from cosim.feeder_setup.lam_table import read_sites
from cosim.scenario import ScenarioError


def table(folder: Path, text: str) -> str:
    path = folder / "lams.csv"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_table_of_lams(tmp_path):
    path = table(
        tmp_path, "lam,bus,phases,spot_kw,spot_kvar\nhomes,47,,,\nfarm,Tail,1.2.3,40,-5\nroof,tail,B,,\n"
    )
    assert read_sites(path) == (
        LamSite("homes", "47", (), 10.0, 0.0),
        LamSite("farm", "tail", (1, 2, 3), 40.0, -5.0),
        LamSite("roof", "tail", (2,), 10.0, 0.0),
    )


def test_two_columns_are_enough(tmp_path):
    assert read_sites(table(tmp_path, "lam,bus\na,1\n")) == (LamSite("a", "1", (), 10.0, 0.0),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lam,buss\na,1\n", r"lams.csv, column buss: unknown column; did you mean 'bus'\?"),
        ("lam\na\n", "column bus: the column is missing"),
        ("lam,bus\na,1\na,2\n", "column lam, line 3: 'a' stands at line 2 already"),
        ("lam,bus\na/b,1\n", "column lam, line 2: 'a/b' has more than letters"),
        ("lam,bus\na,\n", "column bus, line 2: the cell is empty"),
        ("lam,bus,phases\na,1,4\n", "column phases, line 2: '4' names no phases; write for example 1.2.3"),
        ("lam,bus,phases\na,1,1.1\n", "column phases, line 2: '1.1' names no phases"),
        ("lam,bus,spot_kw\na,1,0\n", "column spot_kw, line 2: 0 is outside"),
        ("lam,bus,spot_kw\na,1,much\n", "column spot_kw, line 2: 'much' is no finite number"),
        ("lam,bus\n", "the table has no rows"),
    ],
)
def test_what_is_wrong_is_named_by_file_column_and_row(tmp_path, text, message):
    with pytest.raises(ScenarioError, match=message) as refused:
        read_sites(table(tmp_path, text))
    assert "\n" not in str(refused.value)
