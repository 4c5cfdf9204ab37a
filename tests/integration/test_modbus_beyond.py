"""Hardware whose power leaves its envelope although it was commanded, and hardware that is lost."""

import asyncio
from contextlib import asynccontextmanager

import msgspec
import numpy as np
import pytest

from broker.client.memory import MemoryBroker
from broker.messages import DeviceSetPoint
from devices.gateway.gateway import Gateway
from devices.gateway.hardware_record import HardwareRecord
from devices.gateway.hardware_watch import HardwareWatch
from devices.gateway.troubles import Troubles
from devices.limits import SetPointLimits
from tests.integration.sunspec_images import Inverter, battery_image, pv_image
from tests.integration.test_modbus_field_cases import ENABLE, LIMIT, ask, connected
from tests.integration.test_modbus_services import stage

ARMED = SetPointLimits(real=True, min_kw=0.0, max_kw=3.0, safe_kw=0.5)
EVERY_S = 0.05


class Obedient(Inverter):
    """An inverter of 5 kW in full sun that keeps its limit, unless it is told not to."""

    def __init__(self, **options):
        super().__init__(pv_image(power_w=5000), **options)
        self.excess_kw = 0.0
        self.obeys = True
        self.reads = 0

    def answer(self, unit, pdu):
        limit_kw = 5.0 * self.at(123, LIMIT) / 10_000 if self.at(123, ENABLE) == 1 else 5.0
        self.put(103, 14, round(1000 * ((limit_kw if self.obeys else 5.0) + self.excess_kw)))
        self.reads += pdu[0] == 3
        return super().answer(unit, pdu)

    @property
    def limits_kw(self):
        """Limits that were written, in order."""
        return [5.0 * words[0] / 10_000 for _, words in self.writes if len(words) > 1]


@asynccontextmanager
async def watching(gateway, *, ramp_s=60.0):
    """What is said of the devices of a gateway that tends and watches them."""
    gateway.simulated_s = None
    said = []
    watch = HardwareWatch(gateway.actuators, Troubles(), said.append, EVERY_S, ramp_s)

    async def tend():
        while True:
            await asyncio.sleep(EVERY_S)
            await gateway.tend()

    tasks = [asyncio.create_task(watch.run()), asyncio.create_task(tend())]
    try:
        yield said
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def watched(device, limits=ARMED, *, ramp_s=60.0, **options):
    """Gateway to a device that is watched, and what is said of it."""
    async with (
        connected(device, limits=limits, **options) as gateway,
        watching(gateway, ramp_s=ramp_s) as said,
    ):
        yield gateway, said


async def until(holds):
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it does not come to hold")


async def a_while(readings=12):
    await asyncio.sleep(readings * EVERY_S)


async def test_power_beyond_the_envelope_is_an_alarm_and_ends_at_the_safe_value():
    device = Obedient()
    async with watched(device) as (gateway, said):
        assert (await ask(gateway, 2.0)).ok
        await a_while(4)
        assert said == []
        device.excess_kw = 2.0
        await until(lambda: said)
        device.excess_kw = 0.0
        (alarm,) = said
        (actuator,) = gateway.actuators
        assert alarm == (
            f"alarm: {actuator} shows 4 kW, beyond its envelope of 0 to 3 kW, in 3 readings in a row: "
            "it goes to its safe value of 0.5 kW and takes no set-point before a new run"
        )
        await until(lambda: len(said) == 2)
        assert said[1].startswith("over: ")
        assert "shows 0.5 kW, which it may have, and stays at its safe value of 0.5 kW" in said[1]
        # Whatever comes, it was told once, written once, and stays.
        refused = await ask(gateway, 2.0)
        assert (refused.ok, refused.barred) == (False, True)
        assert (
            "is stopped: it showed 4 kW, beyond its envelope of 0 to 3 kW; start a new run" in refused.detail
        )
        await a_while()
        assert len(said) == 2
        assert device.limits_kw == [2.0, 0.5]
        assert await gateway.hand_back() == []
    assert device.limits_kw == [2.0, 0.5]


async def test_power_that_is_beyond_for_a_moment_or_a_little_is_no_alarm():
    device = Obedient()
    async with watched(device) as (gateway, said):
        assert (await ask(gateway, 3.0)).ok
        device.excess_kw = 0.2
        await a_while()
        for _ in range(3):
            device.excess_kw, device.reads = 2.0, 0
            await until(lambda: device.reads >= 2)
            device.excess_kw, device.reads = 0.0, 0
            await until(lambda: device.reads >= 2)
        assert said == []
        assert not gateway.actuators[0].stopped
    assert device.limits_kw[0] == 3.0


async def test_a_device_that_nobody_commanded_may_do_what_it_will():
    device = Obedient()
    async with watched(device) as (_, said):
        await a_while()
        assert device.reads > 5
    assert (said, device.writes) == ([], [])


async def test_a_device_that_is_only_observed_is_not_even_watched():
    device = Obedient()
    async with watched(device, msgspec.structs.replace(ARMED, armed=False)) as (_, said):
        await a_while()
    assert (said, device.writes, device.reads) == ([], [], 0)


async def test_a_device_on_its_way_down_from_beyond_has_time():
    device = Obedient()
    device.obeys = False
    async with watched(device) as (gateway, said):
        assert (await ask(gateway, 2.0)).ok
        await a_while()
        device.obeys = True
        await a_while(4)
        assert said == []
        device.obeys = False
        await until(lambda: said)
        assert "shows 5 kW, beyond its envelope of 0 to 3 kW" in said[0]


async def test_a_device_that_does_not_obey_its_safe_value_either_is_to_be_switched_off_by_hand():
    device = Obedient()
    async with watched(device, ramp_s=0.3) as (gateway, said):
        assert (await ask(gateway, 2.0)).ok
        await a_while(3)
        device.obeys = False
        await until(lambda: len(said) == 2)
        assert said[1].endswith(
            "shows 5 kW although its safe value of 0.5 kW stands in its registers: SWITCH IT OFF BY HAND"
        )
        await a_while()
        assert len(said) == 2
        device.obeys = True
        await until(lambda: len(said) == 3)
        assert said[2].startswith("over: ")


async def test_a_stop_that_the_registers_show_and_the_power_does_not_is_an_alarm():
    device = Obedient()
    async with watched(device, ramp_s=0.3) as (gateway, said):
        assert (await ask(gateway, 2.0)).ok
        device.obeys = False
        device.excess_kw = -2.5
        assert await gateway.stop("smoke") == []
        await until(lambda: said)
        assert "shows 2.5 kW although its safe value of 0.5 kW" in said[0]
        assert gateway.actuators[0].tripped == ""


async def test_a_gateway_that_is_started_again_goes_on_with_it(tmp_path):
    def record():
        return HardwareRecord(tmp_path / "hardware.json", pytest.fail)

    device = Obedient()
    async with connected(device, limits=ARMED, record=record()) as gateway:
        async with watching(gateway):
            assert (await ask(gateway, 2.0)).ok
            await a_while(3)
            device.excess_kw = 2.0
            await until(lambda: gateway.actuators[0].stopped)
        device.excess_kw = 0.0
        await gateway.close()
        device.put(123, LIMIT, 10_000)
        again = Gateway(gateway.prosumers, timeout_s=0.5, record=record())
        async with watching(again) as said:
            await until(lambda: said)
            assert "pv of home stays at its safe value: it showed 4 kW, beyond its envelope" in said[0]
            await until(lambda: device.at(123, LIMIT) == 1000)
            assert (await ask(again, 2.0)).barred
        await again.close()


async def test_a_device_that_falls_silent_is_lost_once_and_found_once():
    device = Obedient()
    async with watched(device) as (gateway, said):
        assert (await ask(gateway, 2.0)).ok
        device.silent.add(1)
        await until(lambda: said)
        (lost,) = said
        assert lost.startswith("alarm: armed device lost: pv of home: unit 1 at ")
        await a_while()
        device.silent.clear()
        await until(lambda: len(said) > 1)
        assert said[1].startswith(f"over: armed device answers again: {gateway.actuators[0]}, after ")
        await a_while()
    assert len(said) == 2


async def test_two_devices_are_watched_each_by_itself():
    tripped, other = Obedient(), Inverter(battery_image())
    async with watched(tripped) as (gateway, said), watched(other, kind="battery") as (second, quiet):
        assert (await ask(gateway, 2.0)).ok
        assert (await ask(second, 1.0)).ok
        await a_while(3)
        tripped.excess_kw = 2.0
        await until(lambda: said)
        assert (await ask(second, 0.5)).ok
        assert quiet == []


def let_act(fleet):
    fleet.advance(*(np.full((1, 2), value) for value in (1.0, 0.3, 4.0)), 60.0)


async def test_a_gateway_tells_at_once_what_is_beyond_or_lost_and_counts_it():
    limits = SetPointLimits(real=True, min_kw=-2.5, max_kw=2.5, revert_s=600.0)
    async with stage(MemoryBroker(), limits, watch_every_s=0.1) as (conductor, fleet):
        await conductor.step("measure", 0, pace=1.0)
        await conductor.ask("p0", 0, DeviceSetPoint(device="pv", power_kw=1.5))
        await conductor.ask("p1", 0, DeviceSetPoint(device="battery", power_kw=-2.0))
        await conductor.step("dispatch", 0, pace=1.0)
        let_act(fleet)
        await asyncio.sleep(0.5)

        async def said(words):
            async with asyncio.timeout(15.0), conductor.reported:
                await conductor.reported.wait_for(lambda: any(words in flag for flag in conductor.flags()))

        fleet.reboot("p0", "pv")
        let_act(fleet)
        await said("shows 4 kW, beyond its envelope of -2.5 to 2.5 kW")
        await asyncio.sleep(1.5)
        let_act(fleet)
        assert fleet.pv.p_kw[0] == 0.0
        await said("shows 0 kW, which it may have, and stays at its safe value of 0 kW")
        unit = fleet.unit("p1", "battery")
        unit.bank.failing[unit.row] = 11
        await said("alarm: armed device lost: battery of p1: ")
        unit.bank.failing.clear()
        await said("over: armed device answers again: battery of p1 (")
        traffic = conductor.done[-1].traffic
        assert (traffic.devices_tripped, traffic.devices_lost) == (1, 1)
        assert all(done.at_once for done in conductor.done if done.flags)
        assert float(unit.bank.get("704.WSet")[unit.row]) == -2000.0
