"""Faults on the line: swallowed and delayed requests over real sockets, seen through the gateway."""

import time

import numpy as np
import pytest

from devices.emulation.fault_injector import Injector
from devices.emulation.fleet import EmulatedProsumer, Fleet
from devices.faults.fault import Fault
from devices.gateway.gateway import Gateway

PROSUMERS = [EmulatedProsumer(id=name, pv_kw=3.0) for name in ("sound", "struck", "other")]


@pytest.fixture
async def rig():
    fleet = Fleet(PROSUMERS)
    fleet.begin(np.full(3, 1.0), np.zeros(3), np.zeros(3))
    live = await fleet.start(apart={"struck"})
    gateway = Gateway(live.values(), timeout_s=0.3, retry_after_s=0.0)
    yield fleet, gateway, live
    await gateway.close()
    await fleet.stop()


def fault(kind, device="meter", size=0.0):
    return Fault(kind=kind, prosumer="struck", device=device, first=1, last=1, size=size)


async def test_the_struck_have_a_port_of_their_own(rig):
    _, gateway, live = rig
    ports = {name: prosumer.meter.link.port for name, prosumer in live.items()}
    assert ports["sound"] != ports["struck"] != ports["other"]
    assert [reading.p_kw for reading in await gateway.poll()] == pytest.approx([1.0] * 3)


async def test_a_silent_meter_times_out_and_its_inverter_answers(rig):
    fleet, gateway, _ = rig
    await gateway.poll()
    injector = Injector(fleet, [fault("silent")])
    injector.begin(1)
    readings = {reading.prosumer: reading for reading in await gateway.poll()}
    assert [readings[name].quality for name in ("sound", "struck", "other")] == ["good", "held", "good"]
    assert gateway.counts.errors == {"DeviceTimeout": 1}
    injector.begin(2)
    readings = {reading.prosumer: reading for reading in await gateway.poll()}
    assert readings["struck"].quality == "good"


async def test_a_slow_meter_answers_late_by_its_delay(rig):
    fleet, gateway, _ = rig
    await gateway.poll()
    Injector(fleet, [fault("slow", size=0.15)]).begin(1)
    began = time.perf_counter()
    readings = await gateway.poll(inverters=False)
    assert time.perf_counter() - began >= 0.15
    assert [reading.quality for reading in readings] == ["good"] * 3
    assert gateway.counts.errors == {}


async def test_a_server_that_is_gone_ends_the_connection_behind_the_proxy(rig):
    fleet, gateway, _ = rig
    await fleet.stop()
    readings = await gateway.poll()
    assert [reading.quality for reading in readings] == ["missing"] * 3
