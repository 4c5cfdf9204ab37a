"""Which processes take keys from their terminal, and which runs a stop finds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cosim.emergency import RunAddress, StopError, noted_address, run_address
from cosim.results.lock import DirectoryLock

TAKES = "from cosim.emergency import takes_keys; print(takes_keys())"
ON_ITS_TERMINAL = f"""
import fcntl, subprocess, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
for more in ({{}}, {{"process_group": 0}}):
    subprocess.run([sys.executable, "-c", {TAKES!r}], check=True, timeout=60.0, **more)
"""


@pytest.fixture
def slave():
    window, slave = os.openpty()
    yield slave
    os.close(slave)
    os.close(window)


def said(code, stdin):
    command = [sys.executable, "-c", code]
    ran = subprocess.run(
        command, stdin=stdin, stdout=subprocess.PIPE, start_new_session=True, check=True, timeout=60.0
    )
    return ran.stdout.decode().split()


def test_keys_come_to_the_foreground_of_a_shell_and_not_to_its_background(slave):
    assert said(ON_ITS_TERMINAL, slave) == ["True", "False"]


def test_keys_come_from_a_terminal_that_no_shell_shares_and_from_no_file(slave):
    assert said(TAKES, slave) == ["True"]
    assert said(TAKES, subprocess.DEVNULL) == ["False"]


@pytest.mark.parametrize("named", ["lab/first", "lab/none", "lab", "elsewhere/none"])
def test_a_stop_that_misses_names_the_runs_that_go_on(tmp_path, monkeypatch, named):
    monkeypatch.chdir(tmp_path)
    for folder in ("lab/first", "lab/armed", "lab/killed", "runs/other"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "lab" / "killed" / "live.json").write_text("{}")
    living = ["lab/armed", "runs/other"]
    locks = [DirectoryLock(Path(folder)) for folder in living]
    with noted_address(Path(living[0]), "a", "mqtt://h"), noted_address(Path(living[1]), "o", "mqtt://h"):
        assert run_address(Path(living[0])) == RunAddress("a", "mqtt://h")
        with pytest.raises(StopError) as refused:
            run_address(Path(named))
    near = living if named.startswith("lab") else living[1:]
    assert str(refused.value) == f"{named}: no run goes on here; those go on: {', '.join(near)}"
    for lock in locks:
        lock.release()
    with pytest.raises(StopError, match="no run goes on here; give its directory, or --broker and --run-id"):
        run_address(Path(named))


def test_a_stop_loads_nothing_that_delays_it():
    code = "import cosim.emergency, sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert not {"scipy", "pandas", "pyarrow", "numba", "market"} & set(done.stdout.split())
