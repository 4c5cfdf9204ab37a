"""A run directory belongs to one run: living runs, users' own folders, links, and files that vanish."""

import shutil
import signal
import subprocess
import sys
import textwrap
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from cosim.results.booking import book_interval
from cosim.results.directory import FILES
from cosim.results.entries import LedgerError, account_names
from cosim.results.errors import ResultsError
from cosim.results.ledger import Ledger
from cosim.results.lock import LOCK, Owner
from cosim.results.names import MARKER
from cosim.results.reader import load
from cosim.results.trades import GridTrade, LamTrades, ProsumerTrades
from cosim.results.writer import RunWriter

ROOT = Path(__file__).parents[3]


def contents(directory):
    return {file.name: file.read_bytes() for file in directory.iterdir() if file.is_file()}


@pytest.fixture
def run_dir(tmp_path):
    return tmp_path / "run"


@pytest.fixture
def living(run_dir):
    """A process that writes a run, and its id."""
    story = textwrap.dedent(f"""
        import sys
        sys.path[:0] = [{str(ROOT)!r}]
        from cosim.results.writer import RunWriter
        writer = RunWriter({str(run_dir)!r})
        writer.append("intervals", {{"tick": 0, "status": "confirmed"}})
        print("ready", flush=True)
        sys.stdin.read()
        writer.close()
    """)
    process = subprocess.Popen(
        [sys.executable, "-c", story], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("force", [False, True])
def test_a_living_run_is_never_touched(living, run_dir, force):
    before = contents(run_dir)
    with pytest.raises(ResultsError, match=f"the run of process {living.pid} on .* goes on here"):
        RunWriter(run_dir, force=force)
    assert contents(run_dir) == before
    living.communicate(timeout=30)
    assert living.returncode == 0
    assert load(run_dir).intervals["tick"].tolist() == [0]
    assert not (run_dir / LOCK).exists()


def test_a_living_run_is_not_resumed_by_another(living, run_dir):
    with pytest.raises(ResultsError, match="goes on here"):
        RunWriter.resume(run_dir, ticks=[0])


def test_a_killed_run_leaves_its_directory_free(living, run_dir):
    living.send_signal(signal.SIGKILL)
    living.wait(timeout=30)
    assert (run_dir / LOCK).exists()
    with RunWriter(run_dir, force=True) as writer:
        writer.append("intervals", {"tick": 7})
    assert load(run_dir).intervals["tick"].tolist() == [7]


def test_a_run_in_the_same_process_counts_as_living(run_dir):
    with RunWriter(run_dir), pytest.raises(ResultsError, match="goes on here"):
        RunWriter(run_dir, force=True)


def test_a_lock_of_another_host_counts_as_held(run_dir):
    RunWriter(run_dir).close()
    (run_dir / LOCK).write_bytes(msgspec.json.encode(Owner(12, "elsewhere")))
    with pytest.raises(ResultsError, match=r"process 12 on elsewhere goes on here; .* remove run\.lock"):
        RunWriter(run_dir, force=True)
    (run_dir / LOCK).unlink()
    RunWriter(run_dir, force=True).close()


def test_a_torn_lock_of_a_dead_run_does_not_hold(run_dir):
    RunWriter(run_dir).close()
    (run_dir / LOCK).write_bytes(b'{"pid": 1')
    RunWriter(run_dir, force=True).close()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("force", [False, True])
def test_a_folder_of_the_users_own_is_never_written(tmp_path, name, force):
    (tmp_path / name).write_text("# mine, with comments")
    with pytest.raises(ResultsError, match=f"has a {name}, but no run made this directory"):
        RunWriter(tmp_path, force=force)
    assert contents(tmp_path) == {name: b"# mine, with comments"}


@pytest.mark.parametrize("name", [*FILES, LOCK])
def test_no_link_is_written_through(tmp_path, run_dir, name):
    RunWriter(run_dir).close()
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (run_dir / name).unlink(missing_ok=True)
    (run_dir / name).symlink_to(victim)
    with pytest.raises(ResultsError):
        RunWriter(run_dir, force=True)
    assert victim.read_text() == "precious"
    assert (run_dir / name).is_symlink()


def test_a_directory_that_is_a_link_is_refused(tmp_path, run_dir):
    run_dir.mkdir()
    (tmp_path / "link").symlink_to(run_dir)
    with pytest.raises(ResultsError, match="is a symbolic link; name the directory itself"):
        RunWriter(tmp_path / "link")
    assert list(run_dir.iterdir()) == []


def removed(directory):
    shutil.rmtree(directory)


def replaced(directory):
    shutil.rmtree(directory)
    with RunWriter(directory) as other:
        other.append("intervals", {"tick": 5})


@pytest.mark.parametrize("happens", [removed, replaced])
@pytest.mark.parametrize(
    "write",
    [
        lambda writer, summary: writer.append("intervals", {"tick": 1}),
        lambda writer, summary: writer.event({"tick": 1}),
        lambda writer, summary: writer.finish(summary),
        lambda writer, summary: writer.close(),
    ],
)
def test_a_writer_whose_directory_is_gone_stops(run_dir, idle_summary, happens, write):
    writer = RunWriter(run_dir)
    happens(run_dir)
    before = contents(run_dir) if run_dir.exists() else None
    with pytest.raises(ResultsError, match="was removed or replaced while the run wrote it"):
        write(writer, idle_summary)
    with suppress(ResultsError):
        writer.close()
    assert (contents(run_dir) if run_dir.exists() else None) == before


@pytest.mark.parametrize("name", ["intervals.arrows", "events.jsonl"])
def test_a_writer_one_of_whose_files_is_gone_stops(run_dir, name):
    writer = RunWriter(run_dir)
    (run_dir / name).unlink()
    with pytest.raises(ResultsError, match=f"{name}: was removed or replaced"):
        writer.append("intervals", {"tick": 1}) if name != "events.jsonl" else writer.event({"tick": 1})
    if name == "events.jsonl":
        writer.close()
        return
    with pytest.raises(ResultsError, match=f"{name}: was removed or replaced"):
        writer.close()
    assert not (run_dir / "intervals.parquet").exists()
    assert (run_dir / "lams.parquet").exists()


def test_a_ledger_that_is_gone_books_nothing(tmp_path):
    booking = book_interval(
        1.0,
        ProsumerTrades(
            lam=[0], trade_kw=[1.0], trade_price=[0.2], metered_kwh=[1.0], short_price=[0.3], long_price=[0.1]
        ),
        LamTrades(net_kw=[1.0], wam_price=[0.2], alone=[False]),
        GridTrade(scheduled_kw=1.0, actual_kw=1.0, import_price=0.2, export_price=0.1),
    )
    path = tmp_path / "ledger.sqlite"
    with Ledger.create(path, account_names(["p1"], ["A"])) as ledger:
        assert ledger.post(0, booking)
        shutil.copy(path, tmp_path / "copy").replace(path)
        with pytest.raises(LedgerError, match="was removed or replaced while the run wrote it"):
            ledger.post(1, booking)


def test_the_marker_stays_when_a_run_is_replaced(run_dir):
    RunWriter(run_dir).close()
    RunWriter(run_dir, force=True).close()
    assert (run_dir / MARKER).exists()
