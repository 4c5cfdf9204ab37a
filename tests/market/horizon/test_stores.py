"""Stores: their energy, the value below which it is burnt, and bounds that cannot be kept."""

from dataclasses import replace

import numpy as np
import pytest

from market.horizon.stores import missing_kwh, within_reach
from tests.market.horizon.town import battery


def test_energy_follows_power_with_losses_either_way():
    store = battery(2, efficiency=0.8)
    assert store.gained_kwh(np.array([[-1.0, 2.0]]), 0.5) == pytest.approx(np.array([[0.4, -1.25]]))
    assert store.wear(np.array([[-1.0, 2.0]])) == pytest.approx(np.array([[0.01, 0.02]]))


def test_energy_is_burnt_at_the_wear_that_losing_it_costs():
    assert battery(1, efficiency=0.8, wear=0.01).least_value == pytest.approx(-0.02 / 0.45)
    assert battery(1, efficiency=1.0).least_value == -np.inf
    one_way = replace(battery(1, efficiency=0.8), discharge_kw=np.zeros((1, 1)))
    assert one_way.least_value == -np.inf


def test_a_bound_that_can_be_kept_stays():
    store = battery(3)
    lower = store.lower_kwh.copy()
    lower[0, 3] = 4.0
    kept, shortfall = within_reach(replace(store, lower_kwh=lower), 1.0)
    assert (shortfall == 0).all()
    assert kept.lower_kwh[0, 3] == 4.0


def test_what_cannot_be_charged_in_time_is_told_and_no_more_wanted():
    store = battery(2, kw=1.0, efficiency=0.9, initial=0.0)
    lower = store.lower_kwh.copy()
    lower[0, 2] = 3.0
    kept, shortfall = within_reach(replace(store, lower_kwh=lower), 1.0)
    assert kept.lower_kwh[0, 2] == pytest.approx(1.8)
    assert shortfall[0] == pytest.approx([0.0, 0.0, 1.2])


def test_energy_that_has_nowhere_to_go_raises_the_upper_bound():
    store = battery(2, kwh=2.0, initial=2.0)
    store = replace(store, discharge_kw=np.zeros((1, 2)), drift_kwh=np.full((1, 2), 0.5))
    kept, shortfall = within_reach(store, 1.0)
    assert kept.upper_kwh[0] == pytest.approx([2.0, 2.5, 3.0])
    assert shortfall[0] == pytest.approx([0.0, -0.5, -1.0])


def test_a_cyclic_store_ends_with_what_it_began():
    assert battery(3, initial=1.5).cyclic(np.array([0])).lower_kwh[0].tolist() == [0, 0, 0, 1.5]


def test_what_stays_missing_is_missing_once():
    store = battery(4, kw=1.0, efficiency=1.0, initial=0.0)
    lower = store.lower_kwh.copy()
    lower[0, 2:] = 3.0, 4.0, 4.0
    _, shortfall = within_reach(replace(store, lower_kwh=lower), 1.0)
    assert shortfall[0] == pytest.approx([0.0, 0.0, 1.0, 1.0, 0.0])
    assert missing_kwh(shortfall) == pytest.approx(1.0)
    # Two vehicles' trips, and one that lacks for two of its own.
    assert missing_kwh(np.array([[0.0, 2.0, 0.0, 3.0], [0.0, 1.0, -4.0, 0.5]])) == pytest.approx(6.5)
    assert missing_kwh(np.zeros((0, 0))) == 0.0
