"""Emulated devices over real sockets, read by clients that know nothing of this project."""

import asyncio
import socket
import struct
from contextlib import contextmanager

import numpy as np
import pytest
from sunspec2.modbus.client import SunSpecModbusClientDeviceTCP

from broker.messages import DeviceSetPoint
from devices.emulation.fleet import EmulatedProsumer, Fleet
from devices.errors import ServerError
from devices.gateway.gateway import Gateway

PROSUMERS = (
    EmulatedProsumer(
        id="both",
        nominal_v=120.0,
        import_kwh=1234.5,
        pv_kw=6.0,
        battery_kw=4.0,
        battery_kwh=10.0,
        battery_efficiency=1.0,
    ),
    EmulatedProsumer(id="plain", phases=(3,)),
    EmulatedProsumer(id="sunspec", meter="sunspec-meter", phases=(1, 2), pv_kw=3.0),
)


def begun(prosumers=PROSUMERS, load_kw=1.5, pv_kw=2.0):
    fleet = Fleet(prosumers)
    size = len(prosumers)
    fleet.begin(np.full(size, load_kw), np.full(size, 0.5), np.full(size, pv_kw))
    return fleet


def advance(fleet, load_kw=1.5, pv_kw=2.0, dt_s=300.0, steps=3):
    shape = (steps, len(fleet.prosumers))
    fleet.advance(np.full(shape, load_kw), np.full(shape, 0.5), np.full(shape, pv_kw), dt_s)


def ask(connection, unit, pdu):
    """Answer of a Modbus TCP server to one request, by the frame layout of the standard."""
    connection.sendall(struct.pack(">HHHB", 7, 0, len(pdu) + 1, unit) + pdu)
    header = connection.recv(7, socket.MSG_WAITALL)
    transaction, protocol, length, answered = struct.unpack(">HHHB", header)
    assert (transaction, protocol, answered) == (7, 0, unit)
    return connection.recv(length - 1, socket.MSG_WAITALL)


def read_meter(endpoint):
    """Values of an SDM630 by address, read without any Modbus library."""
    with socket.create_connection((endpoint.link.place, endpoint.link.port), timeout=5.0) as connection:
        reply = ask(connection, endpoint.unit, struct.pack(">BHH", 4, 0, 80))
        assert reply[:2] == bytes((4, 160))
        low = struct.unpack(">40f", reply[2:])
        values = {2 * k: value for k, value in enumerate(low)}
        reply = ask(connection, endpoint.unit, struct.pack(">BHH", 4, 0x156, 4))
        values[0x156], values[0x158] = struct.unpack(">2f", reply[2:])
    return values


async def test_meter_is_read_by_its_published_addresses():
    fleet = begun()
    async with fleet.serving() as live:
        advance(fleet)
        fleet.set_voltage([0.97, 1.0, 1.02])
        values = await asyncio.to_thread(read_meter, live["both"].meter)
        single = await asyncio.to_thread(read_meter, live["plain"].meter)
    assert values[0x00] == values[0x02] == values[0x04] == pytest.approx(0.97 * 120.0)
    assert values[0x34] == pytest.approx(-500.0)
    assert values[0x0C] == pytest.approx(-500.0 / 3.0)
    assert values[0x3C] == pytest.approx(500.0)
    assert values[0x46] == pytest.approx(60.0)
    assert values[0x48] == pytest.approx(1234.5)
    assert values[0x4A] == pytest.approx(0.125)
    assert values[0x4C] == pytest.approx(0.125)
    assert values[0x156] == pytest.approx(1234.625)
    assert (single[0x00], single[0x04]) == (0.0, pytest.approx(230.0))
    assert single[0x34] == single[0x10] == pytest.approx(1500.0)
    assert single[0x0A] == pytest.approx(np.hypot(1500.0, 500.0) / 230.0)


@pytest.mark.parametrize(
    ("unit", "pdu", "code"),
    [
        (2, struct.pack(">BHH", 4, 40000, 2), 1),
        (1, struct.pack(">BHH", 4, 0x15A, 2), 2),
        (1, struct.pack(">BHHBH", 16, 0, 1, 2, 5), 1),
        (2, struct.pack(">BHH", 3, 39990, 2), 2),
        (2, struct.pack(">BHHBH", 16, 40000, 1, 2, 5), 2),
        (99, struct.pack(">BHH", 4, 0, 2), 4),
    ],
    ids=["function", "address", "write to a meter", "below the base", "read-only", "unknown unit"],
)
async def test_wrong_requests_get_the_exceptions_of_the_standard(unit, pdu, code):
    def request(endpoint):
        with socket.create_connection((endpoint.link.place, endpoint.link.port), timeout=5.0) as connection:
            return ask(connection, unit, pdu)

    async with begun().serving() as live:
        assert await asyncio.to_thread(request, live["both"].meter) == bytes((pdu[0] | 0x80, code))


@contextmanager
def scanned(endpoint):
    device = SunSpecModbusClientDeviceTCP(
        slave_id=endpoint.unit, ipaddr=endpoint.link.place, ipport=endpoint.link.port, timeout=5.0
    )
    device.connect()
    try:
        device.scan(connect=False)
        yield device
    finally:
        device.disconnect()


def one(device, model_id):
    (model,) = device.models[model_id]
    assert not model.error_info
    return model


async def test_independent_client_scans_every_kind_of_device():
    fleet = begun()

    def scan(endpoints):
        found = []
        for endpoint in endpoints:
            with scanned(endpoint) as device:
                found.append(sorted(key for key in device.models if isinstance(key, int)))
                for model_id in found[-1]:
                    one(device, model_id)
        return found

    async with fleet.serving() as live:
        kinds = [live["both"].pv, live["both"].battery, live["sunspec"].meter]
        assert await asyncio.to_thread(scan, kinds) == [
            [1, 103, 120, 121, 123],
            [1, 120, 121, 124, 701, 704, 713],
            [1, 203],
        ]


async def test_independent_client_reads_and_limits_the_inverter():
    fleet = begun()

    def limit(endpoint):
        with scanned(endpoint) as device:
            assert one(device, 103).points["W"].cvalue == 2000
            assert one(device, 120).points["WRtg"].cvalue == 6000
            controls = one(device, 123)
            controls.points["WMaxLimPct"].cvalue = 12.5
            controls.points["WMaxLim_Ena"].value = 1
            controls.write()
            controls.read()
            assert controls.points["WMaxLimPct"].cvalue == 12.5
            assert controls.points["WMaxLimPct_WinTms"].value is None

    async with fleet.serving() as live:
        await asyncio.to_thread(limit, live["both"].pv)
        advance(fleet)
        assert fleet.pv.p_kw[0] == pytest.approx(0.75)


async def test_independent_client_reads_and_sets_the_battery():
    fleet = begun()

    def charge(endpoint):
        with scanned(endpoint) as device:
            assert one(device, 713).points["SoC"].cvalue == 50.0
            assert one(device, 124).points["WChaMax"].cvalue == 4000
            controls = one(device, 704)
            controls.points["WSet"].cvalue = -1500
            controls.points["WSetMod"].value = 1
            controls.points["WSetRvrtTms"].value = 900
            controls.write()
            controls.points["WSetEna"].value = 1
            controls.write()

    def see(endpoint):
        with scanned(endpoint) as device:
            return one(device, 701).points["W"].cvalue, one(device, 713).points["SoC"].cvalue

    async with fleet.serving() as live:
        await asyncio.to_thread(charge, live["both"].battery)
        advance(fleet, steps=2)
        power_w, soc = await asyncio.to_thread(see, live["both"].battery)
        assert power_w == -1500
        assert soc == pytest.approx(50.0 + 100.0 * 1.5 * 600.0 / 3600.0 / 10.0, abs=0.02)
        advance(fleet, steps=3)
        assert (await asyncio.to_thread(see, live["both"].battery))[0] == 0


async def test_gateway_sees_the_same_through_either_meter():
    fleet = begun((PROSUMERS[2], EmulatedProsumer(id="twin", phases=(1, 2), pv_kw=3.0)))
    async with fleet.serving() as live:
        advance(fleet, steps=7)
        fleet.set_voltage([0.98, 0.98])
        gateway = Gateway(live.values())
        sunspec, flat = await gateway.poll()
        await gateway.close()
    assert len(sunspec.v_v) == len(flat.v_v) == 2
    for field in ("p_kw", "q_kvar", "v_pu", "import_kwh", "export_kwh", "import_kvarh", "export_kvarh"):
        assert getattr(sunspec, field) == pytest.approx(getattr(flat, field), abs=1e-3), field


async def test_busy_port_is_named_and_nothing_is_left_open():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        fleet = Fleet([EmulatedProsumer(id=name) for name in "ab"])
        with pytest.raises(ServerError, match=f"127.0.0.1:{port}"):
            await fleet.start("127.0.0.1", ports=[0, port], units_per_port=1)
    await fleet.stop()


async def test_fleet_can_be_stopped_and_started_again():
    fleet = begun()
    async with fleet.serving() as live:
        first = live["both"].meter
    with pytest.raises(OSError, match=r"refused|reset|closed"):
        await asyncio.to_thread(read_meter, first)
    async with fleet.serving() as live:
        assert (await asyncio.to_thread(read_meter, live["both"].meter))[0x34] == pytest.approx(-500.0)


async def test_many_units_share_few_ports():
    fleet = begun([EmulatedProsumer(id=f"p{k}", pv_kw=5.0) for k in range(170)])
    async with fleet.serving() as live:
        assert len({prosumer.meter.link.port for prosumer in live.values()}) == 2
        assert all(prosumer.meter.link.port == prosumer.pv.link.port for prosumer in live.values())
        gateway = Gateway(live.values(), timeout_s=5.0)
        await gateway.poll()
        readings = await gateway.poll()
        outcomes = await asyncio.gather(
            *(gateway.command(name, [DeviceSetPoint(device="pv", power_kw=1.0)], 900.0) for name in live)
        )
        await gateway.close()
    assert [reading.p_kw for reading in readings] == pytest.approx([-0.5] * 170)
    assert all(outcome.ok for outcome in outcomes)
    assert gateway.counts.errors == {}
