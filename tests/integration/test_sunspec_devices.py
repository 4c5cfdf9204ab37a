"""Every emulated SunSpec device, scanned, read and commanded by pysunspec2, and by the gateway as well."""

import asyncio
from contextlib import contextmanager

import msgspec
import numpy as np
import pytest
from sunspec2.modbus.client import SunSpecModbusClientDeviceTCP

from broker.messages import DeviceSetPoint
from devices.emulation.fleet import EmulatedProsumer, Fleet
from devices.gateway.gateway import Gateway
from devices.limits import SetPointLimits
from devices.physics.grid_support import GridSupport

HOME = EmulatedProsumer(
    id="home",
    meter="sunspec-meter",
    phases=(1, 2),
    pv_kw=6.0,
    battery_kw=4.0,
    battery_kwh=10.0,
    battery_efficiency=1.0,
)
CONTROLS = {"103": 123, "113": 123, "701": 704}


def begun(**options):
    fleet = Fleet([HOME], 50.0, **options)
    fleet.begin([1.5], [0.5], [5.0])
    return fleet


def advance(fleet, dt_s=300.0):
    fleet.advance([[1.5]], [[0.5]], [[5.0]], dt_s)


@contextmanager
def scanned(endpoint):
    device = SunSpecModbusClientDeviceTCP(
        slave_id=endpoint.unit, ipaddr=endpoint.link.place, ipport=endpoint.link.port, timeout=5.0
    )
    device.connect()
    try:
        device.scan(connect=False)
        for number, models in device.models.items():
            assert not isinstance(number, int) or not any(model.error_info for model in models)
        yield device
    finally:
        device.disconnect()


def values(endpoint, number, *names):
    with scanned(endpoint) as device:
        (model,) = device.models[number]
        return [model.points[name].cvalue for name in names]


async def told(endpoint, number, *names):
    return await asyncio.to_thread(values, endpoint, number, *names)


@pytest.mark.parametrize("models", CONTROLS)
async def test_an_inverter_tells_what_it_does(models):
    fleet = begun(pv_models=models, support=GridSupport(volt_var=True))
    async with fleet.serving() as live:
        fleet.set_voltage([1.05])
        advance(fleet)
        pv = live["home"].pv
        power = ("W", "Var", "Hz") if models == "701" else ("W", "VAr", "Hz")
        w, var, hz = await told(pv, int(models), *power)
        assert (w, hz) == (5000, 50)
        assert var == pytest.approx(-0.22 * 6000, abs=1.0)
        phases = ("VL1", "VL3") if models == "701" else ("PhVphA", "PhVphC")
        first, third = await told(pv, int(models), *phases)
        assert first == pytest.approx(1.05 * 230.0, abs=0.06)
        assert third is None or np.isnan(third)


@pytest.mark.parametrize("models", CONTROLS)
async def test_an_inverter_is_limited_value_first_and_enable_apart(models):
    fleet = begun(pv_models=models)
    number = CONTROLS[models]
    enable = "WMaxLim_Ena" if number == 123 else "WMaxLimPctEna"

    def write(endpoint, **points):
        with scanned(endpoint) as device:
            (controls,) = device.models[number]
            for name, value in points.items():
                controls.points[name].cvalue = value
                controls.write()

    async with fleet.serving() as live:
        pv = live["home"].pv
        await asyncio.to_thread(write, pv, WMaxLimPct=25.0)
        advance(fleet)
        assert fleet.pv.p_kw[0] == 5.0
        await asyncio.to_thread(write, pv, **{enable: 1})
        advance(fleet)
        assert fleet.pv.p_kw[0] == pytest.approx(1.5)


async def test_an_inverter_as_ieee_1547_has_it_falls_back_to_what_it_was_told_for_that():
    fleet = begun(pv_models="701")

    def write(endpoint):
        with scanned(endpoint) as device:
            (controls,) = device.models[704]
            for name, value in (("WMaxLimPctRvrt", 50.0), ("WMaxLimPct", 10.0)):
                controls.points[name].cvalue = value
            for name, value in (("WMaxLimPctEnaRvrt", 1), ("WMaxLimPctRvrtTms", 400), ("WMaxLimPctEna", 1)):
                controls.points[name].value = value
            controls.write()

    async with fleet.serving() as live:
        pv = live["home"].pv
        await asyncio.to_thread(write, pv)
        advance(fleet)
        assert fleet.pv.p_kw[0] == pytest.approx(0.6)
        assert await told(pv, 704, "WMaxLimPctRvrtRem") == [100]
        advance(fleet)
        assert fleet.pv.p_kw[0] == pytest.approx(3.0)
        assert await told(pv, 704, "WMaxLimPct", "WMaxLimPctEna") == [50, 1]
        assert await told(pv, 702, "WMaxRtg", "AbnOpCatRtg", "VNom") == [6000, 2, 230]
        assert await told(pv, 703, "ES", "ESVHi", "ESHzLo", "ESDlyTms") == [1, 105, 49.5, 300]


@pytest.mark.parametrize("models", CONTROLS)
async def test_a_trip_shows_in_state_and_alarms(models):
    fleet = begun(pv_models=models)
    async with fleet.serving() as live:
        fleet.set_voltage([1.25])
        advance(fleet)
        names = ("InvSt", "Alrm", "ConnSt") if models == "701" else ("St", "Evt1")
        state = await told(live["home"].pv, int(models), *names)
        assert state == ([6, 1040, 0] if models == "701" else [7, 1040])


async def test_a_battery_without_set_point_is_held_in_its_band_from_both_sides():
    fleet = begun(battery_models="802")

    def write(endpoint):
        with scanned(endpoint) as device:
            assert sorted(n for n in device.models if isinstance(n, int)) == [1, 103, 120, 121, 124, 802]
            (storage,) = device.models[124]
            storage.points["OutWRte"].cvalue = -50.0
            storage.points["InWRte"].cvalue = 50.0
            storage.write()
            storage.points["StorCtl_Mod"].value = 3
            storage.write()

    async with fleet.serving() as live:
        battery = live["home"].battery
        assert await told(battery, 802, "SoC", "WHRtg", "WChaRteMax") == [50, 10_000, 4000]
        await asyncio.to_thread(write, battery)
        advance(fleet, 900.0)
        assert await told(battery, 103, "W") == [-2000]
        (charge,) = await told(battery, 802, "SoC")
        assert charge == pytest.approx(55.0, abs=0.05)
        gateway = Gateway(live.values())
        asked = [DeviceSetPoint(device="battery", power_kw=1.0)]
        assert (await gateway.command("home", asked, 900.0)).ok
        advance(fleet)
        (reading,) = await gateway.poll()
        await gateway.close()
    state = next(state for state in reading.devices if state.device == "battery")
    assert state.p_kw == pytest.approx(1.0, abs=1e-3)
    assert state.max_kw == 4.0


@pytest.mark.parametrize("model", ["203", "213"])
async def test_a_meter_tells_the_same_in_integers_and_floats(model):
    fleet = begun(meter_model=model)
    async with fleet.serving() as live:
        advance(fleet)
        w, var, exported, volt = await told(live["home"].meter, int(model), "W", "VAR", "TotWhExp", "PhVphA")
        assert (w, var, volt) == (-3500, 500, 230)
        assert exported == pytest.approx(3500.0 / 12.0, abs=1.0)


@pytest.mark.parametrize("models", CONTROLS)
@pytest.mark.parametrize("model", ["203", "213"])
async def test_the_gateway_needs_to_know_nothing_of_the_difference(models, model):
    fleet = begun(pv_models=models, meter_model=model)
    async with fleet.serving() as live:
        gateway = Gateway(live.values())
        advance(fleet)
        outcome = await gateway.command("home", [DeviceSetPoint(device="pv", power_kw=2.0)], 900.0)
        assert outcome.ok, outcome.detail
        advance(fleet)
        (reading,) = await gateway.poll()
        await gateway.close()
    assert (reading.quality, reading.p_kw) == ("good", pytest.approx(-0.5, abs=1e-3))
    pv = next(state for state in reading.devices if state.device == "pv")
    assert (pv.p_kw, pv.max_kw) == (pytest.approx(2.0, abs=1e-3), 6.0)
    assert len(reading.v_v) == 2


async def test_what_is_in_force_is_what_the_guard_let_through():
    fleet = begun()
    async with fleet.serving() as live:
        bounded = SetPointLimits(max_kw=2.5)
        slow = SetPointLimits(ramp_kw_per_s=0.001)
        gateway = Gateway([msgspec.structs.replace(live["home"], pv_limits=bounded, battery_limits=slow)])
        asked = [DeviceSetPoint(device="pv", power_kw=4.0), DeviceSetPoint(device="battery", power_kw=3.0)]
        assert (await gateway.command("home", asked, 900.0)).ok
        told = {one.device: one.power_kw for one in gateway.in_force("home")}
        await gateway.close()
    assert told == {"pv": 2.5, "battery": None}
