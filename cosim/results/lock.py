"""The lock of a run directory: one run writes it at a time, and notices when it is no longer its own."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from itertools import count
from pathlib import Path

import msgspec

from cosim.results.errors import ResultsError
from sharegrid.decoding import decode_json

LOCK = "run.lock"
_LOOKS = 3


class Owner(msgspec.Struct, frozen=True):
    """Process that writes a run directory, and the host that it is on."""

    pid: int
    host: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class DirectoryLock:
    """A run's hold on its directory.

    The system frees it when the process ends, however it ends. On a file system that several hosts share,
    a lock of another host counts as held, for nobody can tell.
    """

    def __init__(self, path: Path) -> None:
        """Take the lock of a directory that exists; raises ``ResultsError`` where another run has it."""
        self.path = path / LOCK
        self._descriptor: int | None = self._taken()

    def _taken(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        looks = count()
        while True:
            descriptor = os.open(self.path, flags, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Whoever had it may have removed the file before this lock was granted.
                if is_same(self.path, descriptor):
                    _refuse_another_host(self.path)
                    me = Owner(os.getpid(), socket.gethostname())
                    os.ftruncate(descriptor, 0)
                    os.pwrite(descriptor, msgspec.json.encode(me), 0)
                    return descriptor
            except BlockingIOError:
                os.close(descriptor)
                if next(looks) < _LOOKS:
                    # Whoever only looks whether a run goes on has the lock for less than that.
                    time.sleep(0.01)
                    continue
                raise _held(self.path, _owner(self.path)) from None
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    @property
    def is_held(self) -> bool:
        """Whether the directory still is this run's."""
        return self._descriptor is not None and is_same(self.path, self._descriptor)

    def check(self) -> None:
        """Raise ``ResultsError`` where the directory was removed or is another run's by now."""
        if not self.is_held:
            raise vanished(self.path)

    def release(self) -> None:
        """Give the directory free; nothing happens where that is done."""
        if self._descriptor is None:
            return
        if self.is_held:
            self.path.unlink()
        os.close(self._descriptor)
        self._descriptor = None


def is_living(directory: Path) -> bool:
    """Whether a run that goes on, here or on another host, owns a directory."""
    try:
        refuse_living(directory)
    except ResultsError:
        return True
    return False


def refuse_living(directory: Path) -> None:
    """Raise ``ResultsError`` where a run that goes on, here or on another host, owns a directory."""
    path = directory / LOCK
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _held(path, _owner(path)) from None
    finally:
        os.close(descriptor)
    _refuse_another_host(path)


def _refuse_another_host(path: Path) -> None:
    owner = _owner(path)
    if owner is not None and owner.host != socket.gethostname():
        raise _held(path, owner)


def vanished(path: Path) -> ResultsError:
    """Error of a file that was removed or replaced while its run wrote it."""
    return ResultsError(
        f"{path}: was removed or replaced while the run wrote it, and the run ends; "
        "give each run a directory of its own"
    )


def _held(path: Path, owner: Owner | None) -> ResultsError:
    who = "a run" if owner is None else f"the run of {owner}"
    return ResultsError(
        f"{path.parent}: {who} goes on here; choose another directory, or remove {path.name} in it "
        "where that run is known to be dead"
    )


def _owner(path: Path) -> Owner | None:
    try:
        return decode_json(path.read_bytes(), Owner)
    except (OSError, msgspec.DecodeError):
        return None


def is_same(path: Path, descriptor: int) -> bool:
    """Whether an open file still is the one at its path."""
    try:
        return os.path.samestat(path.stat(follow_symlinks=False), os.fstat(descriptor))
    except OSError:
        return False
