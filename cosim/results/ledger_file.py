"""The SQLite file of a ledger: its tables and views, and how it is made and opened."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from cosim.results.entries import KINDS, UTILITY, LedgerError

_SCHEMA = """
CREATE TABLE run (id TEXT NOT NULL, version INTEGER NOT NULL, world TEXT NOT NULL, head TEXT NOT NULL);
CREATE TABLE checkpoint (service TEXT PRIMARY KEY, tick INTEGER NOT NULL, content BLOB NOT NULL);
CREATE TABLE epoch (number INTEGER NOT NULL);
CREATE TABLE account (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, party TEXT NOT NULL);
CREATE TABLE kind (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE interval (tick INTEGER PRIMARY KEY, entries INTEGER NOT NULL);
CREATE TABLE entry (
    tick INTEGER NOT NULL REFERENCES interval(tick),
    kind INTEGER NOT NULL REFERENCES kind(id),
    account INTEGER NOT NULL REFERENCES account(id),
    micro INTEGER NOT NULL,
    PRIMARY KEY (tick, kind, account)
) WITHOUT ROWID;
CREATE VIEW statement AS
    SELECT tick, account.name AS account, account.party, kind.name AS kind, micro / 1e6 AS usd
    FROM entry JOIN account ON account.id = entry.account JOIN kind ON kind.id = entry.kind;
CREATE VIEW balance AS
    SELECT name AS account, party, COALESCE(micro, 0) / 1e6 AS usd
    FROM account LEFT JOIN (SELECT account, SUM(micro) AS micro FROM entry GROUP BY account) ON account = id;
CREATE VIEW interval_sum AS
    SELECT tick, COUNT(*) AS entries, SUM(micro) AS micro FROM entry GROUP BY tick;
"""

_UNTIL = "CREATE TEMP VIEW {0} AS SELECT * FROM main.{0} WHERE tick <= {1:d}"


def make_file(path: Path, accounts: Sequence[str], run: str, world: str) -> None:
    """Make the file of a ledger without entries.

    Parameters
    ----------
    path
        File to make.
    accounts
        Names in the order of their numbers.
    run, world
        Run id, and digest of the run's world.

    Raises
    ------
    LedgerError
        The file is there already or cannot be written, or two accounts have one name.
    """
    if os.path.lexists(path):
        raise LedgerError(f"{path}: there is a ledger already; open it, or remove it first")
    # Whoever sees the file sees a ledger, whenever this process may end.
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    try:
        with translated(path), closing(_connect(f"{fresh.resolve().as_uri()}?mode=rwc")) as db:
            db.executescript(f"PRAGMA synchronous = FULL; BEGIN; {_SCHEMA}")
            db.execute("INSERT INTO run VALUES (?, 2, ?, '')", (run, world))
            db.execute("INSERT INTO epoch VALUES (0)")
            db.executemany("INSERT INTO kind VALUES (?, ?)", enumerate(KINDS[:UTILITY]))
            db.executemany(
                "INSERT INTO account VALUES (?, ?, ?)",
                ((number, name, name.partition("/")[0]) for number, name in enumerate(accounts)),
            )
            db.execute("COMMIT")
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def open_file(path: Path, *, read_only: bool, until: int | None = None) -> sqlite3.Connection:
    """Connection to an existing file, or to what it holds up to an interval.

    Raises
    ------
    LedgerError
        There is no file, or it is not a ledger.
    """
    if not path.is_file():
        raise LedgerError(
            f"{path}: there is no ledger: no run was here, or it was killed before it began; run it anew"
        )
    mode = "ro" if read_only else "rw"
    with translated(path):
        connection = _connect(f"{path.resolve().as_uri()}?mode={mode}")
    try:
        with translated(path):
            connection.execute("SELECT id FROM run").fetchone()
            for table in () if until is None else ("interval", "entry"):
                # It stands before the table of its name for this connection alone.
                connection.execute(_UNTIL.format(table, until))
            if not read_only:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
    except LedgerError:
        connection.close()
        raise
    return connection


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise SQLite's errors as ``LedgerError``, with the file and a remedy."""
    try:
        yield
    except sqlite3.Error as error:
        raise LedgerError(f"{path}: {error}; check that it is a ledger, writable and not in use") from error


def _connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
