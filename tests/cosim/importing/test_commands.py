from pathlib import Path

import pytest
from click.testing import CliRunner

from cosim.cli import main

ROWS = "".join(f"2024-06-21T{hour:02d}:00+02:00;0,{hour:02d}5\n" for hour in range(24))


def called(*arguments):
    done = CliRunner().invoke(main, ["import", *map(str, arguments)])
    return done.exit_code, done.output


@pytest.fixture
def meters(tmp_path):
    file = tmp_path / "meters.csv"
    file.write_text(f"time;load_kw.house\n{ROWS}", encoding="utf-8")
    return file


def test_profiles_are_written_and_what_was_done_is_said(tmp_path, meters):
    out = tmp_path / "own.csv"
    status, said = called("profiles", meters, "--out", out)
    assert status == 0
    assert "cells are divided by a semicolon" in said
    assert "load_kw.house: mean 0.12 kW" in said
    assert said.endswith(f"{out}: 1 profiles, 96 rows of 15 min\n")
    assert len(out.read_text().splitlines()) == 97


def test_prosumers_are_written(tmp_path):
    file, out = tmp_path / "people.csv", tmp_path / "own.parquet"
    file.write_text("id;bus;annual_kwh\nBäcker;mill;2500,5\n", encoding="utf-8")
    status, said = called("prosumers", file, "--out", out)
    assert (status, said.splitlines()[-1]) == (0, f"{out}: 1 prosumers")
    assert out.is_file()


def test_prices_are_printed_for_a_scenario(tmp_path):
    file = tmp_path / "prices.csv"
    file.write_text(f"time;price per kWh\n{ROWS}", encoding="utf-8")
    status, said = called("prices", file, "--zone", "Europe/Berlin", "--day", "2024-06-21")
    assert status == 0
    assert said.splitlines()[-1].startswith("[0.00500, 0.01500, 0.02500, ")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--out", "{folder}/own.txt"), "give a name that ends in .csv or .parquet"),
        (("--out", "{folder}/no/own.csv"), "no such directory; make it first"),
        (("--out", "{folder}/meters.csv"), "is what is read; give another name"),
        (("--out", "{folder}/there.csv"), "exists; give another name, or --force"),
        (("--out", "{folder}/own.csv", "--zone", "Mars/Olympus"), "is no time zone"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is_read(meters, options, says):
    folder = Path(meters).parent
    (folder / "there.csv").write_text("mine")
    status, said = called("profiles", meters, *(option.format(folder=folder) for option in options))
    assert status == 2
    assert says in said
    assert (folder / "there.csv").read_text() == "mine"
    assert meters.read_text(encoding="utf-8").startswith("time;")


def test_a_table_of_ones_own_is_replaced_on_request(tmp_path, meters):
    out = tmp_path / "own.csv"
    out.write_text("old")
    assert called("profiles", meters, "--out", out, "--force", "--step", "60")[0] == 0
    assert len(out.read_text().splitlines()) == 25
