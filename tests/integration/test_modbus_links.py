"""The gateway on TCP and serial links against servers written from the specification alone."""

import asyncio
import struct

import pytest

from broker.messages import DeviceSetPoint
from devices.endpoint import LiveProsumer, parse_endpoint
from devices.errors import MapError
from devices.gateway.gateway import Gateway
from devices.registers.profiles import load_profile
from tests.devices.link_faults import faulty_link
from tests.integration import plain_modbus as plain

MINE = """
title = "Meter with its low word first, in tenths and hundredths"
kind = "meter"
source = "made up for this test"

[modbus]
read_function = 3
order = "low first"
max_registers = 10
max_gap = 4

[quantities]
p_kw = "power"
v_l1_v = "voltage"
import_kwh = "import"
export_kwh = "export"

# Counts power positive on export.
[points]
voltage = { at = 100, type = "uint16", scale = 0.1, unit = "V" }
power = { at = 102, type = "int32", scale = 0.1, sign = -1, unit = "W" }
import = { at = 120, type = "uint32", scale = 0.01, unit = "kWh" }
export = { at = 122, type = "uint64", scale = 10.0, unit = "Wh" }
"""
INVERTER = """
title = "Battery of another maker, commanded one register at a time"
kind = "battery"
source = "made up for this test"

[modbus]
write_function = 6

[quantities]
p_kw = "power"
soc = "charge"
capacity_kwh = "capacity"
rating_kw = "rating"

[points]
power = { at = 10, type = "int16", unit = "W" }
charge = { at = 11, type = "uint16", scale = 0.1, unit = "%" }
capacity = { at = 12, type = "uint16", scale = 0.1, unit = "kWh", refresh = "once" }
rating = { at = 13, type = "uint16", unit = "W", refresh = "once" }
setting = { at = 20, type = "int16", unit = "W", rw = true, limits = [-3000.0, 3000.0] }
remote = { at = 21, type = "uint16", rw = true }
seconds = { at = 22, type = "uint16", unit = "s", rw = true }

[[commands.set]]
writes = [{ setting = "power", seconds = "revert" }, { remote = 1 }]

[[commands.release]]
writes = [{ remote = 0 }]
"""


def float_words(value):
    return struct.unpack(">2H", struct.pack(">f", value))


def sdm630(p_w=1234.5, v=230.2, import_kwh=4567.25, export_kwh=12.5):
    """Registers of an SDM630 by the table in its manual."""
    cells = dict.fromkeys(range(0x15A), 0)
    for address, value in ((0x00, v), (0x34, p_w), (0x48, import_kwh), (0x4A, export_kwh)):
        cells[address], cells[address + 1] = float_words(value)
    return cells


def prosumer(name, link, unit, profile="sdm630", **others):
    return LiveProsumer(id=name, meter=parse_endpoint(f"{link}/{unit}", profile), **others)


async def once(prosumers, **options):
    gateway = Gateway(prosumers, **options)
    try:
        return await gateway.poll(), gateway
    finally:
        await gateway.close()


async def test_an_sdm630_is_read_by_its_manual():
    async with plain.tcp_server(plain.Registers({7: sdm630()})) as port:
        (reading,), _ = await once([prosumer("a", f"tcp://127.0.0.1:{port}", 7)])
    assert reading.p_kw == pytest.approx(1.2345)
    assert reading.v_pu == pytest.approx(230.2 / 230.0)
    assert (reading.import_kwh, reading.export_kwh) == (4567.25, 12.5)


async def test_a_meter_of_ones_own_is_one_file_more(tmp_path):
    (tmp_path / "mine.toml").write_text(MINE)
    cells = {100: 2301, 101: 0, 102: 0xD8F0, 103: 0xFFFF, 120: 0x86A1, 121: 0x0001}
    cells |= {122: 250, 123: 0, 124: 0, 125: 0}
    registers = plain.Registers({1: cells})
    async with plain.tcp_server(registers) as port:
        home = prosumer("a", f"tcp://127.0.0.1:{port}", 1, "mine")
        (reading,), _ = await once([home], profiles=tmp_path)
    assert reading.p_kw == pytest.approx(1.0)
    assert reading.v_pu == pytest.approx(230.1 / 230.0)
    assert reading.import_kwh == pytest.approx(1000.01)
    assert reading.export_kwh == 2.5
    assert [(function, address, count) for _, function, address, count in registers.asked] == [
        (3, 100, 4),
        (3, 120, 6),
    ]


async def test_an_inverter_of_ones_own_is_commanded_by_its_file(tmp_path):
    (tmp_path / "mine.toml").write_text(INVERTER)
    battery = {10: 0, 11: 500, 12: 100, 13: 3000, 20: 0, 21: 0, 22: 0}
    async with plain.tcp_server(plain.Registers({1: sdm630(), 2: battery})) as port:
        link = f"tcp://127.0.0.1:{port}"
        home = prosumer("a", link, 1, battery=parse_endpoint(f"{link}/2", "mine"))
        gateway = Gateway([home], profiles=tmp_path)
        (reading,) = await gateway.poll()
        (state,) = reading.devices
        assert (state.soc, state.min_kw, state.max_kw) == (0.5, -3.0, 3.0)
        outcome = await gateway.command("a", [DeviceSetPoint(device="battery", power_kw=-1.5)], 600.0)
        assert outcome.ok, outcome.detail
        assert (battery[20], battery[21], battery[22]) == (0x10000 - 1500, 1, 600)
        assert (await gateway.command("a", [DeviceSetPoint(device="battery", power_kw=None)])).ok
        assert battery[21] == 0
        await gateway.close()


@pytest.mark.parametrize("scheme", ["rtu", "rtu+tcp"])
async def test_many_units_share_a_serial_line(scheme):
    registers = plain.Registers({unit: sdm630(p_w=100.0 * unit) for unit in range(1, 6)})
    line = plain.serial_line if scheme == "rtu" else plain.serial_over_tcp
    async with line(registers) as place:
        link = f"rtu://{place}" if scheme == "rtu" else f"rtu+tcp://127.0.0.1:{place}"
        readings, gateway = await once([prosumer(f"p{unit}", link, unit) for unit in range(1, 6)])
    assert gateway.problems == []
    assert [reading.p_kw for reading in readings] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])


async def test_an_inverter_on_a_serial_line_is_commanded_and_read_back(tmp_path):
    (tmp_path / "mine.toml").write_text(INVERTER.replace("write_function = 6", "write_function = 16"))
    battery = {10: 0, 11: 500, 12: 100, 13: 3000, 20: 0, 21: 0, 22: 0}
    async with plain.serial_line(plain.Registers({1: sdm630(), 2: battery})) as path:
        home = prosumer("a", f"rtu://{path}", 1, battery=parse_endpoint(f"rtu://{path}/2?baud=19200", "mine"))
        assert home.battery.link.baud == 19200
        home = prosumer("a", f"rtu://{path}", 1, battery=parse_endpoint(f"rtu://{path}/2", "mine"))
        gateway = Gateway([home], profiles=tmp_path)
        outcome = await gateway.command("a", [DeviceSetPoint(device="battery", power_kw=2.0)], 600.0)
        await gateway.close()
    assert outcome.ok, outcome.detail
    assert (battery[20], battery[21]) == (2000, 1)


async def test_a_serial_port_that_does_not_exist_is_a_device_that_cannot_be_reached():
    (reading,), gateway = await once([prosumer("a", "rtu:///dev/nosuch", 1)])
    assert reading.quality == "missing"
    assert "/dev/nosuch" in gateway.problems[0]
    assert gateway.counts.errors == {"DeviceUnreachable": 1}


async def test_a_dead_unit_costs_the_others_on_its_line_no_reading_and_other_lines_no_time():
    shared = plain.Registers({unit: sdm630(p_w=100.0 * unit) for unit in range(1, 6)}, silent={2})
    other = plain.Registers({1: sdm630()})
    async with plain.tcp_server(shared) as port, plain.tcp_server(other) as far:
        gateway = Gateway(
            [
                *(prosumer(f"p{unit}", f"tcp://127.0.0.1:{port}", unit) for unit in range(1, 6)),
                prosumer("far", f"tcp://127.0.0.1:{far}", 1),
            ],
            timeout_s=0.3,
            retry_after_s=60.0,
        )
        loop = asyncio.get_running_loop()
        began = loop.time()
        readings = await gateway.poll()
        first_s = loop.time() - began
        assert [reading.quality for reading in readings] == [
            "good",
            "missing",
            "good",
            "good",
            "good",
            "good",
        ]
        assert 0.3 <= first_s < 0.6
        began = loop.time()
        readings = await gateway.poll()
        assert [reading.quality for reading in readings] == [
            "good",
            "missing",
            "good",
            "good",
            "good",
            "good",
        ]
        assert loop.time() - began < 0.2
        assert sum(unit == 2 for unit, *_ in shared.asked) == 1
        assert "left alone" in gateway.problems[0]
        await gateway.close()


async def test_a_unit_that_comes_back_is_read_again_after_its_pause():
    registers = plain.Registers({1: sdm630(), 2: sdm630()}, silent={2})
    async with plain.tcp_server(registers) as port:
        link = f"tcp://127.0.0.1:{port}"
        gateway = Gateway([prosumer("a", link, 1), prosumer("b", link, 2)], timeout_s=0.1, retry_after_s=0.2)
        assert [reading.quality for reading in await gateway.poll()] == ["good", "missing"]
        registers.silent.clear()
        assert [reading.quality for reading in await gateway.poll()] == ["good", "missing"]
        await asyncio.sleep(0.25)
        assert [reading.quality for reading in await gateway.poll()] == ["good", "good"]
        await gateway.close()


async def test_a_poll_ends_in_time_and_what_it_did_not_reach_is_held():
    registers = plain.Registers({unit: sdm630() for unit in range(1, 9)})
    async with plain.tcp_server(registers) as port:
        homes = [prosumer(f"p{unit}", f"tcp://127.0.0.1:{port}", unit) for unit in range(1, 9)]
        gateway = Gateway(homes, timeout_s=0.2, poll_limit_s=0.3, retry_after_s=60.0)
        assert {reading.quality for reading in await gateway.poll()} == {"good"}
        registers.silent.update({1, 2, 3})
        loop = asyncio.get_running_loop()
        began = loop.time()
        readings = await gateway.poll()
        assert loop.time() - began < 0.4
        assert [reading.quality for reading in readings] == ["held"] * 8
        assert all(reading.read_at is not None for reading in readings)
        assert any("were not read within 0.3 s" in problem for problem in gateway.problems)
        await gateway.close()


async def test_a_real_meter_that_was_away_for_a_moment_is_read_once_more_within_the_poll():
    async with faulty_link(plain.Registers({1: sdm630(), 2: sdm630()})) as link:
        place = f"tcp://127.0.0.1:{link.port}"
        homes = [prosumer("real", place, 1, real_meter=True), prosumer("emulated", place, 2)]
        gateway = Gateway(homes, timeout_s=0.2)
        assert [reading.quality for reading in await gateway.poll()] == ["good", "good"]
        await link.stop()
        poll = asyncio.create_task(gateway.poll())
        await asyncio.sleep(0.5)
        await link.start()
        assert [reading.quality for reading in await poll] == ["good", "held"]
        assert len(gateway.problems) == 1
        # One that stays away costs no more time than that.
        await link.stop()
        assert [reading.quality for reading in await gateway.poll()] == ["held", "held"]
        assert len(gateway.problems) == 2
        await gateway.close()


def test_a_profile_that_does_not_exist_is_said_at_once():
    with pytest.raises(MapError, match="no profile 'nosuch'"):
        Gateway([prosumer("a", "tcp://127.0.0.1:1", 1, "nosuch")])
    assert load_profile("sdm630").kind == "meter"
