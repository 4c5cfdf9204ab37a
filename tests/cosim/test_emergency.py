"""Which processes take keys from their terminal."""

import os
import subprocess
import sys

import pytest

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
