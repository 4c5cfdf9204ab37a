"""Plain and slope bids over a real broker end where curve bids do, in every interval."""

import numpy as np
import pytest


@pytest.mark.parametrize("form", ["slope", "plain"])
async def test_rounds_over_mosquitto_end_where_curves_do(small_run, small_scenario, play_run, tmp_path, form):
    curves, _ = small_run
    scenario = tmp_path / "rounds.toml"
    scenario.write_text(f'{small_scenario.read_text()}\n[market]\nbidding = "{form}"\n')
    rounds, _ = await play_run(scenario, tmp_path / "run")
    assert rounds.intervals["status"].tolist() == ["confirmed", "confirmed"]
    assert rounds.intervals["certified"].all()
    assert rounds.events == curves.events
    assert rounds.intervals["flags"].tolist() == curves.intervals["flags"].tolist()
    for column, tolerance in (("price", 1e-5), ("wam_price", 1e-5), ("net_kw", 1e-3)):
        np.testing.assert_allclose(rounds.lams[column], curves.lams[column], rtol=0, atol=tolerance)
    for column in ("bought_kwh", "sold_kwh"):
        np.testing.assert_allclose(rounds.prosumers[column], curves.prosumers[column], rtol=0, atol=1e-3)
    assert (rounds.intervals["lam_bid_rounds"] > 1).all()
    assert (rounds.intervals["bid_bytes"] > 0).all()
    assert rounds.ledger.sum_micro() == 0
