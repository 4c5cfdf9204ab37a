"""Files of users and of runs, mutilated at random: whatever stands in them, a command ends in one line.

``SHAREGRID_FILE_MUTANTS=500`` sets how many of each kind are tried.
"""

import os
import random
import shutil
import traceback
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from cosim.cli import main
from tests.broker.door.hostile_run import written_scenario
from tests.cosim.report.sunny_day import write_day

MUTANTS = int(os.environ.get("SHAREGRID_FILE_MUTANTS", "12"))
ODD = [
    b"nan",
    b"-1",
    b"1e400",
    b"''",
    b"[]",
    b"\x00",
    b"\xff\xfe",
    b"9" * 30,
    b"9" * 5000,
    b"[" * 5000,
    b'{"a":' * 5000,
    b"true",
    b"\n",
    b'"',
    b"{",
    b"=",
]


def mutated(draw: random.Random, body: bytes) -> bytes:
    """A body with a few things done to it that disks, editors and people do."""
    body = bytearray(body)
    for _ in range(draw.choice([1, 1, 1, 2, 5])):
        at = draw.randrange(len(body) + 1)
        till = min(len(body), at + draw.choice([1, 2, 8, 60]))
        what = draw.randrange(6)
        if what == 0 and body:
            body[min(at, len(body) - 1)] ^= 1 << draw.randrange(8)
        elif what == 1:
            del body[at:till]
        elif what == 2:
            body[at:at] = draw.choice(ODD)
        elif what == 3:
            body[at:till] = draw.choice(ODD)
        elif what == 4:
            body[at:at] = body[at:till] * draw.choice([1, 2, 50])
        else:
            del body[at : len(body) if draw.random() < 0.3 else till]
    return bytes(body)


def check_lines(words: list[str]) -> None:
    """A command on a mutilated file ends well or in one line; what it says otherwise is the failure."""
    result = CliRunner().invoke(main, words)
    error = result.exception
    if error is not None and not isinstance(error, SystemExit):
        raise AssertionError("".join(traceback.format_exception(error)))
    assert result.exit_code in (0, 1, 2), result.output
    assert "Traceback" not in result.output
    if result.exit_code == 2:
        assert result.output.splitlines()[-1].startswith("sharegrid: "), result.output


def try_mutants(seed: int, file: Path, words: list[str], count: int = MUTANTS) -> None:
    whole, draw = file.read_bytes(), random.Random(seed)
    for _ in range(count):
        file.write_bytes(mutated(draw, whole))
        check_lines(words)


@pytest.fixture
def own_tables(tmp_path):
    """The example with tables of one's own, where only two intervals are looked at."""
    folder = shutil.copytree("scenarios", tmp_path / "own")
    text = (folder / "own-tables.toml").read_text().replace("intervals = 96", "intervals = 2")
    (folder / "own-tables.toml").write_text(text)
    return folder


@pytest.mark.timeout(3600)
def test_a_mutilated_scenario_is_one_line(tmp_path):
    file = written_scenario(tmp_path)
    file.write_bytes(Path("cosim/scenario/default.toml").read_bytes() + b"\n")
    try_mutants(1, file, ["scenario", str(file)])


@pytest.mark.timeout(3600)
def test_a_mutilated_case_is_one_line(tmp_path):
    file = tmp_path / "case.json"
    shutil.copy(sorted(Path("tests/market/cases").rglob("*.json"))[0], file)
    try_mutants(2, file, ["clear", str(file), "--out", str(tmp_path / "result.json")])


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ["prosumers", "profiles"])
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_mutilated_table_is_one_line(own_tables, name, form):
    scenario, table = own_tables / "own-tables.toml", own_tables / "village" / f"{name}.csv"
    if form == "parquet":
        frame, table = pd.read_csv(table), table.with_suffix(".parquet")
        frame.to_parquet(table)
        scenario.write_text(scenario.read_text().replace(f"{name}.csv", f"{name}.parquet"))
    # A year of profiles takes longer to read than all else.
    try_mutants(3, table, ["check", str(scenario)], MUTANTS if name == "prosumers" else max(1, MUTANTS // 8))


@pytest.mark.timeout(3600)
def test_a_mutilated_circuit_is_one_line(tmp_path):
    scenario = written_scenario(tmp_path)
    try_mutants(4, scenario.parent / "m.dss", ["feeder", "check", str(scenario.parent / "m.dss")])


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ["ledger.sqlite", "summary.json", "events.jsonl", "lams.parquet"])
@pytest.mark.parametrize("command", [["report"], ["ledger", "check"]])
def test_a_mutilated_run_is_one_line(tmp_path, name, command):
    folder = write_day(tmp_path / "day", intervals=4)
    try_mutants(5, folder / name, [*command, str(folder)])
