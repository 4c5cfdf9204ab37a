"""Who came to a broker of our own and what it refused: picked out of its log, and kept."""

from __future__ import annotations

import logging
from pathlib import Path

log = logging.getLogger(__name__)

_SIGNS = (b": Denied ", b"SSL routines", b": New c", b": Client ")
_LONGEST_LINE = 2**16
_MOST_BYTES = 8 * 2**20


class BrokerLog:
    """Takes the broker's log in pieces and keeps the lines that tell who came and what was refused.

    Parameters
    ----------
    file
        The lines are added to it, until it is full; its owner alone can read it. Where it is not there, as
        before a run's directory is made, all lines so far are written once it can be.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._rest = b""
        self._bytes = 0
        self._lines: list[bytes] = []

    def __call__(self, chunk: bytes) -> None:
        """Take a piece of the log."""
        whole, _, rest = (self._rest + chunk).rpartition(b"\n")
        self._rest = rest[-_LONGEST_LINE:]
        # Most pieces tell of nothing refused, and there are very many.
        if not _tells(whole):
            return
        for line in whole.split(b"\n"):
            if _tells(line):
                self._keep(line)

    def _keep(self, line: bytes) -> None:
        log.info("broker: %s", line.decode(errors="replace"))
        if self._file is None or self._bytes > _MOST_BYTES:
            return
        self._bytes += len(line) + 1
        self._lines.append(line)
        if not self._file.parent.is_dir():
            return
        try:
            lines = [line] if self._file.exists() else self._lines
            self._file.touch(mode=0o600)
            with self._file.open("ab") as out:
                out.write(b"\n".join(lines) + b"\n")
        except OSError as error:
            log.warning("%s cannot be written: %s", self._file, error)


def _tells(text: bytes) -> bool:
    """Whether a piece of the log has a line that is kept."""
    return any(sign in text for sign in _SIGNS)
