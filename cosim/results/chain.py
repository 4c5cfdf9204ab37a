"""A chain of hashes through a ledger's entries: whoever changes one changes every link from there on."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt


def next_link(head: str, rows: npt.NDArray[np.int64]) -> str:
    """Link of one interval's entries, as hexadecimal SHA-256.

    Parameters
    ----------
    head
        Link of the interval before; empty for none.
    rows
        Tick, kind, account and amount [µ$] of each entry, ``(entries, 4)``, in any order.
    """
    ordered = rows[np.lexsort((rows[:, 2], rows[:, 1]))]
    return hashlib.sha256(head.encode() + ordered.astype("<i8").tobytes()).hexdigest()
