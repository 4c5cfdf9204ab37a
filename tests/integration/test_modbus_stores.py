"""Emulated chargers and flexible loads behind Modbus: their state, and limits that they keep."""

from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest

from broker.messages import DeviceSetPoint
from devices.emulation.consumers import Conditions
from devices.emulation.fleet import EmulatedProsumer, Fleet
from devices.gateway.gateway import Gateway
from devices.physics.storage import StorePath

HOUR_S, HOURS = 900.0, 0.25
PROSUMERS = [
    EmulatedProsumer(id="driver", ev_kw=7.4, ev_kwh=1.84),
    EmulatedProsumer(id="warm", flexible_kw=2.5, flexible_kwh=2.0, battery_kw=2.0, battery_kwh=4.0),
    EmulatedProsumer(id="washer", flexible_kw=2.0),
]


def rows(*values):
    return np.array(values, dtype=float)[:, None]


def conditions(*, here=True, left_s=4200.0):
    """A vehicle that wants 9.2 kWh, a room that holds 6 kWh of heat, and 1 kWh of work."""
    there = 7.4 * here
    car = StorePath(
        rows(0.0), rows(9.2), rows(there), rows(0.0), np.array([0.92]), np.ones(1), np.ones(1), rows(0.0)
    )
    loads = StorePath(
        lower_kwh=rows(0.0, 0.0),
        upper_kwh=rows(6.0, 1.0),
        draw_kw=rows(2.5, 2.0),
        give_kw=rows(0.0, 0.0),
        efficiency=np.array([3.0, 1.0]),
        give_efficiency=np.ones(2),
        retention=np.ones(2),
        drift_kwh=rows(-0.3, 0.0),
    )
    return {
        "ev": Conditions(car, np.array([9.2]), np.array([left_s])),
        "load": Conditions(loads, np.array([np.nan, 1.0]), np.array([np.nan, 7200.0])),
    }


@asynccontextmanager
async def homes():
    fleet = Fleet(PROSUMERS)
    fleet.begin([0.5] * 3, [0.1] * 3, [0.0] * 3)
    fleet.consumers.show(conditions(), HOURS)
    async with fleet.serving() as live:
        gateway = Gateway(live.values(), timeout_s=2.0)
        try:
            yield fleet, gateway
        finally:
            await gateway.close()


def pass_interval(fleet, now=None, then=None):
    fleet.advance([[0.5] * 3] * 3, [[0.1] * 3] * 3, [[0.0] * 3] * 3, HOUR_S / 3.0, now or conditions())
    fleet.consumers.show(then or conditions(), HOURS)


async def states(gateway):
    return {r.prosumer: {each.device: each for each in r.devices} for r in await gateway.poll()}


async def command(gateway, prosumer, device, power_kw, valid_s=1800.0):
    done = await gateway.command(prosumer, [DeviceSetPoint(device=device, power_kw=power_kw)], valid_s)
    assert done.ok, done.detail


async def test_their_state_is_read_as_energy_at_the_meter():
    async with homes() as (_, gateway):
        found = await states(gateway)
        car = found["driver"]["ev"]
        assert (car.p_kw, car.left_s) == (0.0, 4200.0)
        assert car.needs_kwh == pytest.approx((9.2 - 1.84) / 0.92)
        assert car.min_kw == pytest.approx(-7.4)
        assert car.max_kw == pytest.approx(-(8.0 - 7.4 * 3300.0 / 3600.0) / HOURS)
        room = found["warm"]["load"]
        assert room.soc == pytest.approx(1.0 / 3.0)
        assert room.heat.capacity_kwh == pytest.approx(2.0)
        assert room.heat.loss_kw == pytest.approx(0.3 / 3.0 / HOURS)
        assert room.heat.rating_kw == pytest.approx(2.5)
        work = found["washer"]["load"]
        assert (work.needs_kwh, work.left_s, work.heat) == (pytest.approx(1.0), 7200.0, None)
        assert set(found["warm"]) == {"battery", "load"}


async def test_they_draw_up_to_the_limit_that_is_set_and_no_more_than_there_is_room_for():
    async with homes() as (fleet, gateway):
        await command(gateway, "driver", "ev", -3.7)
        await command(gateway, "warm", "load", -1.2)
        await command(gateway, "washer", "load", 0.0)
        pass_interval(fleet)
        assert fleet.mean_kw == pytest.approx([4.2, 1.7, 0.5])
        found = await states(gateway)
        assert found["driver"]["ev"].p_kw == pytest.approx(-3.7)
        assert found["driver"]["ev"].needs_kwh == pytest.approx(8.0 - 3.7 * HOURS)
        assert found["warm"]["load"].soc == pytest.approx((2.0 + 1.2 * 3.0 * HOURS - 0.3) / 6.0)
        assert found["washer"]["load"].needs_kwh == pytest.approx(1.0)
        await command(gateway, "washer", "load", -2.0)
        for _ in range(3):
            pass_interval(fleet)
        assert (await states(gateway))["washer"]["load"].needs_kwh == pytest.approx(0.0, abs=1e-6)
        assert fleet.mean_kw[2] == pytest.approx(0.5)


async def test_a_limit_that_nobody_renews_runs_out_and_then_all_is_drawn():
    async with homes() as (fleet, gateway):
        await command(gateway, "driver", "ev", 0.0, valid_s=600.0)
        pass_interval(fleet)
        assert fleet.mean_kw[0] == pytest.approx(0.5 + 7.4 / 3.0)
        assert fleet.p_kw[0] == pytest.approx(0.5 + 7.4)
        await command(gateway, "driver", "ev", None)
        pass_interval(fleet)
        assert fleet.mean_kw[0] == pytest.approx(7.9)


async def test_a_vehicle_that_is_away_is_told_to_be_and_draws_nothing():
    async with homes() as (fleet, gateway):
        pass_interval(fleet, then=conditions(here=False, left_s=np.nan))
        car = (await states(gateway))["driver"]["ev"]
        assert (car.min_kw, car.needs_kwh) == (0.0, None)
        pass_interval(fleet, now=conditions(here=False))
        assert fleet.mean_kw[0] == 0.5


async def test_what_they_remember_goes_on_after_a_restart():
    async with homes() as (fleet, gateway):
        await command(gateway, "driver", "ev", -2.0)
        pass_interval(fleet)
        again = Fleet(PROSUMERS)
        again.restore(fleet.snapshot())
        for each in (fleet, again):
            pass_interval(each)
        assert (again.mean_kw == fleet.mean_kw).all()
        fleet.reboot("driver", "ev")
        pass_interval(fleet)
        assert fleet.mean_kw[0] == pytest.approx(7.9)


async def test_who_lacks_what_it_wants_when_it_leaves_is_known():
    leaves = conditions()
    path = replace(leaves["ev"].path, lower_kwh=rows(9.2))
    leaves["ev"] = replace(leaves["ev"], path=path, beyond_kwh=np.array([40.0]))
    async with homes() as (fleet, gateway):
        await command(gateway, "driver", "ev", -3.7)
        pass_interval(fleet)
        assert fleet.consumers.lacking(conditions()) == []
        await command(gateway, "driver", "ev", -3.7)
        pass_interval(fleet, now=leaves)
        (found,) = fleet.consumers.lacking(leaves)
        assert found == ("ev", 0, pytest.approx(9.2 - 1.84 - 2 * 3.7 * HOURS * 0.92 + 40.0))
