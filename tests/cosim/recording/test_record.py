"""What a summary takes from the processes of a run that was taken up again."""

import numpy as np
import pandas as pd
import pytest

from cosim.control.pacing import Lag
from cosim.recording.record import record_of
from cosim.recording.run_counts import RunCounts
from cosim.results.beginning import Beginning
from cosim.results.ledger import Ledger
from cosim.results.provenance import provenance

BEGUN = Beginning(
    run_id="r",
    feeder="f",
    prosumers=1,
    lams=1,
    live_devices=0,
    planned=4,
    interval_h=0.25,
    bidding="plain",
    voltage_limits_pu=(0.95, 1.05),
    nodes=3,
    origin=provenance(seed=1, broker="none"),
    pace=60.0,
)


@pytest.mark.parametrize(
    ("first", "worst_s", "overruns", "total_s"), [(0, 0.5, 0, 7.0), (2, 106.0, 1, 7.0 + 15.0 + 121.0)]
)
def test_lag_and_time_are_those_of_all_processes(tmp_path, first, worst_s, overruns, total_s):
    """At 60 times real pace an interval has 15 s; the second one, before the kill, began 106 s late."""
    intervals = pd.DataFrame(
        {"tick": [0, 1, 2, 3], "lag_s": [0.0, 106.0, 0.1, 0.5], "interval_s": [15.0, 121.0, 3.0, 4.0]}
    )
    counts = RunCounts(*np.zeros((3, 1)))
    with Ledger.create(tmp_path / "ledger.sqlite", ["prosumer/p0"], "r", "world") as ledger:
        record = record_of(
            BEGUN, counts, ledger, intervals, first=first, lag=Lag(worst_s=0.5, overruns=0), total_s=7.0
        )
    assert (record.lag.worst_s, record.lag.overruns, record.total_s) == (worst_s, overruns, total_s)
