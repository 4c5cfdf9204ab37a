"""Vehicles, heat pumps and appliances of the population: who has them, what they offer and what they draw."""

from dataclasses import replace
from datetime import datetime

import msgspec
import numpy as np
import pytest

from cosim.population.ahead import battery_stores
from cosim.population.fleet import fleet_of
from cosim.population.fleet_state import FleetState
from cosim.population.live_stores import LiveStores
from cosim.population.members import LamSites, draw_population
from cosim.population.portfolios import ProfileCache, VirtualPortfolio
from cosim.population.profiles import build_profiles
from cosim.population.resources import Kind
from cosim.population.stays import no_stays
from cosim.population.voltage_response import VoltageResponse
from cosim.scenario import load_scenario
from market.horizon.stores import within_reach

SHARES = """
[run]
start = 2024-01-15T16:00:00
intervals = 96
[population]
prosumers = 60
[population.ev]
share = 0.5
gives_back = true
[population.heat_pump]
share = 0.5
[population.appliance]
share = 0.5
"""
LAMS = LamSites(("a", "b"), np.array([1.0, 2.0]), np.array([0.3, 0.3]))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    file = tmp_path_factory.mktemp("fleet") / "s.toml"
    file.write_text(SHARES)
    scenario = load_scenario(file)
    population = draw_population(scenario.population, scenario.run.seed, 1, LAMS)
    return scenario, population, build_profiles(scenario, population, 2)


def portfolio(made):
    scenario, population, profiles = made
    members = np.flatnonzero(~population.live)
    response = VoltageResponse(scenario.population.voltage_dependence, population.lam, 2, np.ones(60, bool))
    fleet = fleet_of(scenario, population, no_stays(), ~population.live)
    return VirtualPortfolio(ProfileCache(profiles), members, np.full(60, 0.3), response, fleet)


def test_each_kind_is_drawn_by_itself_and_nobody_live_has_one(made):
    scenario, population, _ = made
    whole = fleet_of(scenario, population, no_stays(), ~population.live)
    assert 20 < whole.vehicles.kw.size < 40
    assert not population.live[whole.owner].any()
    without = replace_section(scenario, heat_pump=type(scenario.population.heat_pump)())
    fewer = fleet_of(without, population, no_stays(), ~population.live)
    assert fewer.pumps.kw.size == 0
    for name, column in vars(whole.vehicles).items():
        assert (getattr(fewer.vehicles, name) == column).all()


def replace_section(scenario, **sections):
    population = msgspec.structs.replace(scenario.population, **sections)
    return msgspec.structs.replace(scenario, population=population)


def test_what_devices_can_do_on_no_usual_day_is_said_with_how_much_and_whose(made):
    scenario, population, _ = made
    assert fleet_of(scenario, population, no_stays(), ~population.live).doubts() == []
    ev, heat = scenario.population.ev, scenario.population.heat_pump
    weak = replace_section(
        scenario,
        ev=msgspec.structs.replace(ev, kw=0.5, hours_sigma=0.0),
        heat_pump=msgspec.structs.replace(heat, kw=0.5),
    )
    fleet = fleet_of(weak, population, no_stays(), ~population.live)
    trips, houses = fleet.doubts()
    # Away from half past seven to half past five: 14 hours at home.
    lacks = np.maximum(fleet.vehicles.trip_kwh - 14.0 * 0.5 * ev.efficiency, 0.0)
    most = population.id[fleet.owner[int(lacks.argmax())]]
    assert f"population.ev: {lacks.sum():.4g} of {fleet.vehicles.trip_kwh.sum():.4g} kWh" in trips
    assert f"at {(lacks > 0).sum()} of {lacks.size} vehicles" in trips
    assert f"most, {lacks.max():.4g} kWh, is missing at {most}: " in trips
    # 15 K over the mean outside temperature, at a coefficient of performance of 3.2.
    needs_kw = fleet.pumps.w_per_k * 15.0 / 3200.0
    coldest = population.id[fleet.owner[lacks.size + int(needs_kw.argmax())]]
    assert f"{(needs_kw > 0.5).sum()} of {needs_kw.size} houses" in houses
    assert f"most {coldest} with {needs_kw.max():.3g} kW: " in houses


def test_over_a_day_nothing_leaves_its_bounds_and_everybody_gets_what_is_wanted(made):
    people = portfolio(made)
    state, size = people.fleet, people.members.size
    for tick in range(96):
        position = people.position(tick)
        resources = position.resources
        assert (resources.min_kw <= resources.max_kw + 1e-9).all()
        # As little as may be drawn: what is wanted in time comes at any price.
        output_kw = np.clip(0.0, resources.min_kw, resources.max_kw)
        metered = people.act(tick, output_kw)
        assert metered.energy_kwh.size == size
        path = state.fleet.path(tick, 1)
        assert (state.energy_kwh >= path.lower_kwh[:, 0] - 1e-9).all(), tick
        assert (state.energy_kwh <= path.upper_kwh[:, 0] + 1e-9).all(), tick


def test_what_is_metered_is_what_was_awarded(made):
    people = portfolio(made)
    idle = people.position(20)
    output_kw = np.clip(0.0, idle.resources.min_kw, idle.resources.max_kw)
    before = people.fleet.energy_kwh.copy()
    more = output_kw.copy()
    S = people.fleet.fleet.size
    car = more.size - 2 * S
    assert idle.resources.min_kw[car] < -5.0, "a vehicle that may draw more"
    more[car] -= 5.0
    owner = people.fleet.owner[0]
    metered = people.act(20, more)
    assert people.fleet.energy_kwh[0] > before[0] + 1.1
    again = portfolio(made)
    again.position(20)
    assert metered.energy_kwh[owner] == pytest.approx(again.act(20, output_kw).energy_kwh[owner] + 1.25)


def test_the_market_over_a_horizon_sees_the_same_stores(made):
    people = portfolio(made)
    prospect = people.prospect(0, 96)
    stores, fleet = prospect.stores, people.fleet.fleet
    batteries = len(battery_stores(people.cache.profiles, people.members, people.soc, 96))
    assert len(stores) == batteries + fleet.size
    _, shortfall = within_reach(stores, 0.25)
    assert np.abs(shortfall).max() < 1e-6
    worth = np.linspace(0.1, 0.2, len(stores))
    offers = people.position(0, worth).resources
    S = fleet.size
    car, path = offers.cost_linear.size - 2 * S, people.fleet.path(0)
    assert offers.cost_linear[car:][:S] == pytest.approx(worth[batteries:] * path.efficiency)

    # What is planned of a store is wanted of its two resources, and of nothing else.
    planned_kw = np.linspace(-1.0, 1.0, len(stores))
    planned_kw[0] = np.nan
    position = people.position(0, worth, planned_kw)
    wanted_kw, kind = position.wanted_kw, people.offers.kind
    assert wanted_kw.shape == position.resources.owner.shape
    for of, low, high in ((Kind.CHARGE, -1.0, 0.0), (Kind.DISCHARGE, 0.0, 1.0)):
        mine = np.flatnonzero(kind == of)
        assert (position.resources.owner[mine] == stores.owner[:batteries]).all()
        assert np.array_equal(wanted_kw[mine], np.clip(planned_kw[:batteries], low, high), equal_nan=True)
    assert np.isnan(wanted_kw[: kind.size][~np.isin(kind, (Kind.CHARGE, Kind.DISCHARGE))]).all()
    assert wanted_kw[kind.size :].reshape(2, S).sum(axis=0) == pytest.approx(planned_kw[batteries:])
    assert (wanted_kw[kind.size :].reshape(2, S) * [[1], [-1]] <= 0.0).all()
    assert people.position(0, worth).wanted_kw is None


def test_energy_is_put_back(made):
    people, other = portfolio(made), portfolio(made)
    position = people.position(0)
    people.act(0, np.clip(0.0, position.resources.min_kw, position.resources.max_kw))
    other.restore(people.snapshot())
    assert (other.fleet.energy_kwh == people.fleet.energy_kwh).all()


def test_a_fleet_of_another_size_is_not_put_back(made):
    scenario, population, _ = made
    fleet = fleet_of(scenario, population, no_stays(), ~population.live)
    state = FleetState(fleet, np.arange(60))
    with pytest.raises(ValueError, match="energy"):
        state.restore({"energy": np.zeros(fleet.size + 1)})
    assert replace(fleet).size == fleet.size


@pytest.mark.parametrize("start", ["2024-03-31T00:00:00", "2024-10-27T00:00:00", "2024-06-21T00:00:00"])
@pytest.mark.parametrize("at_h", [2.0, 2.5, 3.0])
@pytest.mark.parametrize("step", [1, 160])
def test_each_deadline_comes_once_a_day_also_where_the_clock_is_set(made, start, at_h, step):
    """In spring the clock goes from 2 to 3 in the night, in autumn back from 3 to 2."""
    scenario, population, _ = made
    section = scenario.population
    moved = replace_section(
        scenario,
        ev=msgspec.structs.replace(section.ev, leaves_h=at_h, comes_h=at_h + 6.0, hours_sigma=0.0),
        appliance=msgspec.structs.replace(section.appliance, begins_h=0.0, ends_h=at_h),
    )
    run = msgspec.structs.replace(scenario.run, start=datetime.fromisoformat(start))
    moved = msgspec.structs.replace(moved, run=run)
    fleet = fleet_of(moved, population, no_stays(), ~population.live)
    paths = [fleet.path(tick, step) for tick in range(0, 160, step)]
    lower, drift = (
        np.concatenate([getattr(path, name) for path in paths], axis=1) for name in ("lower_kwh", "drift_kwh")
    )
    kind = np.array(fleet.kind)
    for name in ("vehicle", "appliance"):
        rows = kind == name
        # Two nights lie in 40 hours: twice something is wanted, and twice it is gone again.
        assert ((lower[rows] > 0).sum(axis=1) == 2).all()
        assert ((drift[rows] < 0).sum(axis=1) == 2).all()


def test_work_that_waits_is_never_taken_for_heat(made):
    """In the evening before a day of 25 hours its deadline is farther off than a day."""
    scenario, population, _ = made
    run = msgspec.structs.replace(scenario.run, start=datetime.fromisoformat("2024-10-26T20:00:00"))
    late = msgspec.structs.replace(replace_section(scenario), run=run)
    stores = LiveStores(fleet_of(late, population, no_stays(), np.ones(60, bool), one_load=True))
    loads = stores.conditions(0)["load"]
    kind = np.array(stores.fleet.kind)[stores.rows["load"]]
    assert set(kind) == {"heat pump", "appliance"}
    assert (np.isnan(loads.wanted_kwh) == (kind == "heat pump")).all()
