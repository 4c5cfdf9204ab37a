"""The first evening: examples, a lab to begin with, and what the computer lacks."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from cosim import extras
from cosim.cli import main
from cosim.getting_started import doctor
from cosim.scenario import load_scenario
from cosim.scenario.examples import about, examples

LAB = ("feeder.dss", "prosumers.csv", "scenario.toml")


def invoke(*arguments):
    result = CliRunner().invoke(main, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_every_example_loads_and_says_what_it_is():
    found = examples()
    assert {"village", "own-feeder", "outage", "stress-day"} <= set(found)
    for file in found.values():
        load_scenario(file)
        assert 15 < len(about(file)) < 120
    code, listed = invoke("examples")
    assert code == 0
    assert [line.split()[0] for line in listed.splitlines()] == sorted(found)


def test_an_example_is_taken_by_name():
    code, shown = invoke("scenario", "--example", "own-feeder", "--changed", "--set", "run.seed=12")
    assert code == 0
    assert "prosumers = 120" in shown
    assert "seed = 12" in shown


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--example", "vilage"], "--example vilage: no such example; did you mean 'village'?"),
        (["--example", "x"], "no such example; all-live, "),
        (["mine.toml", "--example", "village"], "give mine.toml or --example village, not both"),
    ],
)
def test_an_unknown_example_is_one_line(words, says):
    code, output = invoke("check", *words)
    assert code == 2
    assert says in output
    assert len(output.strip().splitlines()) == 1


def test_a_lab_can_be_checked_at_once_and_is_not_written_twice(tmp_path):
    folder = tmp_path / "my-lab"
    code, told = invoke("init", str(folder))
    assert code == 0
    assert sorted(file.name for file in folder.iterdir()) == list(LAB)
    code, checked = invoke("check", str(folder / "scenario.toml"))
    assert (code, "DOUBTFUL" in checked) == (0, False), checked
    before = {file: file.read_bytes() for file in folder.iterdir()}
    (folder / "scenario.toml").write_text("# mine\n")
    code, refused = invoke("init", str(folder))
    assert code == 2
    assert "is there already; name another folder" in refused
    assert (folder / "scenario.toml").read_text() == "# mine\n"
    assert {name: text for name, text in before.items() if name.name != "scenario.toml"}.items() <= {
        file: file.read_bytes() for file in folder.iterdir()
    }.items()
    known = set(main.commands)
    assert {words.split()[1] for words in re.findall(r"^  (sharegrid .*?)  ", told, re.MULTILINE)} <= known


def test_each_run_of_a_lab_has_its_directory_and_the_stop_is_that_of_the_armed_one(tmp_path):
    _, told = invoke("init", str(tmp_path / "my-lab"))
    runs = re.findall(r"^  sharegrid run (.*?)  ", told, re.MULTILINE)
    assert len(runs) == 4
    places = [run.partition(" --out ")[2] for run in runs]
    assert len(set(places)) == 4
    assert all(places)
    (armed,) = [place for run, place in zip(runs, places, strict=True) if "--arm" in run]
    assert re.findall(r"^  sharegrid stop (\S+)", told, re.MULTILINE) == [armed]


def test_the_hardware_of_a_lab_is_right_once_its_marks_are_off(tmp_path):
    invoke("init", str(tmp_path / "lab"))
    file = tmp_path / "lab" / "scenario.toml"
    keys = r"\[\[devices|prosumer|profile|connect|armed|min_kw|max_kw|ramp_kw|safe_kw"
    file.write_text(re.sub(rf"^# (?={keys})", "", file.read_text(), flags=re.MULTILINE))
    assert len(load_scenario(file).devices) == 3
    code, checked = invoke("check", str(file))
    assert code == 0, checked
    assert "battery of roof: unit 1 at 192.168.1.22:502 as sunspec-battery, hardware" in checked


def test_the_doctor_finds_nothing_lacking_where_the_tests_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, told = invoke("doctor")
    assert code == 0, told
    for what in ("Python", "extras", "OpenDSS", "broker", "clock", "disk", "machine"):
        assert re.search(rf"^(ok|note) +{what} ", told, re.MULTILINE), told
    assert re.search(r"a message goes round in [\d.]+ ms", told)


def test_the_doctor_names_what_is_lacking_and_goes_on(monkeypatch):
    monkeypatch.setattr(extras, "EXTRA_OF", {"nosuch": "cosim", "nosuch2": "pictures"})
    monkeypatch.setattr(doctor, "EXTRA_OF", extras.EXTRA_OF)
    monkeypatch.setattr(doctor, "_opendss", lambda: __import__("nosuch"))
    code, told = invoke("doctor", "--broker", "mqtt://127.0.0.1:1")
    assert code == 1
    assert "LACKS  extras        nosuch is not installed: pip install 'sharegrid[cosim]'" in told
    assert "note   extras        nosuch2 is not installed: pip install 'sharegrid[pictures]'" in told
    assert "LACKS  OpenDSS       nosuch is not installed: pip install 'sharegrid[cosim]'" in told
    assert "no MQTT broker answers at mqtt://127.0.0.1:1" in told
    assert "disk" in told


def test_the_doctor_says_where_nothing_can_be_written(monkeypatch):
    monkeypatch.setattr(doctor.os, "access", lambda *_: False)
    found = list(doctor._room(Path("/")))
    assert [state for state, *_ in found if state == "lacks"] == ["lacks"]
