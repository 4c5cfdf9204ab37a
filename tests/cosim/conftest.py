"""What tests of several rooms need: the summary of a run that did nothing."""

import pandas as pd
import pytest

from cosim.control.pacing import Lag
from cosim.results.columns import INTERVALS
from cosim.results.provenance import provenance
from cosim.results.summarising import RunRecord, build_summary


@pytest.fixture
def idle_summary():
    """Summary of a run without intervals."""
    nothing = pd.DataFrame({column.name: [] for column in INTERVALS}, dtype=float)
    record = RunRecord(
        run_id="idle",
        feeder="none",
        prosumers=0,
        lams=0,
        live_devices=0,
        planned=0,
        interval_h=0.25,
        bidding="curve",
        voltage_limits_pu=(0.95, 1.05),
        nodes=0,
        entries=0,
        sum_micro=0,
        traffic=[],
        total_s=0.0,
        lag=Lag(),
        origin=provenance(seed=1, broker="none"),
    )
    return build_summary(nothing, pd.DataFrame({"saving_usd": []}, dtype=float), record)
