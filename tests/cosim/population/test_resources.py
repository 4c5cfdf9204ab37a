import msgspec
import numpy as np

from cosim.population.build import build_population
from cosim.population.members import LamSites
from cosim.population.profiles import Profiles, build_profiles
from cosim.population.resources import Kind, inventory_of, resources_at
from cosim.scenario import Scenario
from devices.physics.battery import advance, limits_kw

replace = msgspec.structs.replace
SITES = LamSites(("a", "b"), np.array([40.0, 20.0]), np.full(2, 0.5))


def day(**battery: object) -> Profiles:
    default = Scenario()
    section = replace(
        default.population, prosumers=300, battery=replace(default.population.battery, **battery)
    )
    scenario = replace(default, population=section)
    return build_profiles(scenario, build_population(scenario, SITES), 2)


def test_columns_are_sorted_by_owner_and_show_what_each_owns():
    profiles = day()
    people, inventory = profiles.population, inventory_of(profiles.population)
    assert (np.diff(inventory.prosumer * 10 + inventory.kind) > 0).all()
    for kind, owns in [
        (Kind.PV, people.pv_kwp > 0),
        (Kind.CHARGE, people.battery_kwh > 0),
        (Kind.DISCHARGE, people.battery_kwh > 0),
        (Kind.FLEXIBLE, people.flexible_fraction > 0),
    ]:
        assert np.array_equal(inventory.prosumer[inventory.kind == kind], np.flatnonzero(owns))


def test_offers_are_what_the_devices_can_do():
    profiles = day()
    people, inventory = profiles.population, inventory_of(profiles.population)
    soc = np.linspace(0.0, 1.0, people.size)
    forecast = profiles.forecast(52)
    offers = resources_at(profiles, inventory, 52, soc, forecast)
    assert (offers.min_kw <= offers.max_kw).all()
    charge, discharge = limits_kw(soc, people.battery_kwh, people.battery_kw, people.battery_efficiency, 0.25)
    column = {kind: offers.kind == kind for kind in Kind}
    who = {kind: offers.prosumer[column[kind]] for kind in Kind}
    assert np.array_equal(offers.max_kw[column[Kind.PV]], forecast.pv_kw[who[Kind.PV]])
    assert np.array_equal(-offers.min_kw[column[Kind.CHARGE]], charge[who[Kind.CHARGE]])
    assert np.array_equal(offers.max_kw[column[Kind.DISCHARGE]], discharge[who[Kind.DISCHARGE]])
    assert not offers.min_kw[~column[Kind.CHARGE]].any()
    assert not offers.max_kw[column[Kind.CHARGE]].any()
    shed = offers.max_kw[column[Kind.FLEXIBLE]] / forecast.load_kw[who[Kind.FLEXIBLE]]
    assert np.allclose(shed, profiles.scenario.population.flexible.load_fraction)
    assert np.array_equal(offers.demand_kw, forecast.load_kw)


def test_charging_is_never_worth_more_than_discharging_costs():
    profiles = day(wear_price=0.0, efficiency=1.0)
    inventory = inventory_of(profiles.population)
    for tick in range(0, 96, 12):
        offers = resources_at(
            profiles, inventory, tick, profiles.population.soc_start, profiles.forecast(tick)
        )
        buy = offers.cost_linear[offers.kind == Kind.CHARGE]
        sell = offers.cost_linear[offers.kind == Kind.DISCHARGE]
        assert (buy <= sell).all()


def test_batteries_fill_at_noon_and_empty_in_the_evening():
    profiles = day()
    people, inventory = profiles.population, inventory_of(profiles.population)
    owners, soc, filled = people.battery_kwh > 0, people.soc_start, []
    for tick in range(96):
        offers = resources_at(profiles, inventory, tick, soc, profiles.forecast(tick))
        runs = offers.cost_linear < profiles.outlook[tick]
        power = np.where(runs, offers.max_kw, offers.min_kw) * np.isin(
            offers.kind, [Kind.CHARGE, Kind.DISCHARGE]
        )
        power = np.bincount(offers.prosumer, power, minlength=people.size)
        soc = advance(soc, power, people.battery_kwh, people.battery_efficiency, 0.25)
        filled.append(soc[owners].mean())
    assert max(filled[60:72]) > 0.8
    assert filled[91] < 0.3


def test_population_without_batteries_offers_none():
    profiles = day(share_with_pv=0.0, share_without_pv=0.0)
    inventory = inventory_of(profiles.population)
    assert not np.isin(inventory.kind, [Kind.CHARGE, Kind.DISCHARGE]).any()
    assert not profiles.stored_energy_value(50, profiles.population.soc_start).any()
