"""Batteries that lose energy at rest, in the market over a horizon and in the emulators behind Modbus."""

import pytest

from tests.broker.door.hostile_run import LAMS, MASTER

LOST_PER_DAY = 0.9
SCENARIO = f"""[run]
start = 2024-06-21T21:00:00
intervals = 4
[feeder]
master = "m.dss"
[tables]
lams = "lams.csv"
[population]
prosumers = 14
annual_kwh_median = 8000.0
[population.battery]
share_with_pv = 1.0
self_discharge = {LOST_PER_DAY}
[live]
per_lam = 2
[market]
horizon = 8
"""


async def test_what_is_lost_at_rest_is_known_to_the_market_and_happens_in_the_devices(tmp_path, play_run):
    for name, text in (("m.dss", MASTER), ("lams.csv", LAMS), ("s.toml", SCENARIO)):
        (tmp_path / name).write_text(text)
    run, world = await play_run(tmp_path / "s.toml", tmp_path / "run")
    assert run.intervals["flags"].sum() == 0
    assert run.horizons["certified"].all()
    kept = (1.0 - LOST_PER_DAY) ** (0.25 / 24.0)
    ids, people = world.population.id, world.population
    measured = run.devices[(run.devices["phase"] == "measure") & run.devices["soc"].notna()]
    asked = run.devices[run.devices["phase"] == "meter"].set_index(["prosumer", "tick"])
    checked = 0
    for prosumer, rows in measured.groupby("prosumer"):
        soc = rows.sort_values("tick")["soc"].to_numpy()
        assert soc.size == 4
        who = ids.index(prosumer)
        kwh, eta = people.battery_kwh[who], people.battery_efficiency[who]
        for tick in range(3):
            power_kw = asked.loc[(prosumer, tick), "battery_set_point_kw"]
            moved_kwh = 0.25 * (power_kw / eta if power_kw > 0.0 else power_kw * eta)
            # Set-points are reached along a ramp, and registers hold the state of charge in steps of 0.1 %.
            assert soc[tick + 1] == pytest.approx(kept * soc[tick] - moved_kwh / kwh, abs=2.5e-3)
            checked += 1
    assert checked >= 6
    # Over the horizon the stores together lose what they do not give.
    ahead = run.outlook[run.outlook["tick"] == 0].groupby("ahead")["stored_kwh"].first()
    assert ahead.is_monotonic_decreasing
