"""SQLite ledger of a run: double entries in whole micro-dollars, each interval booked once and only once.

How an interval becomes entries is in ``cosim.results.booking``; what is booked is read with
``cosim.results.ledger_reader``.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import numpy as np

from cosim.results.chain import next_link
from cosim.results.entries import KINDS, UTILITY, Booking, LedgerError
from cosim.results.ledger_file import make_file, open_file, translated
from cosim.results.ledger_reader import LedgerReader

_CHUNK = 200
"""Rows of one INSERT: two to three times as fast as one by one, below any build's limit of variables."""

_INSERT = "INSERT INTO entry VALUES (?, ?, ?, ?)"
_INSERT_CHUNK = _INSERT + ", (?, ?, ?, ?)" * (_CHUNK - 1)


class Ledger(LedgerReader):
    """Ledger file of a run that books. Make it with ``create``, or take one up again with ``resume``."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        super().__init__(connection, path)
        self._written = path.stat()

    @classmethod
    def create(cls, path: Path, accounts: Sequence[str], run: str = "", world: str = "") -> Self:
        """Ledger in a new file.

        Parameters
        ----------
        path
            File to make.
        accounts
            Names in the order of their numbers, as ``account_names`` gives them.
        run, world
            Run id, and digest of the run's world, that the file remembers.

        Raises
        ------
        LedgerError
            The file is there already or cannot be written, or two accounts have one name.
        """
        path = Path(path)
        make_file(path, accounts, run, world)
        return cls.resume(path)

    @classmethod
    def resume(cls, path: Path) -> Self:
        """Ledger of an existing file, to go on booking in it; raises as `LedgerReader.open`."""
        path = Path(path)
        return cls(open_file(path, read_only=False), path)

    def post(self, tick: int, booking: Booking, snapshots: Mapping[str, bytes] | None = None) -> bool:
        """Book an interval in one transaction, unless it is booked already.

        Parameters
        ----------
        tick
            Number of the interval.
        booking
            Its entries.
        snapshots
            What each service remembers after it (`broker.snapshot`), from which the run can go on.

        Returns
        -------
        bool
            ``True`` where the interval was booked now; ``False`` where it had been, and nothing changed.

        Raises
        ------
        LedgerError
            The entries do not sum to zero, name an unknown account, or cannot be written, or the file was
            removed or replaced.
        """
        self._check_file()
        total = int(booking.micro.sum())
        if total:
            raise LedgerError(
                f"interval {tick}: the entries sum to {total} µ$ instead of zero; nothing was booked"
            )
        tick_column = np.full(booking.entries, tick)
        rows = np.column_stack([tick_column, booking.kind, booking.account, booking.micro])
        chunked = booking.entries - booking.entries % _CHUNK
        with translated(self.path), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            new = self._db.execute("INSERT OR IGNORE INTO interval VALUES (?, ?)", (tick, booking.entries))
            if new.rowcount == 0:
                return False
            if booking.kind.max(initial=0) == UTILITY:
                # Ledgers name it from its first entry on, for older ones have begun without it.
                self._db.execute("INSERT OR IGNORE INTO kind VALUES (?, ?)", (UTILITY, KINDS[UTILITY]))
            self._db.executemany(_INSERT_CHUNK, rows[:chunked].reshape(-1, 4 * _CHUNK).tolist())
            self._db.executemany(_INSERT, rows[chunked:].tolist())
            self._db.execute("UPDATE run SET head = ?", (next_link(self.head, rows),))
            self._db.executemany(
                "INSERT OR REPLACE INTO checkpoint VALUES (?, ?, ?)",
                ((service, tick, content) for service, content in (snapshots or {}).items()),
            )
        with translated(self.path):
            # So that a copy of this one file has every interval that is over.
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        return True

    def begin_epoch(self) -> int:
        """Number of a new epoch, in which the interval behind the last one booked begins anew."""
        with translated(self.path), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("UPDATE epoch SET number = number + 1")
        return self.epoch

    def finish(self) -> None:
        """Forget what only a run that goes on needs."""
        with translated(self.path):
            self._db.executescript("DROP TABLE IF EXISTS checkpoint; DROP TABLE IF EXISTS epoch")

    def _check_file(self) -> None:
        """Raise ``LedgerError`` where the file is no longer at its place: SQLite would write on unseen."""
        try:
            found = self.path.stat(follow_symlinks=False)
        except OSError:
            found = None
        if found is None or not os.path.samestat(found, self._written):
            raise LedgerError(
                f"{self.path}: was removed or replaced while the run wrote it; nothing more is booked"
            )

    def close(self) -> None:
        """Close the file; its log is folded into it first, so that one file holds everything."""
        # It fails when closed twice, or where a reader keeps the log alive: the next writer folds it in.
        with suppress(sqlite3.OperationalError, sqlite3.ProgrammingError):
            self._db.execute("PRAGMA journal_mode = DELETE")
        super().close()
