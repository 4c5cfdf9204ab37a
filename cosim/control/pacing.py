"""Steps of an interval, and how they follow wall time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from broker.messages import StepName
from sharegrid.errors import SharegridError

# Every interval goes through these; ``restore`` and ``end`` belong to the run.
STEPS: tuple[StepName, ...] = tuple(step for step in get_args(StepName) if step not in ("restore", "end"))

# A gate that closed on services which are only slow would cost far more than falling further behind [s].
LEAST_STEP_S = 5.0


def steps_ahead(step: StepName, *, is_paced: bool) -> tuple[StepName, ...]:
    """Steps behind one that need no word of the clock: what they wait for is said by the services.

    A paced interval passes until it is due, so services wait for the clock before ``act``.
    """
    last: dict[StepName, StepName] = (
        {"act": "settle", "measure": "dispatch"} if is_paced else {"measure": "settle"}
    )
    return STEPS[STEPS.index(step) + 1 : STEPS.index(last.get(step, step)) + 1]


class PacingError(SharegridError):
    """A pacing that is neither ``fast``, ``real`` nor a positive factor, or services that never came."""


@dataclass(frozen=True)
class Pacing:
    """How simulated time follows wall time.

    Attributes
    ----------
    factor
        Simulated seconds per wall second; ``None`` runs as fast as the services report.
    """

    factor: float | None = None

    @classmethod
    def parse(cls, text: str) -> Pacing:
        """``fast``, ``real`` or a factor such as ``60``; raises ``PacingError``."""
        if text in ("fast", "real"):
            return cls(None if text == "fast" else 1.0)
        try:
            factor = float(text)
        except ValueError:
            factor = 0.0
        if not 0.0 < factor < float("inf"):
            raise PacingError(f"--pace {text}: say fast, real, or a factor above 0 such as 60")
        return cls(factor)

    def wall_s(self, simulated_s: float) -> float:
        """How long a paced run takes for simulated seconds [s of wall time]."""
        return simulated_s / (self.factor or 1.0)

    def interval_end(self, started: float, tick: int, interval_s: float) -> float | None:
        """When an interval must end, by the clock of ``started``; ``None`` where nothing paces the run.

        Parameters
        ----------
        started
            When the run began.
        tick
            Number of the interval.
        interval_s
            Its length in simulated seconds.
        """
        return None if self.factor is None else started + (tick + 1) * self.wall_s(interval_s)

    def deadline(self, step: StepName, due: float | None, now: float, step_limit_s: float) -> float:
        """Wall time by which a step must be over.

        A paced interval gives its market steps what is left before its end in even shares, so that
        the gate closes in time even when one service is silent; but never less than ``LEAST_STEP_S``.

        Parameters
        ----------
        step
            The step that begins.
        due
            Wall time at which its interval must end.
        now
            Wall time.
        step_limit_s
            Longest time for any step [s].
        """
        if due is None or step in ("act", "meter", "settle"):
            return now + step_limit_s
        remaining = STEPS.index("act") - STEPS.index(step)
        share = max(LEAST_STEP_S, (due - now) / (remaining + 1))
        return now + min(step_limit_s, share)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """What a clock has to run, and how fast.

    Attributes
    ----------
    intervals
        How many ticks to run, from tick 0.
    interval_s
        Length of one interval in simulated seconds.
    pacing
        How simulated time follows wall time.
    step_limit_s
        Longest wait for one step, and for the services to come online, in wall seconds.
    """

    intervals: int
    interval_s: float
    pacing: Pacing
    step_limit_s: float


@dataclass
class Lag:
    """How far a paced run fell behind its absolute deadlines."""

    now_s: float = 0.0
    worst_s: float = 0.0
    overruns: int = 0

    def note(self, now: float, due: float, length_s: float) -> float | None:
        """Take in that an interval begins now; how late [s] where that is an overrun.

        Parameters
        ----------
        now, due
            The time, and that at which the interval must end.
        length_s
            Its length in wall time [s].
        """
        self.now_s = max(0.0, now - (due - length_s))
        self.worst_s = max(self.worst_s, self.now_s)
        if self.now_s <= length_s:
            return None
        self.overruns += 1
        return self.now_s
