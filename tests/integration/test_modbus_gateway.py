"""The gateway against devices that work, refuse, fall silent or vanish, over real sockets."""

import asyncio
from contextlib import asynccontextmanager

import numpy as np
import pytest

from broker.messages import DeviceSetPoint
from devices.client.connection import Connection
from devices.emulation.fleet import EmulatedProsumer, Fleet
from devices.endpoint import Link, LiveProsumer, tcp
from devices.errors import (
    DeviceBusy,
    DeviceFailure,
    DeviceRefused,
    DeviceTimeout,
    DeviceUnreachable,
    GatewayNoResponse,
    IllegalAddress,
    IllegalFunction,
)
from devices.gateway.gateway import Gateway

BOTH = EmulatedProsumer(
    id="both", pv_kw=6.0, battery_kw=4.0, battery_kwh=10.0, battery_efficiency=0.9, battery_soc=0.05
)
OTHER = EmulatedProsumer(id="other", pv_kw=3.0)


@asynccontextmanager
async def running(*prosumers, **options):
    """Fleet in a steady state, where its devices are, and a gateway to them."""
    fleet = Fleet(prosumers)
    size = len(prosumers)
    fleet.begin(np.full(size, 1.0), np.zeros(size), np.full(size, 2.0))
    async with fleet.serving() as live:
        gateway = Gateway(live.values(), **options)
        try:
            yield fleet, live, gateway
        finally:
            await gateway.close()


def advance(fleet, steps=3):
    shape = (steps, len(fleet.prosumers))
    fleet.advance(np.full(shape, 1.0), np.zeros(shape), np.full(shape, 2.0), 300.0)


@asynccontextmanager
async def black_hole():
    """Port that accepts connections and never answers."""
    opened = []

    async def swallow(reader, writer):
        opened.append(writer)
        while await reader.read(1000):
            pass

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in opened:
            writer.close()
        await asyncio.sleep(0.01)


async def test_reading_tells_what_each_device_can_do():
    async with running(BOTH, interval_s=900.0) as (_, _, gateway):
        (reading,) = await gateway.poll()
    pv, battery = reading.devices
    assert (reading.quality, reading.p_kw, reading.v_pu) == ("good", -1.0, 1.0)
    assert (pv.device, pv.p_kw, pv.min_kw, pv.max_kw) == ("pv", 2.0, 0.0, 6.0)
    assert (battery.p_kw, battery.soc, battery.min_kw) == (0.0, 0.05, -4.0)
    assert battery.max_kw == pytest.approx(0.05 * 10.0 * 0.9 / 0.25)


async def test_commands_are_written_read_back_and_followed():
    async with running(BOTH) as (fleet, _, gateway):
        outcome = await gateway.command(
            "both",
            [DeviceSetPoint(device="pv", power_kw=0.75), DeviceSetPoint(device="battery", power_kw=-1.5)],
            valid_s=900.0,
        )
        assert outcome.ok
        advance(fleet)
        (reading,) = await gateway.poll()
        assert [state.p_kw for state in reading.devices] == [0.75, -1.5]
        advance(fleet)
        (reading,) = await gateway.poll()
        assert [state.p_kw for state in reading.devices] == [2.0, 0.0]


async def test_limits_are_lifted():
    async with running(BOTH) as (fleet, _, gateway):
        for power_kw in (0.5, None):
            devices = [DeviceSetPoint(device=device, power_kw=power_kw) for device in ("pv", "battery")]
            assert (await gateway.command("both", devices)).ok
        advance(fleet)
        assert fleet.pv.p_kw[0] == pytest.approx(2.0)
        assert fleet.battery.p_kw[0] == 0.0


async def test_what_is_lifted_already_is_not_written_again():
    async with running(BOTH) as (_, _, gateway):
        lift = [DeviceSetPoint(device=device, power_kw=None) for device in ("pv", "battery")]
        assert (await gateway.command("both", lift)).ok
        assert gateway.counts.writes == 0
        hold = [DeviceSetPoint(device="pv", power_kw=1.0)]
        for _ in range(2):
            assert (await gateway.command("both", hold, 900.0)).ok
        assert gateway.counts.writes == 2


async def test_meters_can_be_read_alone():
    async with running(BOTH) as (_, _, gateway):
        (reading,) = await gateway.poll(inverters=False)
        assert (reading.quality, reading.devices) == ("good", ())
        assert gateway.counts.reads == 1


async def test_a_silent_device_is_held_then_missing_and_never_zero():
    async with running(BOTH, OTHER, hold_polls=2) as (fleet, _, gateway):
        await gateway.poll()
        for role in ("meter", "battery"):
            unit = fleet.unit("both", role)
            unit.bank.failing[unit.row] = 11
        seen = [await gateway.poll() for _ in range(4)]
        assert [both.quality for both, _ in seen] == ["held", "held", "missing", "missing"]
        assert [both.p_kw for both, _ in seen] == [-1.0, -1.0, None, None]
        assert [both.devices[1].quality for both, _ in seen] == ["held", "held", "missing", "missing"]
        assert [both.devices[1].max_kw is None for both, _ in seen] == [False, False, True, True]
        assert (
            {other.quality for _, other in seen} == {both.devices[0].quality for both, _ in seen} == {"good"}
        )
        assert len(gateway.problems) == 2
        assert gateway.counts.errors == {"GatewayNoResponse": 8}
        fleet.unit("both", "meter").bank.failing.clear()
        assert (await gateway.poll())[0].quality == "good"


async def test_a_command_that_does_not_take_is_not_acknowledged():
    async with running(BOTH) as (fleet, _, gateway):
        unit = fleet.unit("both", "pv")
        unit.bank.losing_writes.add(unit.row)
        devices = [DeviceSetPoint(device="pv", power_kw=1.0), DeviceSetPoint(device="battery", power_kw=0.2)]
        outcome = await gateway.command("both", devices)
        assert not outcome.ok
        assert "123.WMaxLimPct" in outcome.detail
        assert "battery" not in outcome.detail
        advance(fleet)
        assert fleet.pv.p_kw[0] == 2.0
        assert fleet.battery.p_kw[0] == pytest.approx(0.2)


async def test_a_device_that_does_not_exist_cannot_be_commanded():
    async with running(OTHER) as (_, _, gateway):
        outcome = await gateway.command("other", [DeviceSetPoint(device="battery", power_kw=1.0)])
    assert not outcome.ok
    assert "no such device" in outcome.detail


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (1, IllegalFunction),
        (2, IllegalAddress),
        (4, DeviceFailure),
        (6, DeviceBusy),
        (11, GatewayNoResponse),
        (8, DeviceRefused),
    ],
)
async def test_exceptions_are_told_apart(code, error):
    async with running(OTHER) as (fleet, live, _):
        unit = fleet.unit("other", "meter")
        unit.bank.failing[unit.row] = code
        meter = live["other"].meter
        connection = Connection(meter.link)
        with pytest.raises(error) as caught:
            await connection.read(meter.unit, 0, 2, 4)
        await connection.close()
    assert type(caught.value) is error
    assert f"unit {meter.unit} at {meter.link}" in str(caught.value)
    assert connection.counts.errors == {error.__name__: 1}


async def test_unknown_unit_and_address():
    async with running(OTHER) as (_, live, _):
        meter = live["other"].meter
        connection = Connection(meter.link)
        with pytest.raises(DeviceFailure):
            await connection.read(200, 0, 2, 4)
        with pytest.raises(IllegalAddress):
            await connection.write(live["other"].pv.unit, 100, [1])
        assert len(await connection.read(meter.unit, 0, 80, 4)) == 160
        await connection.close()


async def test_no_answer_is_a_time_out_and_later_requests_do_not_wait():
    async with black_hole() as port:
        connection = Connection(Link("tcp", "127.0.0.1", port), timeout_s=0.1, retry_after_s=60.0)
        for unit in range(1, 4):
            with pytest.raises(DeviceTimeout):
                await connection.read(unit, 0, 2)
        loop = asyncio.get_running_loop()
        before = loop.time()
        for _ in range(50):
            with pytest.raises(DeviceUnreachable):
                await connection.read(1, 0, 2)
        assert loop.time() - before < 0.1
        await connection.close()


async def test_a_dead_port_does_not_hold_up_the_others():
    async with black_hole() as port, running(BOTH) as (_, live, _):
        dead = [LiveProsumer(id=f"dead{k}", meter=tcp("127.0.0.1", port, k, "sdm630")) for k in range(1, 40)]
        gateway = Gateway([*dead, *live.values()], timeout_s=0.2)
        readings = await gateway.poll()
        await gateway.close()
    assert [reading.quality for reading in readings] == ["missing"] * 39 + ["good"]
    assert gateway.counts.errors["DeviceTimeout"] == 3
    assert gateway.counts.errors["DeviceUnreachable"] == 36


async def test_a_device_that_comes_back_is_read_again():
    fleet = Fleet([OTHER])
    live = await fleet.start()
    port = live["other"].meter.link.port
    gateway = Gateway(live.values(), timeout_s=0.2, retry_after_s=0.0)
    try:
        assert (await gateway.poll())[0].quality == "good"
        await fleet.stop()
        assert (await gateway.poll())[0].quality == "held"
        await fleet.start(ports=[port])
        assert (await gateway.poll())[0].quality == "good"
    finally:
        await gateway.close()
        await fleet.stop()
    assert gateway.problems == []


async def test_a_cancelled_request_does_not_spoil_the_next():
    meters = [EmulatedProsumer(id=f"p{k}", import_kwh=float(k)) for k in range(20)]
    async with running(*meters) as (_, _, gateway):
        for delay in range(5):
            poll = asyncio.create_task(gateway.poll())
            await asyncio.sleep(0.002 * delay)
            poll.cancel()
            await asyncio.gather(poll, return_exceptions=True)
        readings = await gateway.poll()
    assert [reading.import_kwh for reading in readings] == list(range(20))
