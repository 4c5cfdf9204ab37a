"""Locks of devices on one computer: real files, real processes."""

import asyncio
import os
import socket
import stat
import subprocess
import sys
import tempfile

import pytest

from devices.endpoint import parse_endpoint, tcp
from devices.errors import AlreadyClaimed, LockUnreadable
from devices.gateway.locks import Holder, locked, shared_folder

DEVICE = tcp("127.0.0.1", 502, 3, "sunspec-pv")
FIRST = Holder("first", "/runs/one of mine", os.getpid(), ("/runs/one of mine",))
SECOND = Holder("second", "/runs/two", os.getpid(), ("--broker", "mqtt://h:1", "--run-id", "second"))

HOLD = """
import asyncio, os, sys
from pathlib import Path
from devices.endpoint import tcp
from devices.gateway.locks import Holder, locked
async def main():
    holder = Holder("killed", "/runs/killed", os.getpid(), ("/runs/killed",))
    async with locked([tcp("127.0.0.1", 502, 3, "x")], holder, Path(sys.argv[1])):
        print("held", flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""


async def test_the_second_run_hears_who_has_a_device_and_how_to_stop_it(tmp_path):
    async with locked([DEVICE], FIRST, tmp_path):
        with pytest.raises(AlreadyClaimed) as refused:
            async with locked([DEVICE], SECOND, tmp_path):
                pass
        assert str(refused.value) == (
            f"unit 3 at 127.0.0.1:502 is commanded by another: run first (process {os.getpid()}, "
            "in /runs/one of mine) has it: end that run first; its devices are stopped by: "
            "sharegrid stop '/runs/one of mine'"
        )
        async with locked([tcp("127.0.0.1", 502, 4, "x"), tcp("127.0.0.1", 503, 3, "x")], SECOND, tmp_path):
            pass
    async with locked([DEVICE], SECOND, tmp_path):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("other", ["tcp://localhost/3", "rtu+tcp://127.0.0.1:502/3", "tcp://[::1]:502/3"])
async def test_a_device_is_one_by_whatever_address(tmp_path, other):
    async with locked([DEVICE], FIRST, tmp_path):
        with pytest.raises(AlreadyClaimed, match="run first"):
            async with locked([parse_endpoint(other, "x")], SECOND, tmp_path):
                pass


async def test_an_address_of_this_computer_is_this_computer(tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        try:
            way.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this computer has no network")
        own = way.getsockname()[0]
    async with locked([DEVICE], FIRST, tmp_path):
        with pytest.raises(AlreadyClaimed, match="run first"):
            async with locked([tcp(own, 502, 3, "x")], SECOND, tmp_path):
                pass
        async with locked([tcp("192.0.2.1", 502, 3, "x")], SECOND, tmp_path):
            pass


async def test_a_serial_line_is_one_by_whatever_link(tmp_path):
    line = tmp_path / "ttyUSB0"
    line.touch()
    (tmp_path / "by-id").symlink_to(line)
    (folder := tmp_path / "locks").mkdir()
    async with locked([parse_endpoint(f"rtu://{line}/1", "x")], FIRST, folder):
        with pytest.raises(AlreadyClaimed, match="run first"):
            async with locked([parse_endpoint(f"rtu://{tmp_path}/by-id/1?baud=19200", "x")], SECOND, folder):
                pass


async def test_what_was_taken_before_a_refusal_is_free_again(tmp_path):
    other = tcp("127.0.0.1", 502, 4, "x")
    async with locked([DEVICE], FIRST, tmp_path):
        with pytest.raises(AlreadyClaimed):
            async with locked([other, DEVICE], SECOND, tmp_path):
                pass
        async with locked([other], SECOND, tmp_path):
            pass


async def test_two_names_of_one_device_in_one_run_are_one_lock(tmp_path):
    async with locked([DEVICE, tcp("localhost", 502, 3, "x")], FIRST, tmp_path):
        assert len(list(tmp_path.iterdir())) == 1


async def test_of_many_at_once_one_has_it(tmp_path):
    async def hold():
        async with locked([DEVICE], FIRST, tmp_path):
            await asyncio.sleep(0.2)

    outcomes = await asyncio.gather(*(hold() for _ in range(8)), return_exceptions=True)
    assert sum(outcome is None for outcome in outcomes) == 1
    assert sum(isinstance(outcome, AlreadyClaimed) for outcome in outcomes) == 7


async def test_a_killed_process_leaves_no_lock(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    try:
        assert await process.stdout.readline() == b"held\n"
        with pytest.raises(AlreadyClaimed, match=f"run killed .process {process.pid}, in /runs/killed"):
            async with locked([DEVICE], FIRST, tmp_path):
                pass
    finally:
        process.kill()
        await process.wait()
    assert len(list(tmp_path.iterdir())) == 1
    async with locked([DEVICE], FIRST, tmp_path):
        with pytest.raises(AlreadyClaimed, match="run first"):
            async with locked([DEVICE], SECOND, tmp_path):
                pass


async def test_a_lock_is_written_by_its_owner_alone_and_seen_by_all(tmp_path):
    before = os.umask(0)
    try:
        async with locked([DEVICE], FIRST, tmp_path):
            (file,) = tmp_path.iterdir()
            assert stat.S_IMODE(file.stat().st_mode) == 0o644
    finally:
        os.umask(before)


@pytest.mark.parametrize("trap", ["symlink", "fifo", "folder", "second name"])
async def test_nothing_is_written_through_what_another_user_laid_there(tmp_path, trap):
    (folder := tmp_path / "locks").mkdir()
    async with locked([DEVICE], FIRST, folder):
        (path,) = folder.iterdir()
    (mine := tmp_path / "mine").write_text("precious")
    match trap:
        case "symlink":
            path.symlink_to(mine)
        case "fifo":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case _:
            path.hardlink_to(mine)
    if trap == "second name":
        async with locked([DEVICE], FIRST, folder):
            pass
    else:
        with pytest.raises(LockUnreadable, match=r"whether another run .* cannot be told"):
            async with locked([DEVICE], FIRST, folder):
                pass
    assert mine.read_text() == "precious"


async def test_a_file_that_may_not_be_read_is_said(tmp_path, monkeypatch):
    async with locked([DEVICE], FIRST, tmp_path):
        (path,) = tmp_path.iterdir()
    path.touch(mode=0)
    real = os.open

    def denied(name, *args, **kwargs):
        if name == path:  # Whoever is root may read all.
            raise FileExistsError if args[0] & os.O_EXCL else PermissionError(13, "Permission denied")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(LockUnreadable, match=r"cannot be locked .Permission denied.: see whose file that is"):
        async with locked([DEVICE], FIRST, tmp_path):
            pass


async def test_what_a_foreign_file_says_does_not_reach_the_terminal_raw(tmp_path):
    holder = Holder("run\x1b[2J", "/tmp/\nx", os.getpid(), ("; rm -rf ~",))
    async with locked([DEVICE], holder, tmp_path):
        with pytest.raises(AlreadyClaimed) as refused:
            async with locked([DEVICE], SECOND, tmp_path):
                pass
    assert str(refused.value).isprintable()
    assert str(refused.value).endswith("sharegrid stop '; rm -rf ~'")


@pytest.mark.parametrize("says", [b'{"run": "\xff"}', b'{"more": ' + b"[" * 60_000, b"[]", b"no JSON"])
async def test_a_lock_whose_file_says_nothing_is_held_all_the_same(tmp_path, says):
    async with locked([DEVICE], FIRST, tmp_path):
        (file,) = tmp_path.iterdir()
        file.write_bytes(says)
        with pytest.raises(AlreadyClaimed):
            async with locked([DEVICE], SECOND, tmp_path):
                pass


def test_where_the_folder_of_all_users_cannot_be_written_to_it_is_another(monkeypatch, tmp_path):
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != "/run/lock" and real(path, mode))
    assert str(shared_folder()) == "/tmp"
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert shared_folder() == tmp_path

    def nowhere():
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    with pytest.raises(LockUnreadable, match="let /run/lock or /tmp be written to"):
        shared_folder()


def test_all_users_look_in_one_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert str(shared_folder()) in ("/run/lock", "/tmp")
