"""What a report says of a market over a horizon."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from cosim.report.figures import expected_prices as figure
from cosim.report.horizon import expected_prices, horizon_lines
from cosim.results.reader import load
from cosim.results.writer import RunWriter

INTERVALS, AHEAD, START = 30, 26, datetime(2024, 6, 21, tzinfo=UTC)
CLEARED = 0.10 + 0.01 * np.arange(INTERVALS + AHEAD)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Each clearing expects 0.001 $/kWh more for each interval ahead than is cleared then; one failed."""
    path = tmp_path_factory.mktemp("horizon") / "run"
    ahead = np.arange(AHEAD)
    with RunWriter(path) as writer:
        for tick in range(INTERVALS):
            moment = START + timedelta(minutes=15 * tick)
            row = {"tick": tick, "time": moment, "time_local": moment.isoformat(), "flags": 0}
            writer.append("intervals", row | {"energy_price": CLEARED[tick]})
            size = AHEAD if tick != 3 else 0
            certificate = {"certified": tick != 5, "store_gain": 1e-9 * tick} if size else {"certified": None}
            figures = {"stores": 7, "shortfall_kwh": 0.5, "iterations": 4 + tick % 2, "seconds": 0.25}
            writer.append("horizons", {"tick": tick, "intervals": size, **figures, **certificate})
            if size:
                price = np.tile(CLEARED[tick + ahead] + 1e-3 * ahead, 2)
                rows = {"tick": tick, "ahead": np.tile(ahead, 2), "lam": np.repeat(["a", "b"], AHEAD)}
                writer.append("outlook", rows | {"energy_price": price})
    return load(path)


def test_prices_stand_at_the_interval_that_they_were_expected_of(run):
    expected = expected_prices(run.path, run.intervals, 0.25)
    assert list(expected.columns) == ["tick", 1.0, 6.0]
    for hours, before in ((1.0, 4), (6.0, 24)):
        told = expected[hours].to_numpy()
        # Nobody told of the first ones, and nothing was cleared in interval 3.
        holes = np.r_[np.arange(before), 3 + before]
        assert np.flatnonzero(np.isnan(told)).tolist() == holes[holes < INTERVALS].tolist()
        known = np.isfinite(told)
        assert told[known] == pytest.approx(CLEARED[:INTERVALS][known] + 1e-3 * before)
    drawn = figure([str(tick) for tick in range(INTERVALS)], run.intervals, expected[[1.0, 6.0]])
    assert [trace["name"] for trace in drawn["data"]] == ["cleared", "1 h before", "6 h before"]


def test_lines_tell_how_clearings_did(run):
    expected = expected_prices(run.path, run.intervals, 0.25)
    lines = {line.name: line.value for line in horizon_lines(run.horizons, run.intervals, expected)}
    assert lines == {
        "cleared": "29 of 30",
        "certified": "28 of 29",
        "intervals": "26",
        "stores": "7",
        "gain by another plan": "2.9e-08 $",
        "energy out of reach": "0.50 kWh",
        "steps": "4 to 5",
        "time": "0.25 s",
        "price 1 h before": "0.00400 $/kWh",
        "price 6 h before": "0.02400 $/kWh",
    }
    assert horizon_lines(run.horizons[:0], run.intervals, expected) == []
    names = [line.name for line in horizon_lines(run.horizons, run.intervals[:4], expected[:4])]
    assert not [name for name in names if name.startswith("price")]
