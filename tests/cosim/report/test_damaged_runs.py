"""The report of a run directory that was damaged: one clear line, and the report before stays as it was."""

import json
import shutil
import sqlite3

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cosim.report import report_command
from sharegrid.errors import SharegridError
from tests.cosim.report.sunny_day import write_day

TABLES = ("intervals", "lams", "nodes", "prosumers", "faults")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = write_day(tmp_path_factory.mktemp("damaged") / "whole", intervals=4)
    report_command(path)
    return path


@pytest.fixture
def damaged(whole, tmp_path):
    """Copy of a whole run directory, to damage."""
    return shutil.copytree(whole, tmp_path / "run")


def changed_json(name, *path, to):
    def damage(directory):
        content = json.loads((directory / name).read_text())
        place = content
        for key in path[:-1]:
            place = place[key]
        if to is ...:
            del place[path[-1]]
        else:
            place[path[-1]] = to
        (directory / name).write_text(json.dumps(content))

    return damage


def written(name, content):
    return lambda directory: (directory / name).write_bytes(content)


def removed(name):
    return lambda directory: (directory / name).unlink()


def cut(name, part):
    def damage(directory):
        content = (directory / name).read_bytes()
        (directory / name).write_bytes(content[: int(part * len(content))])

    return damage


def flipped(name):
    """Turn a byte round among the values of the largest column, behind their page's header."""

    def damage(directory):
        columns = pq.read_metadata(directory / name).row_group(0)
        largest = max(
            map(columns.column, range(columns.num_columns)), key=lambda each: each.total_compressed_size
        )
        content = bytearray((directory / name).read_bytes())
        first = largest.dictionary_page_offset or largest.data_page_offset
        content[first + int(0.95 * largest.total_compressed_size)] ^= 0xFF
        (directory / name).write_bytes(content)

    return damage


def table(name, change):
    def damage(directory):
        path = directory / f"{name}.parquet"
        pq.write_table(change(pq.read_table(path)), path)

    return damage


def ledger(*statements):
    def damage(directory):
        with sqlite3.connect(directory / "ledger.sqlite") as connection:
            connection.execute("PRAGMA foreign_keys = OFF")
            for statement in statements:
                connection.execute(statement)
        connection.close()

    return damage


SUMMARY = "summary.json"
DAMAGES = {
    "summary removed": (removed(SUMMARY), "summary.json: is missing"),
    "summary empty": (written(SUMMARY, b""), "summary.json: "),
    "summary cut": (cut(SUMMARY, 0.5), "summary.json: "),
    "summary no object": (written(SUMMARY, b"[]"), "summary.json: the whole: give a table"),
    "summary no text": (written(SUMMARY, b"\xff\xfe{}"), "summary.json: "),
    "a part missing": (changed_json(SUMMARY, "cost", to=...), "cost is missing"),
    "a figure missing": (changed_json(SUMMARY, "cost", "market", to=...), "cost: market is missing"),
    "a figure of another type": (changed_json(SUMMARY, "lams", to="many"), "lams: give a whole number"),
    "a time that is none": (changed_json(SUMMARY, "time", "first", to="noon"), "time: "),
    "no length": (changed_json(SUMMARY, "time", "interval_min", to=0), "interval_min"),
    "a pacing missing": (changed_json(SUMMARY, "pacing", to=...), "pacing is missing"),
    "fewer settled": (changed_json(SUMMARY, "intervals", "settled", to=3), "4 rows where the summary"),
    "fewer entries": (changed_json(SUMMARY, "settlement", "entries", to=1), "entries where the summary"),
    **{f"{name} removed": (removed(f"{name}.parquet"), f"{name}.parquet: is missing") for name in TABLES[:3]},
    **{f"{name} empty": (written(f"{name}.parquet", b""), f"{name}.parquet: ") for name in TABLES[:3]},
    **{f"{name} cut": (cut(f"{name}.parquet", 0.6), f"{name}.parquet: ") for name in TABLES[:3]},
    **{
        f"{name} no table": (written(f"{name}.parquet", b"junk" * 99), f"{name}.parquet: ")
        for name in TABLES[:3]
    },
    "a byte of the intervals": (flipped("intervals.parquet"), "intervals.parquet: .*changed or cut"),
    "a byte of the nodes": (flipped("nodes.parquet"), "nodes.parquet: .*changed or cut"),
    "a stream of junk": (written("intervals.arrows", b"junk" * 99), "intervals.arrows: "),
    "a column missing": (
        table("lams", lambda t: t.drop(["price"])),
        "lams.parquet: has no column price: another version of sharegrid made this run, or the file was",
    ),
    "a column more": (
        table("lams", lambda t: t.append_column("aim", t["price"])),
        "lams.parquet: has a column aim: another version of sharegrid made this run, or the file was changed",
    ),
    "a column of text": (
        table("nodes", lambda t: t.set_column(2, "v_pu", pa.array(["high"] * len(t)))),
        "nodes.parquet: ",
    ),
    "a row missing": (table("intervals", lambda t: t.slice(1)), "3 rows where the summary counts 4"),
    "a LAM missing": (table("lams", lambda t: t.slice(1)), "11 rows where the summary counts 12"),
    "ticks out of order": (table("intervals", lambda t: t.take([1, 0, 2, 3])), "its ticks do not rise"),
    "ledger removed": (removed("ledger.sqlite"), "ledger.sqlite: there is no ledger"),
    "ledger empty": (written("ledger.sqlite", b""), "ledger.sqlite: "),
    "ledger junk": (written("ledger.sqlite", b"junk" * 2000), "ledger.sqlite: "),
    "ledger cut": (cut("ledger.sqlite", 0.4), "ledger.sqlite: "),
    "ledger without entries": (ledger("DROP TABLE entry"), "ledger.sqlite: "),
    "an entry changed": (
        ledger("UPDATE entry SET micro = micro + 1 WHERE tick = 0 AND account = 0"),
        "µ\\$ in all where the summary counts 0",
    ),
    "an unknown kind": (ledger("UPDATE entry SET kind = 9 WHERE kind = 0 AND account = 0"), "unknown kind 9"),
    "events removed": (removed("events.jsonl"), "events.jsonl: is missing"),
    "events no objects": (written("events.jsonl", b"3\n"), "events.jsonl: "),
    "an event at no tick": (written("events.jsonl", b'{"tick": "noon"}\n'), "events.jsonl: "),
    "events cut inside": (written("events.jsonl", b'{"tick": 1\n{"tick": 2}\n'), "events.jsonl: "),
    "map removed": (removed("feeder_map.json"), "feeder_map.json: is missing"),
    "map of other shape": (written("feeder_map.json", b'{"buses": {"1": [0]}}'), "feeder_map.json: "),
}


def test_a_damaged_run_beside_a_whole_one_is_named(whole, damaged):
    (damaged / "lams.parquet").unlink()
    before = (whole / "report.html").read_bytes()
    with pytest.raises(SharegridError, match=f"{damaged}/lams.parquet: is missing"):
        report_command(whole, damaged)
    assert (whole / "report.html").read_bytes() == before


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_one_clear_line_and_the_report_before_stays(damaged, name):
    damage, line = DAMAGES[name]
    damage(damaged)
    before = (damaged / "report.html").read_bytes()
    with pytest.raises(SharegridError, match=line) as error:
        report_command(damaged)
    assert "\n" not in str(error.value)
    assert str(damaged) in str(error.value)
    assert (damaged / "report.html").read_bytes() == before
