"""The ledger of a replay beside that of the run: what was booked otherwise, and what only the run's has."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cosim.results.entries import KINDS, Booking
from cosim.results.ledger import Ledger
from cosim.results.ledger_reader import LedgerReader
from cosim.traffic.entries import Session

Ints = npt.NDArray[np.int64]


class Books:
    """Both ledgers.

    Parameters
    ----------
    kept
        The run's.
    made
        The replay's.

    Attributes
    ----------
    taken
        Intervals that the replay took over from the run's, as its record has not all of them.
    """

    def __init__(self, kept: LedgerReader, made: Ledger) -> None:
        self.taken: list[int] = []
        self._kept = kept
        self._made = made
        self._ticks = frozenset(kept.ticks())
        self._accounts = kept.accounts()

    def begin_epoch(self, epoch: int) -> None:
        """Take note that an epoch began."""
        while self._made.epoch < epoch:
            self._made.begin_epoch()

    def snapshots(self) -> dict[str, bytes]:
        """What every service remembers."""
        return self._made.snapshots()

    def is_booked(self, tick: int) -> bool:
        """Whether the run booked an interval."""
        return tick in self._ticks

    def lacks(self, tick: int) -> bool:
        """Whether the run booked an interval, and the replay did not."""
        return self.is_booked(tick) and not self._made.has(tick)

    def go_on_from(self, session: Session) -> None:
        """Take over what a session found booked and the replay has not, with what services remembered."""
        self.begin_epoch(session.epoch)
        for tick in sorted(each for each in self._ticks if each < session.next_tick):
            if not self._made.has(tick):
                _, kind, account, micro = self._kept.all_entries(tick).T
                self._made.post(tick, _booking(kind, account, micro), session.snapshots)
                self.taken.append(tick)

    def difference(self, tick: int) -> str:
        """The first entry of an interval that differs, in words; empty where none does."""
        here, there = (_by_place(each.all_entries(tick)) for each in (self._made, self._kept))
        for place in sorted({*here, *there}):
            one, two = here.get(place), there.get(place)
            if one != two:
                kind, account = place
                values = (f"{_usd(one)} here", f"{_usd(two)} in the run's ledger")
                return f"{KINDS[kind]} of {self._accounts[account]} is {', '.join(values)}"
        return ""

    def unplayed(self) -> list[int]:
        """Intervals that only the run's ledger has."""
        return sorted(self._ticks - set(self._made.ticks()))


def _by_place(rows: Ints) -> dict[tuple[int, int], int]:
    """Amounts [µ$] by kind and account."""
    return {(kind, account): micro for _, kind, account, micro in rows.tolist()}


def _usd(micro: int | None) -> str:
    return "missing" if micro is None else f"{micro / 1e6:.6f} $"


def _booking(kind: Ints, account: Ints, micro: Ints) -> Booking:
    """Entries of an interval alone; what only its making tells is zero."""
    return Booking(
        kind=kind.astype(np.int8),
        account=account,
        micro=micro,
        energy_usd=0.0,
        imbalance_usd=0.0,
        residual_usd=0.0,
        lam_surplus=np.zeros(0),
        wam_surplus_usd=0.0,
        uplift_usd=0.0,
        utility_usd=0.0,
        rounding_micro=0,
        rounded=np.zeros(len(KINDS), dtype=np.int64),
    )
