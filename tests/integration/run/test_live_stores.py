"""Live prosumers with emulated chargers and heat pumps in a run, with a horizon and without."""

import pytest

from cosim.feeder_setup.lam_table import feeder_of
from cosim.scenario import load_scenario
from cosim.world.build import build_world
from tests.broker.door.hostile_run import LAMS, MASTER

SCENARIO = """[run]
start = 2024-01-15T18:00:00
intervals = 5
[feeder]
master = "m.dss"
[tables]
lams = "lams.csv"
vehicles = "stays.csv"
[population]
prosumers = 14
annual_kwh_median = 8000.0
[population.heat_pump]
share = 0.6
[live]
per_lam = 2
[market]
horizon = {horizon}
"""
STAYS = """prosumer,arrives,leaves,wants_kwh,kw
{driver},2024-01-15T18:10+01:00,2024-01-15T19:00+01:00,3.5,11
"""


@pytest.fixture(params=[0, 5])
async def run_and_driver(request, tmp_path, play_run):
    for name, text in (("m.dss", MASTER), ("lams.csv", LAMS)):
        (tmp_path / name).write_text(text)
    (tmp_path / "s.toml").write_text(SCENARIO.format(horizon=request.param))
    scenario = load_scenario(tmp_path / "s.toml", changes={"tables.vehicles": ""})
    world = build_world(scenario, feeder_of(scenario).layout)
    driver = world.population.id[int(world.roster.live_members[0])]
    (tmp_path / "stays.csv").write_text(STAYS.format(driver=driver))
    run, world = await play_run(tmp_path / "s.toml", tmp_path / "run")
    return run, world, driver, request.param


async def test_state_goes_by_registers_to_the_market_and_limits_back(run_and_driver):
    run, world, driver, horizon = run_and_driver
    assert run.intervals["flags"].sum() == 0
    stores = world.live_stores
    assert stores.kinds_of(world.population.id.index(driver))[0] == "ev"
    mine = run.devices[run.devices["prosumer"] == driver].sort_values("tick")
    limit_kw = mine[mine["phase"] == "meter"]["ev_limit_kw"].to_numpy()
    # It may charge from a quarter past six to seven, and has all that it wants, whatever the price is.
    assert -limit_kw.sum() * 0.25 == pytest.approx(3.5 / 0.92, rel=1e-5)
    assert (limit_kw[[0, 4]] == 0.0).all()
    # What it drew is what the next interval's reading shows.
    seen_kw = mine[mine["phase"] == "measure"]["ev_kw"].to_numpy()
    assert seen_kw[1:] == pytest.approx(limit_kw[:-1], rel=1e-6)
    pumps = [world.population.id[owner] for owner in stores.fleet.owner[stores.rows["load"]]]
    assert pumps
    assert run.devices[run.devices["prosumer"].isin(pumps)]["load_limit_kw"].notna().any()
    if horizon:
        assert run.horizons["certified"].all()
        assert (run.horizons["stores"] >= 1 + len(pumps)).all()
        assert (run.horizons["shortfall_kwh"] == 0.0).all()
        told = run.stores.groupby("prosumer")["kind"].unique()
        assert "vehicle" in told[driver]
        assert all("heat pump" in told[pump] for pump in pumps)
        assert not run.stores.duplicated(["tick", "prosumer", "kind", "number"]).any()
