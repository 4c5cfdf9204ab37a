import msgspec
import numpy as np
import pytest

from broker.snapshot import pack, unpack
from cosim.population.build import build_population
from cosim.population.live_environment import LiveEnvironment
from cosim.population.members import LamSites
from cosim.population.portfolios import ProfileCache, VirtualPortfolio
from cosim.population.profiles import build_profiles
from cosim.population.resources import Kind
from cosim.population.voltage_response import VoltageResponse
from cosim.scenario import Scenario
from cosim.scenario.people import VoltageDependence
from devices.physics.demand import demand_factor

replace = msgspec.structs.replace
N, TICK, TAN_PHI = 40, 52, np.full(40, 0.5)
LAMS = LamSites(("a", "b"), np.array([20.0, 20.0]), np.full(2, 0.5))
IMPEDANCE = VoltageDependence(constant_impedance=1.0)
MIXED = VoltageDependence(constant_impedance=0.4, constant_current=0.3)


@pytest.fixture(scope="module")
def cache():
    scenario = Scenario()
    scenario = replace(scenario, population=replace(scenario.population, prosumers=N))
    return ProfileCache(build_profiles(scenario, build_population(scenario, LAMS), 2))


def response(cache, law, follows=True):
    return VoltageResponse(law, cache.profiles.population.lam, 2, np.full(N, follows))


def portfolio(cache, law):
    return VirtualPortfolio(cache, np.arange(N), TAN_PHI, response(cache, law))


def idle(portfolio):
    """Outputs with which batteries rest, nothing is shed and PV makes what it can."""
    offers = portfolio.offers
    return np.where(offers.kind == Kind.PV, offers.resources.max_kw, 0.0)


def test_a_population_at_a_low_voltage_bids_and_draws_its_load_by_it_and_nothing_else_changes(cache):
    plain, low = portfolio(cache, IMPEDANCE), portfolio(cache, IMPEDANCE)
    low.response.take(np.array([0.95, 1.0]))
    factor = np.where(cache.profiles.population.lam == 0, 0.9025, 1.0)
    at_one, at_low = plain.position(TICK), low.position(TICK)
    assert at_low.demand_kw == pytest.approx(factor * at_one.demand_kw)
    assert at_low.reactive_kvar == pytest.approx(factor * at_one.reactive_kvar)
    kind, owner = low.offers.kind, low.offers.owner
    scale = np.where(kind == Kind.FLEXIBLE, factor[owner], 1.0)
    assert at_low.resources.max_kw == pytest.approx(scale * at_one.resources.max_kw)
    assert np.array_equal(at_low.resources.min_kw, at_one.resources.min_kw)
    drew, draws = plain.act(TICK, idle(plain)), low.act(TICK, idle(low))
    load_kwh = 0.25 * cache.sample(TICK).load_kw.mean(axis=0)
    assert drew.energy_kwh - draws.energy_kwh == pytest.approx((1.0 - factor) * load_kwh)
    assert draws.reactive_kvarh == pytest.approx(0.5 * factor * load_kwh)


def test_emulated_meters_see_the_load_that_a_virtual_prosumer_draws(cache):
    around = LiveEnvironment(cache, np.arange(N), TAN_PHI, response(cache, MIXED))
    virtual = portfolio(cache, MIXED)
    for each in (around.response, virtual.response):
        each.take(np.array([0.93, 1.04]))
    load_kw, load_kvar, pv_kw, _ = around.substeps(TICK)
    virtual.position(TICK)
    drawn = virtual.act(TICK, idle(virtual))
    assert 0.25 * (load_kw - pv_kw).mean(axis=0) == pytest.approx(drawn.energy_kwh)
    assert 0.25 * load_kvar.mean(axis=0) == pytest.approx(drawn.reactive_kvarh)
    law = demand_factor([0.93, 1.04], 0.4, 0.3)[cache.profiles.population.lam]
    assert load_kw == pytest.approx(law * cache.sample(TICK).load_kw)


def test_without_shares_not_a_bit_changes_whatever_the_voltage(cache):
    off = response(cache, VoltageDependence())
    off.take(np.array([0.83, 1.07]))
    load_kw = cache.sample(TICK).load_kw
    assert np.array_equal(off.drawn(load_kw), load_kw)


def test_what_is_behind_a_real_meter_does_not_follow_the_feeder(cache):
    real = response(cache, IMPEDANCE, follows=False)
    real.take(np.array([0.9, 0.9]))
    assert np.array_equal(real.drawn(np.ones(N)), np.ones(N))


def test_the_last_voltage_with_source_counts_after_an_outage_and_is_remembered(cache):
    followed = portfolio(cache, MIXED)
    followed.response.take(np.array([0.95, 0.98]))
    followed.response.take(np.array([0.0, 0.97]))
    assert followed.response.v_pu.tolist() == [0.95, 0.97]
    resumed = portfolio(cache, MIXED)
    resumed.restore(unpack(pack(followed.snapshot())))
    assert np.array_equal(resumed.position(TICK).demand_kw, followed.position(TICK).demand_kw)
    other = VoltageResponse(MIXED, np.zeros(N, dtype=np.intp), 3, np.ones(N, dtype=bool))
    with pytest.raises(ValueError, match="no v_pu of shape"):
        other.restore(followed.response.snapshot())
