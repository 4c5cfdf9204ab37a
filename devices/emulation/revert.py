"""Revert timers on simulated time: how long a set-point still holds if nobody renews it.

A timer starts anew with every write to its group of registers; simulated time stands still between two
steps of physics, so it is enough to look at the registers when the next step begins.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from broker.snapshot import Values, array_of
from devices.emulation.bank import RegisterBank

Array = NDArray[np.float64]


class RevertTimers:
    """One timer for each row of a bank.

    Parameters
    ----------
    bank
        Registers of the devices.
    group
        Points whose writing starts the timer.
    seconds
        Point that holds the revert time [s]; 0 or not implemented means for ever.
    """

    def __init__(self, bank: RegisterBank, group: Sequence[str], seconds: str) -> None:
        self._bank = bank
        self._seconds = seconds
        self._group = {bank.layout.points[name].at for name in group}
        self._written = np.zeros(len(bank), dtype=bool)
        self.remaining_s = np.full(len(bank), np.inf)
        bank.listeners.append(self._note)

    def begin(self) -> Array:
        """Start the timers of rows written since the last step; returns the seconds left, ``(n,)``."""
        revert_s = self._bank.get(self._seconds)
        start = np.where(revert_s > 0.0, revert_s, np.inf)
        self.remaining_s = np.where(self._written, start, self.remaining_s)
        self._written[:] = False
        return self.remaining_s

    def pass_time(self, dt_s: float) -> NDArray[np.bool_]:
        """Let time pass; returns the rows whose timer ran out, which then stand still, ``(n,)``."""
        self.remaining_s = self.remaining_s - dt_s
        expired: NDArray[np.bool_] = self.remaining_s <= 0.0
        self.remaining_s[expired] = np.inf
        return expired

    def snapshot(self) -> Values:
        """Seconds left, and what was written since the last step."""
        return {"remaining_s": self.remaining_s, "written": self._written}

    def restore(self, values: Values) -> None:
        """Go on from a snapshot; raises ``ValueError`` where it is another's."""
        self.remaining_s = array_of(values, "remaining_s", self.remaining_s)
        self._written[:] = array_of(values, "written", self._written)

    def stop(self, row: int) -> None:
        """Let one timer stand still until the next write."""
        self._written[row] = False
        self.remaining_s[row] = np.inf

    def _note(self, row: int, first: int, last: int) -> None:
        if any(first <= offset < last for offset in self._group):
            self._written[row] = True
