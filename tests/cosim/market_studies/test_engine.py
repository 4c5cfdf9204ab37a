"""Tasks on Dask: the same bits from any workers, and one line for whatever is wrong with a scheduler."""

import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest

from cosim.market_studies.declaration import StudyError
from cosim.market_studies.engine import open_engine
from cosim.market_studies.running import study
from sharegrid import PACKAGES
from tests.cosim.market_studies.test_catalogue import parquet_of
from tests.cosim.market_studies.test_running import SMALL

distributed = pytest.importorskip("distributed")

ROOT = Path(__file__).resolve().parents[3]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=50
    ) as found:
        yield found


def dies_once(*, marker, number):
    """The process ends in the first of all tasks that gets here."""
    if not Path(marker).exists():
        Path(marker).touch()
        os._exit(1)
    return number * number


def test_a_scheduler_gives_the_bits_of_one_process(cluster, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    study("behaviour", out=here, jobs=1, changes=SMALL)
    study("behaviour", out=there, scheduler=cluster.scheduler_address, changes=SMALL)
    assert parquet_of(here) == parquet_of(there)


def test_a_killed_worker_costs_its_task_only(cluster, tmp_path):
    tasks = [{"marker": str(tmp_path / "died"), "number": number} for number in range(6)]
    found = {}
    with open_engine(None, cluster.scheduler_address) as engine:
        engine.run(dies_once, tasks, found.__setitem__)
    assert (tmp_path / "died").exists()
    assert found == {number: number * number for number in range(6)}


def fails(*, number):
    if number == 2:
        raise StudyError("two cannot be")
    return number


def test_a_task_that_fails_ends_the_others_in_peace(cluster):
    found = {}
    with (
        open_engine(None, cluster.scheduler_address) as engine,
        pytest.raises(StudyError, match="two cannot be"),
    ):
        engine.run(fails, [{"number": number} for number in range(4)], found.__setitem__)
    assert 2 not in found


@contextmanager
def worker_from(folder):
    """Address of a scheduler whose one worker has its sharegrid from a folder."""
    with distributed.LocalCluster(
        n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=50
    ) as cluster:
        address = cluster.scheduler_address
        options = ["--no-nanny", "--no-dashboard", "--nthreads", "1", "--host", "127.0.0.1"]
        worker = subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_worker", address, *options],
            env={**os.environ, "PYTHONPATH": str(folder)},
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield address
        finally:
            worker.terminate()
            worker.wait()


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("sharegrid/errors.py", "is another program: sharegrid's sources is "),
        ("cosim/market_studies/__init__.py", "its workers cannot load this sharegrid"),
    ],
)
def test_workers_with_another_version_are_refused(tmp_path, broken, said):
    for package in (*PACKAGES, "sharegrid"):
        copytree(ROOT / package, tmp_path / package, ignore=ignore_patterns("__pycache__"))
    file = tmp_path / broken
    file.write_text("raise ImportError('too old')" if "__init__" in broken else f"{file.read_text()}\n# mine")
    with (
        worker_from(tmp_path) as address,
        pytest.raises(StudyError, match=re.escape(said)) as refusal,
        open_engine(None, address),
    ):
        pass
    assert "\n" not in str(refusal.value)


def test_a_scheduler_without_workers_is_refused(monkeypatch):
    monkeypatch.setattr("cosim.market_studies.engine.CONNECT_S", 1.0)
    with (
        distributed.LocalCluster(
            n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=50
        ) as empty,
        pytest.raises(StudyError, match="it has no workers"),
        open_engine(None, empty.scheduler_address),
    ):
        pass
