"""A small run within this process, and what is asked of its directory afterwards."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from cosim.cli import main

VILLAGE = Path(__file__).parents[3] / "scenarios" / "own-tables.toml"


def called(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(main, [str(each) for each in arguments])
    return done.exit_code, done.output


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("village") / "run"
    options = ("--intervals", 3, "--start", "11:00", "--broker", "embedded")
    status, said = called("run", VILLAGE, *options, "--out", out)
    assert status == 0, said
    assert f"results: {out}" in said
    return out


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("ledger", "check"), "nothing is wrong"),
        (("feeder", "audit"), "3 of 3 intervals"),
        (("report",), "report.html"),
    ],
)
def test_a_finished_run_answers(directory: Path, command: tuple[str, ...], says: str) -> None:
    status, said = called(*command, directory)
    assert status == 0, said
    assert says in said


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "that run is complete"),
        (("--intervals", 5), "leave out --intervals"),
        (("--seed", 2), "leave out --seed"),
        (("--start", "10:00"), "leave out --start"),
        (("--out", "elsewhere"), "leave out --out"),
        (("--force",), "leave out --force"),
        (("--without-faults",), "leave out --without-faults"),
        (("--arm", "--observe"), "that run is complete"),
    ],
)
def test_what_cannot_be_taken_up_is_refused(directory: Path, options: tuple[object, ...], says: str) -> None:
    status, said = called("run", "--resume", directory, *options)
    assert status == 2
    assert says in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--arm", "--observe"), "--arm lets devices be written and --observe lets none"),
        (("--elsewhere", "feeder"), "--elsewhere needs a broker"),
        (("--secure", "--broker", "mqtt://127.0.0.1:1"), "is not encrypted; give mqtts://"),
        (("--against", "."), "holds no run"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    tmp_path: Path, options: tuple[object, ...], says: str
) -> None:
    status, said = called("run", VILLAGE, "--out", tmp_path / "run", *options)
    assert status == 2
    assert says in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("command", "says"), [("stop", "no run goes on here"), ("top", "no run goes on here")]
)
def test_a_finished_run_can_be_neither_stopped_nor_watched(directory: Path, command: str, says: str) -> None:
    status, said = called(command, directory)
    assert status == 2
    assert says in said


@pytest.mark.parametrize("command", ["stop", "top"])
def test_a_run_has_to_be_named(command: str) -> None:
    status, said = called(command)
    assert status == 2
    assert "which run? Give its directory, or --broker and --run-id" in said


def test_a_run_that_no_gateway_serves_cannot_be_stopped() -> None:
    status, said = called("stop", "--broker", "mqtt://127.0.0.1:9", "--run-id", "none", "--wait", "0.2")
    assert status == 2
    assert "127.0.0.1:9" in said or "none" in said
