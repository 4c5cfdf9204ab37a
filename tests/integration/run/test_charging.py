"""A charger among the devices of a live prosumer: what the market takes of it, and what it is told."""

import numpy as np

from broker.messages import DeviceState, HeatStore, Telemetry
from cosim.population.portfolios import ProfileCache
from cosim.population.resources import Kind
from cosim.population.telemetry_portfolio import TelemetryPortfolio

CHARGER = DeviceState(device="ev", p_kw=0.0, min_kw=-7.4, max_kw=-1.4, needs_kwh=14.8, left_s=14_400.0)


def telemetry(*devices):
    return Telemetry(
        run="r",
        sender="gateway",
        seq=0,
        tick=0,
        phase="measure",
        p_kw=1.0,
        q_kvar=0.0,
        v_pu=1.0,
        import_kwh=1.0,
        export_kwh=0.0,
        quality="good",
        devices=list(devices),
    )


def test_a_charger_is_offered_beside_all_else_and_told_what_was_cleared(small_run):
    _, world = small_run
    members = world.roster.live_members
    cache = ProfileCache(world.profiles, world.expectation())
    names = [world.roster.prosumers[member] for member in members]
    plain = TelemetryPortfolio(cache, members, world.reactive_ratio, world.voltage_response())
    with_charger = TelemetryPortfolio(
        cache, members, world.reactive_ratio, world.voltage_response(), worth={names[1]: {"ev": 0.0}}
    )
    heard = {name: telemetry() for name in names} | {names[1]: telemetry(CHARGER)}
    before, position = plain.position(0, heard), with_charger.position(0, heard)

    resources = position.resources
    mine = (resources.owner == 1) & (with_charger.offers.kind == Kind.EV)
    assert mine.sum() == 1
    assert (resources.min_kw[mine].item(), resources.max_kw[mine].item()) == (-7.4, -1.4)
    assert np.all(np.diff(resources.owner) >= 0)
    assert resources.owner.size == before.resources.owner.size + 1
    np.testing.assert_array_equal(position.demand_kw, before.demand_kw)

    output_kw = np.where(mine, -3.7, 0.0)
    commands = with_charger.set_points(output_kw)[1]
    assert [each.power_kw for each in commands if each.device == "ev"] == [-3.7]
    assert not any(each.device == "ev" for each in with_charger.set_points(output_kw)[0])

    # One that is only observed is demand, and gets no limit.
    seen = telemetry(DeviceState(device="ev", p_kw=-11.0, min_kw=-11.0, max_kw=0.0, obeys=False))
    position = with_charger.position(0, heard | {names[1]: seen})
    assert position.demand_kw[1] == before.demand_kw[1] + 11.0
    limits = with_charger.set_points(np.zeros(position.resources.owner.size))[1]
    assert [each.power_kw for each in limits if each.device == "ev"] == [None]


def test_over_a_horizon_its_state_comes_from_the_meter_and_its_worth_from_the_market(small_run):
    _, world = small_run
    members = world.roster.live_members
    cache = ProfileCache(world.profiles, world.expectation())
    names = [world.roster.prosumers[member] for member in members]
    portfolio = TelemetryPortfolio(
        cache,
        members,
        world.reactive_ratio,
        world.voltage_response(),
        worth={names[0]: {"load": 0.0}, names[1]: {"ev": 0.0}},
    )
    pump = DeviceState(
        device="load",
        p_kw=-1.0,
        min_kw=-2.0,
        max_kw=0.0,
        soc=0.5,
        heat=HeatStore(capacity_kwh=3.0, loss_kw=0.3, rating_kw=2.0),
    )
    heard = {name: telemetry() for name in names}
    heard |= {names[0]: telemetry(pump), names[1]: telemetry(CHARGER)}
    prospect = portfolio.prospect(0, heard, 2)
    stores = prospect.stores
    assert (stores.owner[-2:] == [0, 1]).all()
    assert stores.initial_kwh[-2:].tolist() == [1.5, 0.0]
    assert (stores.upper_kwh[-1, 1:] == 14.8).all()

    worth = np.full(len(stores), 0.1)
    worth[-2:] = [0.21, np.inf]
    resources = portfolio.position(0, heard, worth).resources
    is_load, is_ev = (portfolio.offers.kind == kind for kind in (Kind.LOAD, Kind.EV))
    assert resources.cost_linear[is_load].tolist() == [0.21]
    own = portfolio.position(0, heard).resources.cost_linear
    assert resources.cost_linear[is_ev] == own[is_ev], "its own outlook, for what was told is no worth"
    assert own[is_load] != 0.21

    planned_kw = np.zeros(len(stores))
    planned_kw[-2:] = [-1.2, np.nan]
    wanted_kw = portfolio.position(0, heard, worth, planned_kw).wanted_kw
    kind = portfolio.offers.kind
    assert wanted_kw[is_load].tolist() == [-1.2]
    assert np.isnan(wanted_kw[is_ev | (kind == Kind.PV)]).all()
    assert (wanted_kw[np.isin(kind, (Kind.CHARGE, Kind.DISCHARGE))] == 0.0).all()

    # Where telemetry is silent later, it is not counted on.
    silent = portfolio.prospect(1, {name: telemetry() for name in names}, 1)
    assert len(silent.stores) == len(stores) - 2
    assert np.isfinite(portfolio.position(1, {}, np.full(len(silent.stores), 0.1)).demand_kw).all()
