"""A terminal that may go away while a run goes on, as when its window or its connection is closed.

A process need not get a SIGHUP then: one in a session of its own, or in the background of a shell, gets none.
Writing to the terminal fails, but only where something is written. So the terminal itself is asked, twice a
second, whether it has hung up.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import stat
from collections.abc import Callable
from typing import TextIO

_STANDARD_STREAMS = (0, 1, 2)
_ASK_EVERY_S = 0.5


def lost_streams() -> list[int]:
    """File descriptors among standard input, output and error whose terminal has hung up."""
    poll = select.poll()
    for descriptor in _STANDARD_STREAMS:
        # Nothing is asked for: that a terminal has hung up is reported in any case.
        poll.register(descriptor, 0)
    return [
        descriptor for descriptor, event in poll.poll(0) if event & select.POLLHUP and _is_device(descriptor)
    ]


def _is_device(descriptor: int) -> bool:
    """Whether it is a device, as a terminal is: a pipe whose other end was closed is no terminal."""
    return stat.S_ISCHR(os.fstat(descriptor).st_mode)


def leave_lost_streams() -> bool:
    """Point what has hung up to the null device, so that later reads and writes do not fail.

    Returns
    -------
    bool
        Whether there was anything that had hung up.
    """
    lost = lost_streams()
    if lost:
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in lost:
            os.dup2(null, descriptor)
        os.close(null)
    return bool(lost)


async def watch_terminal(on_lost: Callable[[], object]) -> None:
    """Call ``on_lost`` once the terminal has hung up; does not return before."""
    while True:
        if leave_lost_streams():
            on_lost()
            return
        await asyncio.sleep(_ASK_EVERY_S)


class TerminalStream:
    """A stream to a terminal whose loss is no error of whoever writes to it.

    Parameters
    ----------
    stream
        Where to write.
    """

    def __init__(self, stream: TextIO) -> None:
        self.encoding = stream.encoding
        self._stream = stream

    def write(self, text: str) -> int:
        """Write; what a lost terminal does not take is left out."""
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Pass on what was written."""
        self._try(self._stream.flush)

    def isatty(self) -> bool:
        """Whether it is a terminal, and not a file."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Its file descriptor."""
        return self._stream.fileno()

    def _try(self, act: Callable[[], object]) -> None:
        try:
            act()
        except OSError as error:
            if error.errno != errno.EIO:
                raise
