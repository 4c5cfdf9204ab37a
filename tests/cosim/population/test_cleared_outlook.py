"""Prices of a market of the whole feeder at one node, that owners may expect."""

import numpy as np
import pytest

from cosim.population.cleared_outlook import Fleets, _clear, cleared_prices, fleets_of
from cosim.population.members import LamSites, draw_population
from cosim.population.profiles import build_profiles
from cosim.scenario import load_scenario
from devices.physics.battery import limits_kw

T, DT_H = 96, 0.25
HOUR = np.arange(T) * DT_H
LOW = np.full(T, 0.05)
HIGH = 0.15 + 0.05 * np.cos(2.0 * np.pi * (HOUR - 19.0) / 24.0)
LINEAR = 0.5 * (LOW + HIGH)
FLEETS = Fleets(
    kwh=np.array([400.0, 100.0]),
    kw=np.array([160.0, 20.0]),
    efficiency=np.array([0.95, 0.9]),
    soc=np.array([0.3, 0.5]),
    wear=0.01,
)
NONE = Fleets(*np.zeros((4, 0)), wear=0.01)


def prices(net_kw, fleets=FLEETS):
    return cleared_prices(LINEAR, net_kw, LOW, HIGH, fleets, DT_H, 4)


def test_where_the_feeder_is_always_short_or_never_prices_are_the_grids():
    assert prices(np.full(T, 1000.0)) == pytest.approx(HIGH)
    assert prices(np.full(T, -1000.0)) == pytest.approx(LOW)
    assert prices(np.where(HOUR < 12.0, 1.0, -1.0), NONE) == pytest.approx(np.where(HOUR < 12.0, HIGH, LOW))


def test_batteries_bring_prices_of_noon_and_evening_nearer_to_each_other():
    net_kw = 100.0 - 250.0 * np.maximum(np.sin(2.0 * np.pi * (HOUR - 6.0) / 24.0), 0.0)
    found = prices(net_kw)
    assert (found >= LOW - 1e-12).all()
    assert (found <= HIGH + 1e-12).all()
    alone = prices(net_kw, NONE)
    noon, evening = (HOUR >= 10.0) & (HOUR < 15.0), (HOUR >= 18.0) & (HOUR < 22.0)
    assert found[noon].mean() > alone[noon].mean()
    assert found[evening].mean() < alone[evening].mean()


@pytest.mark.parametrize("net_kw", [-500.0, -150.0, -60.0, -5.0, 0.0, 5.0, 60.0, 150.0, 500.0])
def test_an_interval_clears_at_the_one_price_at_which_nothing_is_left(net_kw):
    value = np.array([0.09, 0.12])
    price, power_kw = _clear(net_kw, 0.05, 0.2, value, FLEETS.soc, FLEETS, DT_H)
    charge, discharge = limits_kw(FLEETS.soc, FLEETS.kwh, FLEETS.kw, FLEETS.efficiency, DT_H)
    assert (power_kw >= -charge - 1e-9).all()
    assert (power_kw <= discharge + 1e-9).all()
    left_kw = net_kw - power_kw.sum()
    if left_kw > 1e-9:
        assert price == 0.2
    elif left_kw < -1e-9:
        assert price == 0.05
    for g in range(2):
        buys, sells = value[g] * FLEETS.efficiency[g] - 0.01, value[g] / FLEETS.efficiency[g] + 0.01
        if price < buys - 1e-12:
            assert power_kw[g] == pytest.approx(-charge[g])
        if price > sells + 1e-12:
            assert power_kw[g] == pytest.approx(discharge[g])
        if buys + 1e-12 < price < sells - 1e-12:
            assert power_kw[g] == 0.0


def test_a_scenario_chooses_it_and_all_else_stays():
    lams = LamSites(("a", "b"), np.array([1.0, 2.0]), np.array([0.3, 0.3]))
    made = {}
    for prices_ in ("linear", "cleared"):
        changes = {"population.prosumers": 60, "population.outlook.prices": prices_}
        scenario = load_scenario(None, intervals=4, changes=changes)
        population = draw_population(scenario.population, scenario.run.seed, 1, lams)
        made[prices_] = build_profiles(scenario, population, 2)
    one, other = made["linear"], made["cleared"]
    assert one.outlook.shape == other.outlook.shape
    assert not np.allclose(one.outlook, other.outlook)
    assert (one.sample(2).load_kw == other.sample(2).load_kw).all()
    fleets, people = fleets_of(one.population, 0.01), one.population
    assert fleets.kwh.sum() == pytest.approx(people.battery_kwh.sum())
    assert fleets.soc @ fleets.kwh == pytest.approx(people.soc_start @ people.battery_kwh)
