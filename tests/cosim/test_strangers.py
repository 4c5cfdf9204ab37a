"""Mistakes of somebody who does not know the commands yet: one line each, and nothing of theirs is lost."""

import errno
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from cosim.cli import main
from cosim.feeder.settings import Event
from cosim.feeder_setup.schedule import after_the_end
from cosim.report.page import report_command
from cosim.results.arrow import replace_file
from cosim.results.errors import ResultsError
from cosim.results.names import FEEDER_MAP, SCENARIO
from cosim.results.writer import RunWriter
from cosim.safety import hardware_lines
from cosim.scenario.sections import Run
from cosim.scenario.timeline import timeline_of
from tests.cosim.report.sunny_day import write_day

CASES = Path(__file__).parents[1] / "market" / "cases"
STEP = '[[events]]\nat = 1\nkind = "source-voltage"\npu = 1.02\n'


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(*arguments):
    """The one line by which a command refuses."""
    result = CliRunner().invoke(main, list(arguments))
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2
    (line,) = result.stderr.strip().splitlines()
    return line


def test_a_result_is_replaced_with_force_alone(folder):
    case = str(CASES / "two-lams.json")
    for name, option in (("r.json", "--out"), ("t.csv", "--trace")):
        (folder / name).write_text("mine")
        others = ["--out", "new.json"] if option == "--trace" else []
        line = refused("clear", case, "--method", "plain", option, name, *others)
        assert line == f"sharegrid: {name}: exists already; choose another path, or replace it with --force"
        assert (folder / name).read_text() == "mine"
    assert not (folder / "new.json").exists()
    forced = CliRunner().invoke(main, ["clear", case, "--out", "r.json", "--force"])
    assert forced.exit_code == 0
    assert json.loads((folder / "r.json").read_text())["status"] == "optimal"


def test_a_malformed_case_names_its_file_and_the_entry_from_one(folder):
    case = json.loads((CASES / "two-lams.json").read_text())
    case["prosumers"]["demand_kw"][1] = "much"
    (folder / "c.json").write_text(json.dumps(case))
    line = refused("clear", "c.json", "--out", "r.json")
    assert line.startswith("sharegrid: c.json: prosumers.demand_kw, entry 2: give a number")
    assert "docs/case-format.md" in line


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[live]\nprofiles = "absent"\n', "s.toml:2: live.profiles: no folder "),
        (STEP + STEP.replace("1.02", "5.0"), "s.toml:8: events, entry 2: pu: "),
        (STEP + 'element = "l1"\n', "s.toml:5: events, entry 1: element: source-voltage does not use it"),
        (STEP + "kw = 3.0\n", "events, entry 1: kw: source-voltage does not use it, load-step does"),
        (STEP + 'lam = "x"\n', "events, entry 1: lam: source-voltage does not use it, load-step does"),
        ("[market.grid]\nimport_price = [" + "0.2, " * 23 + "nan]\n", "import_price, entry 24: nan is not"),
    ],
)
def test_a_scenario_names_line_key_and_entry(folder, text, says):
    (folder / "s.toml").write_text(text)
    assert says in refused("scenario", "s.toml")


def test_events_after_the_run_are_said():
    events = (Event(at=1, kind="source-voltage"), Event(at="23:00", kind="line-outage", element="l1"))
    timeline = timeline_of(Run(intervals=4))
    assert after_the_end(events, timeline) == [
        "events, entry 2: line-outage at 23:00 does not happen, for the run ends before"
    ]
    assert after_the_end(events, timeline_of(Run(intervals=96))) == []


async def test_arming_a_scenario_without_hardware_is_said():
    world = SimpleNamespace(placement=SimpleNamespace(hardware=()))
    (line,) = await hardware_lines(SimpleNamespace(world=world, arm=True, gateways=[]))
    assert line == "--arm: this scenario names no hardware ([[devices]]), so nothing is armed"
    assert await hardware_lines(SimpleNamespace(world=world, arm=False, gateways=[])) == []


def test_a_scenario_that_a_user_changed_is_kept(tmp_path):
    def write(**options):
        with RunWriter(tmp_path / "run", **options) as writer:
            writer.scenario("seed = 1\n")
        return writer.kept

    assert write() is None
    assert write(force=True) is None
    for kept in ("scenario.toml.bak", "scenario.toml.bak1"):
        (tmp_path / "run" / SCENARIO).write_text(f"# mine, {kept}\n")
        assert write(force=True) == tmp_path / "run" / kept
        assert (tmp_path / "run" / kept).read_text() == f"# mine, {kept}\n"
    assert (tmp_path / "run" / SCENARIO).read_text() == "seed = 1\n"


def test_runs_of_two_feeders_are_not_put_beside_each_other(tmp_path):
    one = write_day(tmp_path / "one", intervals=2)
    other = shutil.copytree(one, tmp_path / "other")
    drawing = json.loads((other / FEEDER_MAP).read_text())
    drawing["lams"] = drawing["lams"][:-1]
    (other / FEEDER_MAP).write_text(json.dumps(drawing))
    with pytest.raises(ResultsError, match=r"other: is of .* LAMs, the run beside it of .*; compare"):
        report_command(one, other)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["feeder", "solve", "--load", "-1"], "'--load'"),
        (["feeder", "check", "--voltage-min", "1.1"], "1.05 is not above --voltage-min 1.1"),
        (["feeder", "solve", "--voltage-max", "0.9"], "0.9 is not above --voltage-min 0.95"),
        (["device", "inverter", "--tcp", "127.0.0.1:0", "--load", "2"], "add --meter-unit"),
        (["device", "meter", "--power", "nan"], "nan cannot be used; give a number"),
        (
            ["stop", "--broker", "mqtt://127.0.0.1:1", "--run-id", "x", "--wait", "nan"],
            "nan cannot be used; give a number",
        ),
        (["check", "--timeout", "nan"], "nan cannot be used; give a number"),
        (["device", "probe", "tcp://127.0.0.1:1", "--timeout", "nan"], "nan cannot be used; give a number"),
    ],
)
def test_numbers_that_cannot_be_are_refused(arguments, says):
    assert says in refused(*arguments)


def test_the_help_of_a_device_shows_no_empty_range():
    assert "None" not in CliRunner().invoke(main, ["device", "-h"]).stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "--intervals", "1", "--out", ""], "one argument is empty"),
        (["report", "x" * 300], "File name too long"),
        (["feeder", "check", "x" * 300], "File name too long"),
        (["feeder", "check", "/proc/self/mem"], "Input/output error"),
        (["report", "two\nlines"], "sharegrid: two lines: holds no run"),
        (["report", "\udcff"], "\\udcff: holds no run"),
        (["feeder", "run", "--steps", "1" * 60, "--out", "f"], "'--steps'"),
    ],
)
def test_odd_names_and_numbers_are_one_line(folder, arguments, says):
    assert says in refused(*arguments)


def test_what_a_full_disk_does_not_take_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*_arguments, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    page = tmp_path / "report.html"
    page.write_text("before")
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        replace_file(page, b"after")
    assert page.read_text() == "before"
    assert list(tmp_path.iterdir()) == [page]


@pytest.mark.parametrize("words", [["run", "--out"], ["init"], ["study", "prices", "--out"], ["check"]])
def test_a_file_in_place_of_a_folder_is_named(tmp_path, words):
    (file := tmp_path / "afile").write_text("")
    done = CliRunner().invoke(main, [*words, str(file / "x" / "y")])
    assert done.exit_code == 2
    assert f"{file} is a file" in done.output


def test_an_address_for_alarms_out_of_the_environment_is_checked_before_a_run(tmp_path, monkeypatch):
    monkeypatch.setenv("SHAREGRID_WEBHOOK", "lab.example/a-secret")
    done = CliRunner().invoke(main, ["run", "--out", str(tmp_path / "run")])
    assert done.exit_code == 2
    assert "SHAREGRID_WEBHOOK of the environment: this is no web address; give one with http" in done.output
    assert "a-secret" not in done.output
    assert not (tmp_path / "run").exists()


def test_a_power_flow_without_end_is_told_in_few_digits():
    done = CliRunner().invoke(main, ["feeder", "solve", "--load", "1000"])
    assert done.exit_code == 2
    assert "power flow did not converge" in done.output
    assert len(done.output) < 250
