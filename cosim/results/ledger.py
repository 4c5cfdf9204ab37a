"""SQLite ledger of a run: double entries in whole micro-dollars, each interval booked once and only once.

The file is plain SQL for its readers: views ``statement``, ``balance`` and ``interval_sum`` give names and
dollars (documented in docs/results.md). How an interval becomes entries is in ``cosim.results.booking``.
"""

from __future__ import annotations

import os
import sqlite3
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from cosim.results.chain import next_link
from cosim.results.entries import KINDS, UTILITY, Booking, LedgerError
from cosim.results.ledger_file import make_file, open_file, translated

_CHUNK = (
    200  # rows of one INSERT: two to three times as fast as one by one, below any build's limit of variables
)
_INSERT = "INSERT INTO entry VALUES (?, ?, ?, ?)"
_INSERT_CHUNK = _INSERT + ", (?, ?, ?, ?)" * (_CHUNK - 1)
_ENDS = (
    "SELECT (SELECT MIN(kind) FROM entry WHERE entry.tick = interval.tick),"
    " (SELECT MAX(kind) FROM entry WHERE entry.tick = interval.tick) FROM interval"
)
_TURNOVER = (
    "SELECT COUNT(*), -SUM(MIN(micro, 0)), SUM(MAX(micro, 0)) FROM interval CROSS JOIN entry"
    " ON entry.tick = interval.tick AND kind = ? AND account BETWEEN ? AND ?"
)


class Entry(NamedTuple):
    """One line of an account's statement; ``micro`` is in µ$, + received."""

    tick: int
    kind: str
    micro: int


class Ledger:
    """Ledger file of one run. Make it with ``create``, or take one up again with ``open``.

    It may be used from any thread, but only from one at a time.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, *, read_only: bool) -> None:
        self._db = connection
        # Whoever only reads a run's ledger need not close it.
        weakref.finalize(self, connection.close)
        self._read_only = read_only
        self.path = path
        self._written: os.stat_result | None = None

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
        return cls.open(path, read_only=False)

    @classmethod
    def open(cls, path: Path, *, read_only: bool = True, until: int | None = None) -> Self:
        """Ledger of an existing file, or what it holds up to an interval, whatever is booked meanwhile.

        Raises
        ------
        LedgerError
            There is no file, or it is not a ledger.
        """
        path = Path(path)
        ledger = cls(open_file(path, read_only=read_only, until=until), path, read_only=read_only)
        ledger._written = None if read_only else path.stat()
        return ledger

    @contextmanager
    def at_one_moment(self) -> Iterator[None]:
        """Let all that is read meanwhile be of one moment, whatever the run books."""
        self._rows("BEGIN")
        try:
            yield
        finally:
            self._rows("ROLLBACK")

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
        if not self._read_only:
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

    @property
    def run(self) -> str:
        """Run id that the file was made with."""
        return str(self._value("SELECT id FROM run"))

    @property
    def world(self) -> str:
        """Digest of the world that the file was made for."""
        return str(self._value("SELECT world FROM run"))

    @property
    def head(self) -> str:
        """Last link of the chain that runs through all entries (`cosim.results.chain`); empty before any."""
        return str(self._value("SELECT head FROM run"))

    @property
    def next_tick(self) -> int:
        """The interval behind the last one that is booked."""
        return int(self._value("SELECT COALESCE(MAX(tick), -1) + 1 FROM interval"))

    def has(self, tick: int) -> bool:
        """Whether an interval is booked."""
        return bool(self._rows("SELECT 1 FROM interval WHERE tick = ?", tick))

    def snapshots(self) -> dict[str, bytes]:
        """What each service remembered after the last interval that it took part in, by name."""
        return dict(self._rows("SELECT service, content FROM checkpoint"))

    def begin_epoch(self) -> int:
        """Number of a new epoch, in which the interval behind the last one booked begins anew."""
        with translated(self.path), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("UPDATE epoch SET number = number + 1")
        return self.epoch

    @property
    def epoch(self) -> int:
        """Number of the present epoch."""
        return int(self._value("SELECT number FROM epoch"))

    @property
    def can_resume(self) -> bool:
        """Whether its run is not over: the file still knows what services remember."""
        return bool(self._rows("SELECT 1 FROM sqlite_master WHERE name = 'checkpoint'"))

    def finish(self) -> None:
        """Forget what only a run that goes on needs."""
        with translated(self.path):
            self._db.executescript("DROP TABLE IF EXISTS checkpoint; DROP TABLE IF EXISTS epoch")

    def ticks(self) -> list[int]:
        """Booked intervals, ascending."""
        return [tick for (tick,) in self._rows("SELECT tick FROM interval ORDER BY tick")]

    def counts(self) -> dict[int, int]:
        """How many entries each interval was booked with."""
        return dict(self._rows("SELECT tick, entries FROM interval ORDER BY tick"))

    def all_entries(self, tick: int | None = None) -> npt.NDArray[np.int64]:
        """Tick, kind, account and amount [µ$] of all entries, or of an interval's, ``(entries, 4)``."""
        rows = self._rows(
            "SELECT tick, kind, account, micro FROM entry WHERE ? IN (tick, -1) ORDER BY tick, kind, account",
            -1 if tick is None else tick,
        )
        try:
            return np.array(rows, dtype=np.int64).reshape(-1, 4)
        except (TypeError, ValueError, OverflowError):
            raise LedgerError(f"{self.path}: has entries that are no numbers; the file was changed") from None

    def accounts(self) -> list[str]:
        """Names of the accounts, in the order of their numbers."""
        return [name for (name,) in self._rows("SELECT name FROM account ORDER BY id")]

    def parties(self) -> list[str]:
        """Party of each account, in the order of their numbers."""
        return [party for (party,) in self._rows("SELECT party FROM account ORDER BY id")]

    def integrity(self) -> list[str]:
        """What SQLite finds wrong with the file."""
        found = [line for (line,) in self._rows("PRAGMA integrity_check")]
        return [] if found == ["ok"] else found

    def entries(self) -> int:
        """Number of entries."""
        return int(self._value("SELECT COALESCE(SUM(entries), 0) FROM interval"))

    def sum_micro(self) -> int:
        """Sum over all entries [µ$]; zero."""
        return int(self._value("SELECT COALESCE(SUM(micro), 0) FROM entry"))

    def balances(self) -> dict[str, int]:
        """Balance of every account [µ$, + received], by name."""
        return dict(zip(self.accounts(), self.sums().sum(axis=1).tolist(), strict=True))

    def sums(self) -> npt.NDArray[np.int64]:
        """Sum of every account's entries by kind [µ$, + received], ``(accounts, kinds)``."""
        table = np.zeros((len(self.accounts()), len(KINDS)), dtype=np.int64)
        for account, kind, micro in self._rows(
            "SELECT account, kind, SUM(micro) FROM entry GROUP BY account, kind"
        ):
            table[account, KINDS.index(self._kind(kind))] = micro
        return table

    def turnover_by_party(self) -> dict[str, dict[str, tuple[int, int]]]:
        """What each party paid and received by kind of entry [µ$], each account and interval on its own."""
        parties, first = self.parties(), 0
        table: dict[str, dict[str, tuple[int, int]]] = {party: {} for party in parties}
        kinds = {kind for ends in self._rows(_ENDS) for kind in ends if kind is not None}
        names = {number: self._kind(number) for number in {*range(len(KINDS)), *kinds}}
        # Accounts of a party stand one behind the other, and so do their entries of an interval and kind.
        # Found in their place they need no sorting, which would take most of the time.
        for party, accounts in groupby(parties):
            last = first + len(list(accounts)) - 1
            for kind, name in names.items():
                count, paid, received = self._rows(_TURNOVER, kind, first, last)[0]
                if count:
                    before = table[party].get(name, (0, 0))
                    table[party][name] = (before[0] + paid, before[1] + received)
            first = last + 1
        return table

    def statement(self, account: str) -> list[Entry]:
        """Entries of one account by tick and kind; raises ``LedgerError`` where it has no such account."""
        found = self._rows("SELECT id FROM account WHERE name = ?", account)
        if not found:
            raise LedgerError(
                f"{self.path}: no account {account!r}; names are like prosumer/NAME, lam/NAME or wam"
            )
        return [
            Entry(tick, self._kind(kind), micro)
            for tick, kind, micro in self._rows(
                "SELECT tick, kind, micro FROM entry WHERE account = ? ORDER BY tick, kind", found[0][0]
            )
        ]

    def _check_file(self) -> None:
        """Raise ``LedgerError`` where the file is no longer at its place: SQLite would write on unseen."""
        try:
            found = self.path.stat(follow_symlinks=False)
        except OSError:
            found = None
        if self._written is None or found is None or not os.path.samestat(found, self._written):
            raise LedgerError(
                f"{self.path}: was removed or replaced while the run wrote it; nothing more is booked"
            )

    def close(self) -> None:
        """Close the file; a writer first folds its log into it, so that one file holds everything."""
        if not self._read_only:
            # It fails when closed twice, or where a reader keeps the log alive: the next writer folds it in.
            with suppress(sqlite3.OperationalError, sqlite3.ProgrammingError):
                self._db.execute("PRAGMA journal_mode = DELETE")
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _kind(self, number: int) -> str:
        if number not in range(len(KINDS)):
            raise LedgerError(f"{self.path}: has entries of an unknown kind {number}; the file was changed")
        return KINDS[number]

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with translated(self.path):
            return self._db.execute(query, values).fetchall()

    def _value(self, query: str) -> Any:
        return self._rows(query)[0][0]
