"""What the recorder counts over a run: the part of a summary that no table holds."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from broker.messages import Traffic
from cosim.recording.interval import Interval
from cosim.recording.interval_messages import IntervalMessages
from cosim.results.run_figures import FaultFigures


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
    traffic: dict[str, Traffic] = field(default_factory=dict)
    step_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, interval: Interval, messages: IntervalMessages) -> None:
        """Take in an interval's trades, and how long its set-points took."""
        trade_kw = interval.allocation.trade_kw
        self.bought_kwh += np.maximum(trade_kw, 0.0) * interval.dt_h
        self.sold_kwh -= np.minimum(trade_kw, 0.0) * interval.dt_h
        written_s = (answer.seconds for answer in messages.acknowledgements.values())
        shown_s = (reading.response_s for reading in messages.metered_live.values())
        self.written_s += [seconds for seconds in written_s if seconds is not None]
        self.shown_s += [seconds for seconds in shown_s if seconds is not None]
