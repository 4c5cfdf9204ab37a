"""Changes of single keys, as text and as values."""

import re
from datetime import datetime
from operator import attrgetter
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from cosim.cli import main
from cosim.options import RunOptions
from cosim.processes import serve_words
from cosim.scenario import ScenarioError, load_scenario
from cosim.scenario.changes import PATHS, change_words, parse_changes
from cosim.world.names import Role

VALUES = st.one_of(
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.text(st.characters(exclude_categories=["Cs", "Cc"])),
    st.lists(st.integers(0, 9), max_size=3),
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.b=0.5", 0.5),
        ("a.b = 3", 3),
        ("a.b=slope", "slope"),
        ('a.b="slope"', "slope"),
        ("a.b=true", True),
        ("a.b=[1, 2]", [1, 2]),
        ("a.b=mqtt://here:1?x=2", "mqtt://here:1?x=2"),
        ("a.b=", ""),
    ],
)
def test_a_value_is_toml_or_itself(text, value):
    assert parse_changes([text]) == {"a.b": value}


@given(st.dictionaries(st.sampled_from(["a.b", "c", "d.e.f"]), VALUES))
def test_words_of_a_command_line_make_the_same_changes(changes):
    words = change_words(changes)
    assert words[::2] == ["--set"] * len(changes)
    assert parse_changes(words[1::2]) == changes


def test_a_changed_path_is_relative_to_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parse_changes(["tables.prosumers=p.csv", "tables.lams="]) == {
        "tables.prosumers": str(tmp_path / "p.csv"),
        "tables.lams": "",
    }


@pytest.mark.parametrize("key", PATHS)
@pytest.mark.parametrize("empty", ["", '""', "''", ' "" '])
def test_an_empty_path_names_nothing_however_it_is_written(key, empty):
    assert parse_changes([f"{key}={empty}"]) == {key: ""}
    words = change_words({key: ""})
    assert parse_changes(words[1::2]) == {key: ""}


@pytest.mark.parametrize("key", PATHS)
def test_every_key_that_is_a_path_is_relative_to_the_working_directory(key, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "s.toml").write_text("")
    monkeypatch.chdir(tmp_path / "here")
    uses = {key.replace("folder", "use"): "module:Name"} if key.endswith("folder") else {}
    changes = parse_changes([f"{key}=../here"])
    scenario = load_scenario(tmp_path / "s.toml", changes={**changes, **uses})
    assert attrgetter(key)(scenario) == str(tmp_path / "here")


def test_no_other_key_is_a_path():
    """What is relative to the scenario's file says so in its description."""
    page = (Path(__file__).parents[3] / "docs" / "scenario.md").read_text(encoding="utf-8")
    described = re.findall(r"^\| `(\w+)` .*(?:relative to the scenario file|likewise;)", page, re.MULTILINE)
    assert sorted(described) == sorted(key.rpartition(".")[2] for key in PATHS)


def test_changes_go_before_the_file_and_options_before_changes(tmp_path):
    file = tmp_path / "s.toml"
    file.write_text("[population.pv]\nshare = 0.1\n[run]\nseed = 3\n")
    scenario = load_scenario(
        file,
        seed=5,
        start="12:00",
        changes={"population.pv.share": 0.7, "run.seed": 4, "market.wam_fee": 0.5},
    )
    assert scenario.population.pv.share == 0.7
    assert scenario.market.wam_fee == 0.5
    assert scenario.run.seed == 5
    assert scenario.run.start == datetime(2024, 6, 21, 12)  # noqa: DTZ001 - wall time


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["seed"], "--set seed: give KEY=VALUE"),
        (["=3"], "--set =3: give KEY=VALUE"),
        (["run.seed=1", "run.seed=2"], "--set run.seed: is given twice"),
        (["run.sed=1"], "--set run.sed: unknown key; did you mean 'seed'?"),
        (["run.seed=many"], "--set run.seed: 'many' cannot be used; give"),
        (["market.bidding=sloped"], "--set market.bidding: 'sloped' cannot be used; give one of curve"),
        (["market.wam_fee=inf"], "--set market.wam_fee: inf is not a finite number"),
        (["events.at=1"], "--set events.at: events is no table of keys"),
        (["run.start.hour=1"], "--set run.start.hour: run.start is no table of keys"),
        (["feeder.voltage_min_pu=1.2"], "--set feeder.voltage_min_pu: 1.2 cannot be used"),
    ],
)
def test_a_wrong_change_is_one_line(texts, says, tmp_path):
    file = tmp_path / "s.toml"
    file.write_text(
        "[run]\nstart = 2024-06-21T00:00:00\n[[events]]\nat = '12:00'\nkind = 'line-outage'\nelement = 'l1'\n"
    )
    with pytest.raises(ScenarioError) as caught:
        load_scenario(file, changes=parse_changes(texts))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_command_shows_what_changed():
    shown = CliRunner().invoke(main, ["scenario", "--set", "run.seed=77", "--set", "market.bidding=slope"])
    assert "seed = 77" in shown.stdout
    assert 'bidding = "slope"' in shown.stdout


def test_processes_of_a_run_are_told_its_changes():
    options = RunOptions(changes={"market.bidding": "slope", "run.seed": 4})
    words = serve_words(Role.MARKET, options, "x", Path("out"))
    given = [words[at + 1] for at, word in enumerate(words) if word == "--set"]
    assert parse_changes(given) == options.changes
