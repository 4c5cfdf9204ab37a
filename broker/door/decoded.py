"""Messages that several services of one process hear: decoded and checked once, for all of them.

Every service has a connection of its own, so a reading that three of them want comes three times, with the
same bytes. What a message's bytes say, and whether that can be meant in this run, is the same for each; only
what depends on the receiver (who may write there, which tick it is, which number is next) is not.
"""

from __future__ import annotations

import threading

from broker.messages import Declaration, Message

KEPT = 8192
"""Messages after which those of a generation before are forgotten; services are a few hundred apart."""

MOST_BYTES = 2**22
"""Bytes of bodies after which they are forgotten too: an interval of 11,250 prosumers has about as many."""

LONGEST_BYTES = 2**20
"""Longer bodies are few, and kept by nobody."""


class Decoded(threading.local):
    """Messages that passed all checks of their bodies, by their bytes; of one thread.

    Services that share it hold messages against the same bounds. Nobody changes a message once it is made.
    """

    def __init__(self) -> None:
        self._latest: dict[bytes, tuple[Declaration, Message]] = {}
        self._before: dict[bytes, tuple[Declaration, Message]] = {}
        self._bytes = 0

    def get(self, payload: bytes, declaration: Declaration) -> Message | None:
        """The message that these bytes were, if another service has let it in as one of this kind."""
        known = self._latest.get(payload) or self._before.get(payload)
        return known[1] if known is not None and known[0] is declaration else None

    def keep(self, payload: bytes, declaration: Declaration, message: Message) -> None:
        """Keep a message that passed all checks of its body."""
        if len(payload) > LONGEST_BYTES:
            return
        if len(self._latest) >= KEPT or self._bytes + len(payload) > MOST_BYTES:
            self._before, self._latest, self._bytes = self._latest, {}, 0
        self._latest[payload] = declaration, message
        self._bytes += len(payload)
