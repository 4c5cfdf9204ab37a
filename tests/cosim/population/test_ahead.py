"""What prosumers expect of the intervals to come: what is known, its errors, and where the data end."""

import csv
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from broker.messages import DeviceState
from cosim.population.ahead import as_seen, battery_stores, expected, prospect_of
from cosim.population.members import LamSites, draw_population
from cosim.population.portfolios import ProfileCache
from cosim.population.prices import error_ahead, prices_ahead, prices_at
from cosim.population.profiles import build_profiles
from cosim.scenario import load_scenario

LAMS = LamSites(("a", "b"), np.array([1.0, 2.0]), np.array([0.3, 0.3]))
BASE = {"population.prosumers": 30, "market.horizon": 12, "live.per_lam": 1}


def made(changes=None, *, start="2024-06-21T10:00:00", intervals=4):
    scenario = load_scenario(None, start=start, intervals=intervals, changes=BASE | (changes or {}))
    population = draw_population(scenario.population, scenario.run.seed, 1, LAMS)
    return ProfileCache(build_profiles(scenario, population, 2))


def test_later_intervals_are_known_where_no_error_is_stated():
    cache = made()
    days = expected(cache, 1, 12)
    assert len(days) == 12
    assert (days[0].load_kw == cache.forecast(1).load_kw).all()
    for ahead in range(1, 12):
        load_kw, pv_kw = cache.mean(1 + ahead)
        assert (days[ahead].load_kw == load_kw).all()
        assert days[ahead].pv_kw == pytest.approx(pv_kw)


def test_without_a_horizon_a_run_knows_nothing_behind_its_end_and_draws_the_same():
    ahead, today = made(), made({"market.horizon": 0})
    assert (ahead.profiles.ticks, today.profiles.ticks) == (15, 4)
    for tick in range(4):
        assert (ahead.mean(tick)[0] == today.mean(tick)[0]).all()
        soc = np.full(30, 0.4)
        value = [each.profiles.stored_energy_value(tick, soc) for each in (ahead, today)]
        assert (value[0] == value[1]).all()


def test_a_horizon_longer_than_owners_look_leaves_their_outlook_as_it_is():
    changes = {"population.outlook.horizon_h": 2.0}
    assert (made(changes).profiles.outlook == made(changes | {"market.horizon": 0}).profiles.outlook).all()


def test_errors_are_seeded_grow_with_time_and_are_one_for_all():
    cache = made({"market.ahead.load_error": 0.3, "market.ahead.sun_error": 0.1})
    days = expected(cache, 0, 12)
    for ahead in range(1, 12):
        load_kw, _ = cache.mean(ahead)
        factor = days[ahead].load_kw / load_kw
        assert np.ptp(factor) < 1e-12
        assert factor[0] != 1.0
        assert (days[ahead].pv_kw <= cache.profiles.population.pv_kwp).all()
    timeline = cache.profiles.timeline
    draws = [error_ahead(0.2, timeline, seed, "load", 0, 96) - 1.0 for seed in range(400)]
    assert np.std(draws) == pytest.approx(0.2, rel=0.15)
    draws = [error_ahead(0.2, timeline, seed, "load", 0, 24) - 1.0 for seed in range(400)]
    assert np.std(draws) == pytest.approx(0.1, rel=0.15)
    # What is expected of one instant comes nearer to the truth as it comes.
    far, near = (error_ahead(0.2, timeline, 1, "load", 96 - ahead, ahead) - 1.0 for ahead in (64, 4))
    assert far == pytest.approx(4.0 * near)


def test_prices_ahead_have_errors_and_stay_in_their_order():
    cache = made({"market.ahead.price_error": 0.5})
    profiles, market = cache.profiles, cache.profiles.scenario.market
    true, said = prices_at(market, profiles.timeline, 9), prices_ahead(market, profiles.timeline, 1, 0, 9)
    assert said.import_price != true.import_price
    assert said.import_price / true.import_price == pytest.approx(said.export_price / true.export_price)
    assert said.retail_price == true.retail_price
    assert prices_ahead(market, profiles.timeline, 1, 9, 0) == true


def table(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["time", "load_kw_per_mwh.p00001"])
        first = datetime(2024, 6, 21, 8, tzinfo=UTC)
        for row in rows:
            writer.writerow([(first + timedelta(minutes=15 * row)).isoformat(), 0.1 + row])
    return {"tables.profiles": str(path)}


def test_a_horizon_ends_where_the_data_do_or_have_a_hole(tmp_path):
    whole = made(table(tmp_path / "whole.csv", range(9)))
    assert whole.profiles.ticks == 9
    assert [len(expected(whole, tick, 12)) for tick in (0, 3)] == [9, 6]
    load_kw = whole.mean(8)[0]
    assert load_kw[0] == pytest.approx(8.1 * whole.profiles.population.annual_kwh[0] / 1000.0)
    holed = made(table(tmp_path / "holed.csv", [0, 1, 2, 3, 4, 6, 7]))
    assert holed.profiles.ticks == 5


def test_batteries_are_stores_that_end_as_the_scenario_says():
    cache = made({"market.ahead.end": "cyclic"})
    people, members = cache.profiles.population, np.arange(30)
    soc = np.full(30, 0.9)
    stores = battery_stores(cache.profiles, members, soc, 5)
    kwh = people.battery_kwh[members[stores.owner]]
    assert (kwh > 0).all()
    assert stores.initial_kwh == pytest.approx(0.9 * kwh)
    assert stores.lower_kwh[:, -1] == pytest.approx(people.soc_start[stores.owner] * kwh)
    assert (stores.lower_kwh[:, :-1] == 0.0).all()
    valued = battery_stores(made().profiles, members, soc, 5)
    assert (valued.lower_kwh == 0.0).all()
    assert valued.end_value == pytest.approx(np.mean(cache.profiles.scenario.market.grid.import_price))


def test_devices_that_are_not_counted_on_are_taken_as_they_are():
    cache = made({"live.everyone": True})
    people = cache.profiles.population
    members = np.flatnonzero((people.battery_kwh > 0.0) & (people.pv_kwp > 0.0))[:2]
    plan = prospect_of(cache.profiles, members, expected(cache, 0, 3), people.soc_start)
    seen = DeviceState(device="battery", quality="good", p_kw=0.0, min_kw=-0.5, max_kw=0.1)
    pv = DeviceState(device="pv", quality="good", p_kw=0.0, min_kw=None, max_kw=None)
    told = as_seen(plan, [{"battery": seen, "pv": pv}, {}])
    assert (told.demand_kw[0] == plan.demand_kw[0]).all()
    own_pv = plan.max_kw[plan.owner == 1].max(axis=0)
    assert told.demand_kw[1] == pytest.approx(plan.demand_kw[1] - own_pv)
    assert told.stores.charge_kw[0] == pytest.approx([0.5, *plan.stores.charge_kw[0, 1:]])
    assert told.stores.discharge_kw[0] == pytest.approx([0.1, *plan.stores.discharge_kw[0, 1:]])
    assert told.stores.charge_kw[1].max() == told.stores.discharge_kw[1].max() == 0.0
