"""Stores of any kind: what they may draw, what that leaves in them, and paths by the hour of the day."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.physics import battery
from devices.physics.daily import appliance_path, heated_path, vehicle_path
from devices.physics.storage import StorePath, advance_energy, needed_kwh, power_range

DT_H = 0.25
HOURS = np.arange(96) * DT_H


def one(**columns):
    return {name: np.array([float(value)]) for name, value in columns.items()}


CAR = one(
    leaves_h=7.5, comes_h=17.25, kwh=50.0, kw=11.0, trip_kwh=9.0, reserve_kwh=10.0, efficiency=0.9, gives=0.0
)
WASH = one(begins_h=9.0, ends_h=15.0, kwh=1.5, kw=2.0)
HOUSE = one(low_c=20.0, high_c=22.0, kwh_per_k=6.0, w_per_k=100.0, performance=3.0, kw=2.5)


def from_tick(path, t):
    """The rest of a path."""
    wide = {"lower_kwh", "upper_kwh", "draw_kw", "give_kw", "drift_kwh"}
    fields = vars(path)
    return StorePath(**{name: value[:, t:] if name in wide else value for name, value in fields.items()})


def lived(path, energy, choose):
    """Energy at the end of each interval where `choose` picks between the least and the most power."""
    found, drawn = [], []
    for t in range(path.lower_kwh.shape[1]):
        here = from_tick(path, t)
        least, most = power_range(energy, here, DT_H)
        assert (least <= most).all()
        drawn.append(least + choose(t) * (most - least))
        energy = advance_energy(energy, drawn[-1], here, DT_H)
        found.append(energy)
    return np.array(found)[:, 0], np.array(drawn)[:, 0]


@given(st.floats(0.0, 1.0), st.floats(-20.0, 20.0), st.floats(0.5, 1.0))
def test_a_path_of_a_battery_is_the_battery(soc, wanted_kw, efficiency):
    kwh, kw = np.array([6.0]), np.array([3.0])
    path = StorePath(
        lower_kwh=np.zeros((1, 1)),
        upper_kwh=kwh[:, None],
        draw_kw=kw[:, None],
        give_kw=kw[:, None],
        efficiency=np.array([efficiency]),
        give_efficiency=np.array([efficiency]),
        retention=np.ones(1),
        drift_kwh=np.zeros((1, 1)),
    )
    charge, discharge = battery.limits_kw([soc], kwh, kw, efficiency, DT_H)
    least, most = power_range(soc * kwh, path, DT_H)
    assert most == pytest.approx(charge, abs=1e-9)
    assert -least == pytest.approx(discharge, abs=1e-9)
    power = np.clip(wanted_kw, least, most)
    after = battery.advance([soc], -power, kwh, efficiency, DT_H)
    assert advance_energy(soc * kwh, power, path, DT_H) == pytest.approx(after * kwh, abs=1e-9)


@pytest.mark.parametrize("share", [0.0, 0.37, 1.0])
@pytest.mark.parametrize(
    ("path", "start"),
    [
        (vehicle_path(HOURS, DT_H, **CAR), 3.0),
        (vehicle_path(HOURS, DT_H, **(CAR | one(gives=1))), 30.0),
        (appliance_path(HOURS, DT_H, **WASH), 0.0),
        (heated_path(np.full(96, 2.0), DT_H, **HOUSE), 6.0),
    ],
    ids=["vehicle", "gives back", "appliance", "house"],
)
def test_whatever_is_drawn_within_the_range_no_bound_is_broken(path, start, share):
    energy, drawn = lived(path, np.array([start]), lambda _: share)
    assert (energy >= path.lower_kwh[0] - 1e-9).all()
    assert (energy <= path.upper_kwh[0] + 1e-9).all()
    assert (drawn <= path.draw_kw[0] + 1e-9).all()
    assert (drawn >= -path.give_kw[0] - 1e-9).all()


def test_a_vehicle_draws_nothing_away_and_leaves_with_what_it_wants():
    path = vehicle_path(HOURS, DT_H, **CAR)
    energy, drawn = lived(path, np.array([3.0]), lambda _: 0.0)
    away = (HOURS >= 7.5) & (HOURS < 17.25)
    assert (drawn[away] == 0.0).all()
    assert energy[HOURS == 7.25] == pytest.approx(19.0)
    assert energy[HOURS == 17.0] == pytest.approx(10.0)
    # It charges as late as it can: 16 kWh at 0.9 * 11 kW.
    first = HOURS[drawn > 0.0].min()
    assert first == pytest.approx(7.5 - 1.75)


def test_a_vehicle_that_comes_too_late_draws_all_it_can():
    path = vehicle_path(np.array([7.0, 7.25, 7.5]), DT_H, **CAR)
    least, most = power_range(np.array([3.0]), path, DT_H)
    assert least == most == 11.0
    assert needed_kwh(path, DT_H) == pytest.approx(19.0 - 0.9 * 11.0 * DT_H)


def test_an_appliance_does_its_work_by_the_deadline_every_day():
    hours = np.mod(np.arange(192) * DT_H, 24.0)
    path = appliance_path(hours, DT_H, **WASH)
    energy, drawn = lived(path, np.array([0.0]), lambda _: 0.0)
    assert drawn.sum() * DT_H == pytest.approx(3.0)
    assert (drawn[(hours < 9.0) | (hours >= 15.0)] == 0.0).all()
    assert energy[-1] == 0.0
    energy, drawn = lived(path, np.array([0.0]), lambda _: 1.0)
    assert hours[drawn > 0].max() < 10.0


def test_a_path_does_not_depend_on_where_it_begins():
    for make, columns in ((vehicle_path, CAR), (appliance_path, WASH)):
        whole = make(HOURS, DT_H, **columns)
        for t in (29, 30, 59, 60, 61, 69):
            later = make(HOURS[t:], DT_H, **columns)
            for name in ("lower_kwh", "draw_kw", "drift_kwh"):
                assert (getattr(later, name) == getattr(whole, name)[:, t:]).all()


def test_a_house_cools_and_is_heated_as_the_equation_says():
    path = heated_path(np.array([0.0]), DT_H, **HOUSE)
    capacity, losses = 6.0, 0.1
    temperature, steps = 21.0, 20_000
    for _ in range(steps):
        temperature += (1.5 * 3.0 - losses * temperature) / capacity * DT_H / steps
    after = advance_energy(np.array([6.0]), np.array([1.5]), path, DT_H)
    assert after == pytest.approx(capacity * (temperature - 20.0), abs=1e-4)


def test_a_house_at_the_lower_end_holds_it():
    path = heated_path(np.full(96, -5.0), DT_H, **HOUSE)
    energy, drawn = lived(path, np.array([0.0]), lambda _: 0.0)
    # 25 K of losses at 100 W/K, from a heat pump of performance 3.
    assert drawn == pytest.approx(np.full(96, 2.5 / 3.0), rel=1e-3)
    assert energy == pytest.approx(np.zeros(96), abs=1e-9)


def test_a_house_that_keeps_no_heat_is_heated_at_every_moment():
    path = heated_path(np.full(96, -5.0), DT_H, **HOUSE | {"kwh_per_k": np.array([1e-6])})
    _, drawn = lived(path, np.array([0.0]), lambda _: 0.0)
    assert drawn == pytest.approx(np.full(96, 2.5 / 3.0), rel=1e-3)
