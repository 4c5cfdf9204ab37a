"""What a clock does where it loses a service, and from where it goes on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Literal

from broker.messages import StepName

OnLoss = Literal["wait", "stand-in", "end"]
"""Whether a run waits for a service that it lost, goes on without it, or ends."""

LEAST_LIMIT_S = 2.0
"""No step is given less time than this where somebody is missing [s]."""

_TIMES, _KEPT, _ENOUGH = 5.0, 15, 3


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """How a run recovers.

    Attributes
    ----------
    on_loss
        What to do about a service that is lost.
    patience_s
        How long to wait for it before the run ends [s].
    begin_epoch
        Number of a new epoch, in which everything since the last settled interval counts no more.
    next_tick
        The interval behind the last settled one.
    is_resumed
        Whether the run goes on with one that was interrupted or killed.
    """

    on_loss: OnLoss
    patience_s: float
    begin_epoch: Callable[[], int]
    next_tick: Callable[[], int]
    is_resumed: bool = False


class StepTimes:
    """How long steps take, and how long they may where somebody is missing."""

    def __init__(self) -> None:
        self._taken: dict[StepName, list[float]] = defaultdict(list)

    def note(self, step: StepName, seconds: float) -> None:
        """Note how long a step took for which nobody was missing [s]."""
        self._taken[step] = [*self._taken[step][1 - _KEPT :], seconds]

    def limit_s(self, step: StepName, most_s: float) -> float:
        """A few times the median [s], between two seconds and the most; the most where little is known."""
        taken = self._taken[step]
        if len(taken) < _ENOUGH:
            return most_s
        return min(most_s, max(LEAST_LIMIT_S, _TIMES * median(taken)))
