"""When a set-point was written to a device, how long it stands there, and when the next write is due."""

import math
from collections.abc import Callable

from broker.snapshot import Values, typed

_LEAST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
# A device's own timer may run a little faster than ours [s].
_TIMER_MARGIN_S = 2.0


class WriteTimes:
    """Times of the last write to one device.

    Parameters
    ----------
    now
        Clock of ramps and validity [s].
    write_interval_s
        Least time between two writes that the device asks for [s].

    Attributes
    ----------
    written_s
        When it was written last, whether or not that took [s]; minus infinity before the first write.
    mismatches
        How many writes in a row did not take.
    """

    def __init__(self, now: Callable[[], float], write_interval_s: float) -> None:
        self.written_s = -math.inf
        self.mismatches = 0
        self._now = now
        self._write_interval_s = write_interval_s
        self._reverts_s = math.inf

    @property
    def wait_s(self) -> float:
        """How long the next set-point has to wait [s]."""
        return max(0.0, self.written_s + self._write_interval_s - self._now())

    @property
    def is_pausing(self) -> bool:
        """Whether it is too early to write again by ourselves."""
        return self._now() < self.written_s + self._pause_s()

    @property
    def may_release(self) -> bool:
        """Whether it may be released now: only a release that has just failed waits, and not for long."""
        return self._now() >= self.written_s + _LEAST_PAUSE_S

    @property
    def stands_s(self) -> float:
        """How long what was written stands from now on, by our clock [s]."""
        return self._reverts_s - self._now()

    @property
    def has_reverted(self) -> bool:
        """Whether the device's own timer is over, by our clock."""
        return self._now() >= self._reverts_s

    @property
    def reverts_soon(self) -> bool:
        """Whether its timer is so nearly over that the registers prove nothing any more."""
        return self._now() >= self._reverts_s - _TIMER_MARGIN_S

    @property
    def is_half_over(self) -> bool:
        """Whether half of the time until it reverts is over, which is when it is renewed."""
        return self._now() >= (self.written_s + self._reverts_s) / 2.0

    def snapshot(self) -> Values:
        """Times of the last write."""
        return {"written_s": self.written_s, "reverts_s": self._reverts_s, "mismatches": self.mismatches}

    def restore(self, values: Values) -> None:
        """Go on from a snapshot; raises ``ValueError`` where it is another's."""
        self.written_s = typed(values, "written_s", float)
        self._reverts_s = typed(values, "reverts_s", float)
        self.mismatches = typed(values, "mismatches", int)

    def reverts_before(self, until_s: float) -> bool:
        """Whether the device reverts by itself before a time [s]."""
        return self._reverts_s < until_s

    def tried(self) -> None:
        """Note a write, whether or not it takes."""
        self.written_s = self._now()

    def took(self, revert_s: float) -> None:
        """Note that what was written last stands, for ``revert_s`` [s] if nobody writes again."""
        self._reverts_s = self.written_s + revert_s
        self.mismatches = 0

    def _pause_s(self) -> float:
        """Least time to the next write; longer with each that did not take, since memory of devices wears."""
        pause_s = max(_LEAST_PAUSE_S, self._write_interval_s)
        return max(pause_s, min(pause_s * 2.0**self.mismatches, _LONGEST_PAUSE_S))
