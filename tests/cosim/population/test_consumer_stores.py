"""Chargers and flexible loads over a horizon: their state from the meter, and what the market makes of it."""

import numpy as np
import pytest

from broker.messages import DeviceState, HeatStore
from cosim.population.consumer_stores import Ahead, with_consumers
from market.horizon.stores import no_stores, within_reach
from market.participants.horizon_bids import Prospect

T, HOURS = 8, 0.25
AHEAD = Ahead(intervals=T, hours=HOURS, price=0.12, retail=0.3, feed_in=0.04)
CAR = DeviceState(device="ev", p_kw=0.0, min_kw=-7.4, max_kw=0.0, needs_kwh=5.0, left_s=4500.0)
HEAT = HeatStore(capacity_kwh=4.0, loss_kw=0.6, rating_kw=2.0)
PUMP = DeviceState(device="load", p_kw=-1.0, min_kw=-2.0, max_kw=0.0, soc=0.25, heat=HEAT)


def empty(n=2):
    none = np.zeros(0)
    return Prospect(
        demand_kw=np.ones((n, T)),
        owner=np.zeros(0, dtype=np.intp),
        max_kw=np.zeros((0, T)),
        cost_linear=none,
        cost_quadratic=none,
        stores=no_stores(T),
        kind=(),
    )


def made(*states, worth=0.0):
    devices = [{state.device: state} for state in states]
    owned = [{state.device: worth} for state in states]
    return with_consumers(empty(len(states)), devices, owned, AHEAD)


def changed(state, **values):
    return DeviceState(**{name: getattr(state, name) for name in state.__struct_fields__} | values)


def test_a_vehicle_wants_its_energy_in_the_whole_intervals_that_it_has():
    prospect, stored = made(CAR)
    stores = prospect.stores
    assert stored == [(0, "ev")]
    # An hour and a quarter are five intervals.
    assert (stores.charge_kw[0] == [7.4] * 5 + [0.0] * 3).all()
    assert (stores.lower_kwh[0] == [0.0] * 5 + [5.0] + [0.0] * 3).all()
    assert (stores.upper_kwh[0, 1:] == 5.0).all()
    assert np.abs(within_reach(stores, HOURS)[1]).max() == 0.0
    assert (prospect.demand_kw == 1.0).all()


def test_energy_that_cannot_be_had_in_time_is_a_shortfall_and_nothing_else():
    stores = made(changed(CAR, needs_kwh=20.0))[0].stores
    assert within_reach(stores, HOURS)[1].max() == pytest.approx(20.0 - 5 * HOURS * 7.4)


def test_who_leaves_behind_the_horizon_has_the_rest_later_and_who_tells_no_time_need_not():
    later = made(changed(CAR, left_s=3.0 * 3600.0, needs_kwh=10.0))[0].stores
    assert later.lower_kwh[0, -1] == pytest.approx(10.0 - 7.4)
    assert later.end_value[0] == 0.12
    never = made(changed(CAR, left_s=None))[0].stores
    assert (never.lower_kwh == 0.0).all()
    assert (never.charge_kw == 7.4).all()
    assert never.end_value[0] == 0.04


def test_heat_is_what_the_meter_says_and_is_lost_all_the_time():
    stores = made(PUMP)[0].stores
    assert stores.initial_kwh[0] == 1.0
    assert (stores.upper_kwh[0, 1:] == 4.0).all()
    assert stores.drift_kwh[0] == pytest.approx(-0.15)
    assert (stores.charge_kw == 2.0).all()
    assert (stores.discharge_kw == 0.0).all()


def test_a_load_without_a_state_draws_for_what_it_is_worth_and_a_charger_only_now():
    plain = changed(PUMP, heat=None, soc=None)
    prospect, stored = made(plain, changed(CAR, needs_kwh=None, left_s=None), worth=0.2)
    assert stored == []
    assert len(prospect.stores) == 0
    assert (prospect.demand_kw[0] == 3.0).all()
    assert prospect.demand_kw[1] == pytest.approx([8.4] + [1.0] * 7)
    assert (prospect.max_kw == prospect.demand_kw - 1.0).all()
    assert (prospect.cost_linear == 0.2).all()


def test_what_does_not_obey_draws_as_it_does_now():
    prospect, stored = made(changed(PUMP, obeys=False))
    assert stored == []
    assert prospect.demand_kw[0] == pytest.approx([2.0] + [1.0] * 7)
