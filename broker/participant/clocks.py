"""Whether wall time here is that of the run's clock, by which gates close."""

from __future__ import annotations

from broker import wall_time
from broker.messages import Step

APART_S = 30.0
"""Messages are rarely so late; clocks that nobody sets are further apart [s]."""


def clocks_apart(step: Step, title: str) -> str:
    """What to say where a step that has just come was opened long ago, or will be; empty where neither.

    Parameters
    ----------
    step
        First step of an interval.
    title
        Who has heard it.
    """
    apart_s = wall_time.now() - step.opened
    if abs(apart_s) <= APART_S:
        return ""
    when = f"began {apart_s:.0f} s ago" if apart_s > 0.0 else f"begins in {-apart_s:.0f} s"
    early = "early" if apart_s > 0.0 else "late"
    return (
        f"{title}: by the clock of its computer the interval {when}, so that gates close {early}: "
        "set this computer's clock and that of the run's by NTP"
    )
