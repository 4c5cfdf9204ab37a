"""Money of a run by interval: sums of the ledger's entries by kind and party."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from cosim.results.entries import KINDS, Ints
from cosim.results.ledger_file import open_file, translated

_BY_TICK = (
    "SELECT tick, kind, party, SUM(micro) FROM entry JOIN account ON account.id = entry.account"
    " {where} GROUP BY tick, kind, party"
)


def money_flows(path: Path, parties: Sequence[str], tick: int | None = None) -> dict[int, Ints]:
    """What each party received (+) and paid (-) by kind of entry, by interval.

    Parameters
    ----------
    path
        The ledger's file.
    parties
        Parties, in the order of the columns.
    tick
        One interval; without it all of them.

    Returns
    -------
    dict
        Sums by tick, ``(kinds, parties)`` [µ$].

    Raises
    ------
    LedgerError
        The file cannot be read.
    """
    column = {party: at for at, party in enumerate(parties)}
    where, values = ("", ()) if tick is None else ("WHERE tick = ?", (tick,))
    found: dict[int, Ints] = {}
    with translated(path), closing(open_file(path, read_only=True)) as file:
        for each, kind, party, micro in file.execute(_BY_TICK.format(where=where), values):
            sums = found.setdefault(each, np.zeros((len(KINDS), len(parties)), dtype=np.int64))
            if party in column:
                sums[kind, column[party]] += micro
    return found
