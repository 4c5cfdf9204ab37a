"""Which run of this computer commands a piece of hardware: of two, whatever their brokers, one must not.

Each device has a file in a folder that all users share, and whoever may write to the device keeps that file
locked. The system frees the lock when the process ends, however it ends, so that none is left behind.
"""

import fcntl
import os
import shlex
import stat
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from hashlib import sha256
from pathlib import Path

import msgspec

from devices.endpoint import Endpoint
from devices.errors import AlreadyClaimed, LockUnreadable
from devices.gateway.identity import names_here
from sharegrid.decoding import decode_json

_SHARED = (Path("/run/lock"), Path("/tmp"))  # noqa: S108 - for all users, whatever their environment says
_MOST_BYTES = 4096
_LOOKS = 3


class Holder(msgspec.Struct, frozen=True):
    """Run that commands hardware.

    Attributes
    ----------
    run, directory, pid
        Its name, its directory, and the process of its gateway.
    stop
        Arguments of ``sharegrid stop`` that stop its devices.
    """

    run: str
    directory: str
    pid: int
    stop: tuple[str, ...]

    def __str__(self) -> str:
        """Return who it is and how to stop it, without what a terminal would obey."""
        words = shlex.join(["sharegrid", "stop", *self.stop])
        text = (
            f"run {self.run} (process {self.pid}, in {self.directory}) has it: end that run first; "
            f"its devices are stopped by: {words}"
        )
        return "".join(each if each.isprintable() else "?" for each in text)


def shared_folder() -> Path:
    """Folder of the locks: the same for all users of a computer, none of whom may remove another's files.

    Where there is none, as in a container that may write nearly nowhere, it is that of temporary files.
    Raises `LockUnreadable` where there is none of these either.
    """
    for folder in _SHARED:
        with suppress(FileNotFoundError):
            if folder.stat().st_mode & 0o1777 == 0o1777 and os.access(folder, os.W_OK):
                return folder
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        raise LockUnreadable(
            f"whether another run of this computer commands the hardware cannot be told: {error.strerror}; "
            "let /run/lock or /tmp be written to"
        ) from None


@asynccontextmanager
async def locked(
    endpoints: Iterable[Endpoint], holder: Holder, folder: Path | None = None
) -> AsyncIterator[None]:
    """Hold the locks of devices for the time of a ``with`` block.

    Parameters
    ----------
    endpoints
        The devices.
    holder
        The run that commands them.
    folder
        Where the locks lie; without it, where those of all users of this computer do.

    Raises
    ------
    AlreadyClaimed
        Another run commands one of them; names it and how to stop it.
    LockUnreadable
        A lock cannot be taken, for a reason that is not another run.
    """
    folder = folder or shared_folder()
    with ExitStack() as stack:
        taken: set[Path] = set()
        for endpoint in endpoints:
            for name in await names_here(endpoint):
                path = folder / f"sharegrid-{sha256(name.encode()).hexdigest()[:32]}.lock"
                if path not in taken:  # Two devices on a broker may have one name.
                    stack.enter_context(_held(path, endpoint, holder))
                    taken.add(path)
        yield


@contextmanager
def _held(path: Path, endpoint: Endpoint, holder: Holder) -> Iterator[None]:
    try:
        descriptor = _taken(path, endpoint, holder)
    except OSError as error:
        raise LockUnreadable(
            f"{endpoint}: whether another run of this computer commands it cannot be told, for {path} "
            f"cannot be locked ({error.strerror}): see whose file that is, and remove it where no run goes on"
        ) from None
    try:
        yield
    finally:
        # While it is locked nobody else removes it; one of another user stays where it is.
        with suppress(PermissionError):
            path.unlink(missing_ok=True)
        os.close(descriptor)


def _taken(path: Path, endpoint: Endpoint, holder: Holder) -> int:
    """Descriptor of a lock file, locked."""
    while True:
        descriptor = _opened(path)
        try:
            _check_file(descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had it may have removed the file before this lock was granted.
            if _is_same(path, descriptor):
                _describe(descriptor, holder)
                return descriptor
        except BlockingIOError:
            other = _holder(descriptor) or f"a process that {path} does not name has it: end that first"
            os.close(descriptor)
            raise AlreadyClaimed(f"{endpoint} is commanded by another: {other}") from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _opened(path: Path) -> int:
    """Open a lock file, new or another's; what is another user's only to be locked."""
    flags = os.O_NOFOLLOW | os.O_NONBLOCK
    while True:
        with suppress(FileExistsError):
            descriptor = os.open(path, flags | os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            # All may see who has it, and wait for it, whatever files are to be by default.
            os.fchmod(descriptor, 0o644)
            return descriptor
        with suppress(FileNotFoundError):
            try:
                return os.open(path, flags | os.O_RDWR)
            except PermissionError:
                return os.open(path, flags | os.O_RDONLY)


def _check_file(descriptor: int) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise OSError(0, "it is no plain file")


def _describe(descriptor: int, holder: Holder) -> None:
    """Write down who holds a lock, if the file is ours and has no other name by which it is another's."""
    found = os.fstat(descriptor)
    if found.st_uid == os.geteuid() and found.st_nlink == 1:
        os.fchmod(descriptor, 0o644)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, msgspec.json.encode(holder), 0)


def _holder(descriptor: int) -> Holder | None:
    """Who holds a lock, as its file says; ``None`` where it names a process that is gone, or nobody."""
    for _ in range(_LOOKS):
        with suppress(msgspec.DecodeError):
            holder = decode_json(os.pread(descriptor, _MOST_BYTES, 0), Holder)
            return holder if _lives(holder.pid) else None
        time.sleep(0.01)  # It may just be written.
    return None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:  # Another user's.
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


def _is_same(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False
