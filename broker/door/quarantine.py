"""Messages that a handler failed on: kept with their bytes, so that the fault can be found and mended."""

from __future__ import annotations

import base64
import logging
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import msgspec

log = logging.getLogger(__name__)

_MOST = 100
_MOST_BYTES = 64 * 2**10
_FILE_BYTES = 8 * 2**20


@dataclass(frozen=True)
class Kept:
    """One message: where it came, what it made of the handler, and its first bytes."""

    service: str
    tick: int
    topic: str
    error: str
    payload: bytes


class Quarantine:
    """Keeps the last messages in memory, and in a file where one is given; both are bounded.

    Parameters
    ----------
    file
        Lines of JSON are added to it, the body in base64, until it is full.
    """

    def __init__(self, file: Path | None = None) -> None:
        self.file = file
        self.kept: deque[Kept] = deque(maxlen=_MOST)

    def keep(self, service: str, tick: int, topic: str, payload: bytes, error: Exception) -> None:
        """Keep one message."""
        kept = Kept(service, tick, topic, f"{type(error).__name__}: {error}", payload[:_MOST_BYTES])
        self.kept.append(kept)
        if isinstance(error, OSError):
            # A full disk is no fault of the program: where it struck tells nothing more.
            log.error("%s: a message on %s is set aside: %s", service, topic, error)
        else:
            log.error("%s: a message on %s is set aside", service, topic, exc_info=error)
        if self.file is not None:
            self._write(self.file, kept)

    def _write(self, file: Path, kept: Kept) -> None:
        line = {
            "service": kept.service,
            "tick": kept.tick,
            "topic": kept.topic,
            "error": kept.error,
            "payload": base64.b64encode(kept.payload).decode(),
        }
        try:
            with file.open("ab") as out:
                if out.tell() < _FILE_BYTES:
                    out.write(msgspec.json.encode(line) + b"\n")
        except OSError as problem:
            # A full disk must not end the run over a message that is only set aside.
            log.warning("%s cannot be written: %s", file, problem)
