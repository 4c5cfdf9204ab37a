"""Reading of a run's ledger, also while the run books: accounts, entries, balances, checkpoints.

The file is plain SQL for its readers: views ``statement``, ``balance`` and ``interval_sum`` give names and
dollars (documented in docs/results.md).
"""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from cosim.results.entries import KINDS, LedgerError
from cosim.results.ledger_file import open_file, translated

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


class LedgerReader:
    """Ledger file of a run, to be read. It need not be closed.

    It may be used from any thread, but only from one at a time.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._db = connection
        weakref.finalize(self, connection.close)
        self.path = path

    @classmethod
    def open(cls, path: Path, *, until: int | None = None) -> LedgerReader:
        """Ledger of a file, or what it holds up to an interval, whatever is booked meanwhile.

        Raises
        ------
        LedgerError
            There is no file, or it is not a ledger.
        """
        path = Path(path)
        return LedgerReader(open_file(path, read_only=True, until=until), path)

    @contextmanager
    def at_one_moment(self) -> Iterator[None]:
        """Let all that is read meanwhile be of one moment, whatever the run books."""
        self._rows("BEGIN")
        try:
            yield
        finally:
            self._rows("ROLLBACK")

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

    @property
    def epoch(self) -> int:
        """Number of the present epoch."""
        return int(self._value("SELECT number FROM epoch"))

    @property
    def can_resume(self) -> bool:
        """Whether its run is not over: the file still knows what services remember."""
        return bool(self._rows("SELECT 1 FROM sqlite_master WHERE name = 'checkpoint'"))

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

    def close(self) -> None:
        """Close the file."""
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
