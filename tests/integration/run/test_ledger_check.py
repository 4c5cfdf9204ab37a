"""The check of a ledger against a run whose files a test changes."""

import shutil
import sqlite3
from contextlib import closing

import pytest
from click.testing import CliRunner

from cosim.cli import main
from cosim.results.entries import ENERGY, IMBALANCE, KINDS
from cosim.results.ledger_check import check_ledger


@pytest.fixture
def copy(whole, tmp_path):
    """Run directory of a real run, for a test to damage."""
    shutil.copytree(whole.path, tmp_path / "run")
    return tmp_path / "run"


def damage(directory, *statements):
    with closing(sqlite3.connect(directory / "ledger.sqlite")) as ledger, ledger:
        for statement in statements:
            ledger.execute(statement)


def test_a_run_that_nobody_touched_has_nothing_wrong(copy):
    wrong, head = check_ledger(copy)
    assert wrong == []
    assert len(head) == 64
    said = CliRunner().invoke(main, ["ledger", "check", str(copy)])
    assert said.exit_code == 0
    assert head in said.output


@pytest.mark.parametrize(
    ("statements", "finding"),
    [
        (["UPDATE entry SET micro = micro + 5 WHERE tick = 1 AND kind = 0 AND account = 3"], "sum to 5 µ$"),
        (
            [
                "UPDATE entry SET micro = micro + 900000 WHERE tick = 1 AND kind = 0 AND account = 3",
                "UPDATE entry SET micro = micro - 900000 WHERE tick = 1 AND kind = 0 AND account = 4",
            ],
            "interval 1: its entries, or earlier ones, are not those that were booked",
        ),
        (["DELETE FROM entry WHERE tick = 0 AND kind = 1"], "where"),
        (
            ["DELETE FROM entry WHERE tick = 0", "DELETE FROM interval WHERE tick = 0"],
            "interval 0 is missing",
        ),
        (["UPDATE run SET head = 'x'"], "do not lead to the last link"),
    ],
)
def test_whatever_is_changed_is_found(copy, statements, finding):
    damage(copy, *statements)
    wrong, _ = check_ledger(copy)
    assert any(finding in line for line in wrong), wrong
    said = CliRunner().invoke(main, ["ledger", "check", str(copy)])
    assert said.exit_code == 1
    assert said.output.endswith(f"{len(wrong)} finding{'' if len(wrong) == 1 else 's'}\n")


def test_a_chain_that_was_computed_anew_still_does_not_fit_the_tables(copy, monkeypatch):
    damage(
        copy,
        "UPDATE entry SET micro = micro + 900000 WHERE tick = 1 AND kind = 1 AND account = 14",
        "UPDATE entry SET micro = micro - 900000 WHERE tick = 1 AND kind = 1 AND account = 15",
    )
    monkeypatch.setattr("cosim.results.ledger_check._chain", lambda *_: iter(()))
    wrong, _ = check_ledger(copy)
    assert sum("what LAM" in line for line in wrong) == 2


@pytest.mark.parametrize("kind", [ENERGY, IMBALANCE])
def test_a_payment_that_went_to_another_prosumer_does_not_fit_the_tables(copy, monkeypatch, kind):
    damage(
        copy,
        f"UPDATE entry SET micro = micro + 700 WHERE tick = 1 AND kind = {kind} AND account = 3",
        f"UPDATE entry SET micro = micro - 700 WHERE tick = 1 AND kind = {kind} AND account = 5",
    )
    monkeypatch.setattr("cosim.results.ledger_check._chain", lambda *_: iter(()))
    (line,) = check_ledger(copy)[0]
    assert f"interval 1: what 2 prosumers pay as {KINDS[kind]}" in line
