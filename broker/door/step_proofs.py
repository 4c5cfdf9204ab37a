"""Proofs that a step is of the clock that was followed before: a hash chain, told from its end.

It is the one-time password of Lamport, "Password authentication with insecure communication" (1981).

The clock draws a secret and hashes it once for each step that the run may have. Each step tells the value of
its place. Whoever knows an earlier one hashes it as often as there are places between and sees that it fits;
nobody but the clock can find a later one.
"""

from __future__ import annotations

import hashlib
import secrets

from broker.messages import STEP_ORDER, StepName

_KEPT_EVERY = 512


def place_number(tick: int, step: StepName) -> int:
    """Number of a step's place, of all places that steps of a run may have."""
    return tick * len(STEP_ORDER) + STEP_ORDER[step]


def hashed(value: str, times: int) -> str:
    """A value hashed some times over, by SHA-256 of its hexadecimal digits."""
    for _ in range(times):
        value = hashlib.sha256(value.encode()).hexdigest()
    return value


class StepProofs:
    """Proofs of all steps of a clock, of which few are kept and the others found from these.

    Parameters
    ----------
    intervals
        Number of the run's intervals.
    secret
        What the chain begins with; drawn where it is left out.
    """

    def __init__(self, intervals: int, secret: str = "") -> None:
        # The end comes behind the last interval.
        self._last = place_number(intervals, "end")
        value, behind = secret or secrets.token_hex(32), self._last
        self._kept = {behind: value}
        for place in range(self._last - self._last % _KEPT_EVERY, -1, -_KEPT_EVERY):
            value, behind = hashed(value, behind - place), place
            self._kept[place] = value

    def of(self, tick: int, step: StepName) -> str:
        """Proof of one step."""
        place = place_number(tick, step)
        after = min(place + -place % _KEPT_EVERY, self._last)
        return hashed(self._kept[after], after - place)
