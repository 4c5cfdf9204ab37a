"""Devices that answer in the place of others, as where unit ids are mixed up or two plugs swapped."""

from contextlib import asynccontextmanager

import pytest

from devices.endpoint import LiveProsumer, tcp
from devices.gateway.gateway import Gateway
from tests.integration.plain_modbus import Registers, tcp_server
from tests.integration.sunspec_images import chain, common, with_serial
from tests.integration.test_modbus_beyond import ARMED, Obedient, until, watched
from tests.integration.test_modbus_field_cases import ask
from tests.integration.test_sunspec_field_cases import meter_of


def meter(serial, import_wh):
    return with_serial(chain(common(), meter_of(203, 1000, import_wh=import_wh)), serial)


@asynccontextmanager
async def two_houses(meters, *, real=True):
    async with tcp_server(Registers(meters)) as port:
        homes = [
            LiveProsumer(id=f"house{n}", meter=tcp("127.0.0.1", port, n, "sunspec-meter"), real_meter=real)
            for n in meters
        ]
        gateway = Gateway(homes, timeout_s=0.5, hold_polls=0)
        try:
            yield gateway
        finally:
            await gateway.close()


@pytest.fixture(autouse=True)
def looks_each_time(monkeypatch):
    """Who answers is looked at before each reading, not once a minute."""
    monkeypatch.setattr("devices.client.modbus_port.CONSTANT_S", 0.0)


async def test_a_meter_in_the_place_of_another_is_not_settled_by():
    meters = {1: meter("M-1", 100_000), 2: meter("M-2", 100_300)}
    async with two_houses(meters) as gateway:
        assert [each.quality for each in await gateway.poll()] == ["good", "good"]
        meters[1], meters[2] = meters[2], meters[1]
        assert [each.quality for each in await gateway.poll()] == ["missing", "missing"]
        assert any(
            "tells the serial number M-2, and told M-1 when it was first read" in line
            for line in gateway.problems
        )
        meters[1], meters[2] = meters[2], meters[1]
        assert [(each.quality, each.import_kwh) for each in await gateway.poll()] == [
            ("good", 100.0),
            ("good", 100.3),
        ]


async def test_meters_that_tell_no_serial_number_are_believed():
    meters = {1: meter("", 100_000), 2: meter("", 100_300)}
    async with two_houses(meters) as gateway:
        await gateway.poll()
        meters[1], meters[2] = meters[2], meters[1]
        assert [each.quality for each in await gateway.poll()] == ["good", "good"]


async def test_armed_hardware_in_whose_place_another_answers_is_lost():
    device = Obedient()
    with_serial(device.cells, "A-1")
    async with watched(device, limits=ARMED) as (gateway, said):
        assert (await ask(gateway, 2.0)).ok
        writes = len(device.writes)
        with_serial(device.cells, "A-2")
        await until(lambda: said)
        assert "armed device lost" in said[0]
        assert "tells the serial number A-2, and told A-1" in said[0]
        assert len(device.writes) == writes
        with_serial(device.cells, "A-1")
        await until(lambda: len(said) > 1)
        assert "armed device answers again" in said[1]
