"""What the recorder counts over a run: the part of a summary that no table holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec
import numpy as np
import numpy.typing as npt

from broker.snapshot import Values, array_of, part, typed
from cosim.recording.interval import Interval
from cosim.recording.interval_messages import IntervalMessages
from cosim.recording.traffic_sums import TrafficSums
from cosim.results.run_figures import FaultFigures

MOST_TIMES = 10_000
"""Times of each kind that are kept, the newest ones: a year's run is checkpointed in every interval, too."""


@dataclass
class RunCounts:
    """What the recorder has counted over the run so far.

    Attributes
    ----------
    bought_kwh, sold_kwh
        What each prosumer traded, ``(n,)``.
    saving_usd
        What each saved against no sharing, ``(n,)`` [$], over the ``compared`` intervals.
    stops
        Emergency stops.
    written_s, shown_s
        How long each set-point took until its registers read back, and until the meter showed it [s].
    faults
        What became of injected faults, once the run is over; ``None`` where there were none.
    """

    bought_kwh: npt.NDArray[np.float64]
    sold_kwh: npt.NDArray[np.float64]
    saving_usd: npt.NDArray[np.float64]
    compared: int = 0
    faults: FaultFigures | None = None
    stops: int = 0
    written_s: list[float] = field(default_factory=list)
    shown_s: list[float] = field(default_factory=list)
    traffic: TrafficSums = field(default_factory=TrafficSums)
    step_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def time(self, step: str, seconds: float) -> None:
        """Note how long a step took [s]."""
        self.step_s[step] = [*self.step_s[step][1 - MOST_TIMES :], seconds]

    def snapshot(self) -> Values:
        """All that is counted."""
        return {
            "bought_kwh": self.bought_kwh,
            "sold_kwh": self.sold_kwh,
            "saving_usd": self.saving_usd,
            "compared": self.compared,
            "stops": self.stops,
            "written_s": self.written_s,
            "shown_s": self.shown_s,
            "step_s": dict(self.step_s),
            "traffic": [msgspec.to_builtins(each) for each in self.traffic.totals],
            "traffic_by_process": self.traffic.snapshot(),
        }

    def restore(self, values: Values) -> None:
        """Count on from a snapshot; raises ``ValueError`` where it is of other prosumers."""
        for name in ("bought_kwh", "sold_kwh", "saving_usd"):
            setattr(self, name, array_of(values, name, getattr(self, name)))
        self.compared, self.stops = typed(values, "compared", int), typed(values, "stops", int)
        self.written_s = typed(values, "written_s", list[float])
        self.shown_s = typed(values, "shown_s", list[float])
        self.step_s = defaultdict(list, typed(values, "step_s", dict[str, list[float]]))
        self.traffic.restore(part(values, "traffic_by_process"))

    def add(self, interval: Interval, messages: IntervalMessages) -> None:
        """Take in an interval's trades, and how long its set-points took."""
        drawn_kw = interval.allocation.drawn_kw
        self.bought_kwh += np.maximum(drawn_kw, 0.0) * interval.dt_h
        self.sold_kwh -= np.minimum(drawn_kw, 0.0) * interval.dt_h
        written_s = (answer.seconds for answer in messages.acknowledgements.values())
        shown_s = (reading.response_s for reading in messages.metered_live.values())
        self.written_s = [*self.written_s, *known(written_s)][-MOST_TIMES:]
        self.shown_s = [*self.shown_s, *known(shown_s)][-MOST_TIMES:]


def known(seconds: Iterable[float | None]) -> list[float]:
    """Those times that are known [s]."""
    return [each for each in seconds if each is not None]
