"""Devices that refuse long reads, holes in their maps, or one of two functions that do the same."""

from contextlib import asynccontextmanager

import pytest

from devices.client.connection import Connection
from devices.client.modbus_port import ModbusPort
from devices.client.unit import Unit
from devices.endpoint import tcp
from devices.errors import IllegalAddress, IllegalFunction, WrongUnit
from devices.limits import SetPointLimits
from tests.devices.link_faults import faulty_link
from tests.integration.plain_modbus import Registers
from tests.integration.sunspec_images import Inverter, address_of, pv_image

METER = """
title = "Meter with its registers far and wide"
kind = "meter"
source = "made up for this test"

[modbus]
max_gap = 40

[quantities]
p_kw = "power"
import_kwh = "import"
v_l1_v = ["fine_voltage", "voltage"]

[points]
power = { at = 10, type = "int32", unit = "W" }
voltage = { at = 30, type = "uint16", unit = "V" }
fine_voltage = { at = 31, type = "uint16", scale = 0.1, unit = "V" }
import = { at = 40, type = "uint32", unit = "Wh" }
"""
BATTERY = """
title = "Battery with a coil"
kind = "battery"
source = "made up for this test"

[quantities]
p_kw = "power"
soc = "charge"
rating_kw = "rating"

[points]
power = { at = 10, type = "int16", unit = "W" }
charge = { at = 11, type = "uint16", scale = 0.1, unit = "%" }
rating = { at = 13, type = "uint16", unit = "W" }
remote = { at = 20, type = "uint16", rw = true }
setting = { at = 21, type = "int16", unit = "W", rw = true }

[[commands.set]]
writes = [{ remote = 1, setting = "power" }]

[[commands.release]]
writes = [{ remote = 0 }]
"""
CELLS = {10: 0, 11: 1500, 30: 230, 31: 2304, 40: 1, 41: 0}


@asynccontextmanager
async def port(registers, folder, text="", profile="mine"):
    if text:
        (folder / f"{profile}.toml").write_text(text)
    async with faulty_link(registers) as link:
        connection = Connection(tcp("127.0.0.1", link.port, 1, profile).link, timeout_s=0.3)
        unit = Unit(connection, tcp("127.0.0.1", link.port, 1, profile), folder)
        try:
            yield link, ModbusPort(unit, real=True)
        finally:
            await connection.close()


def good(state):
    return (state["p_kw"], state["import_kwh"]) == (1.5, 65.536)


async def test_a_hole_between_points_is_read_round(tmp_path):
    registers = Registers({1: dict(CELLS)})
    async with port(registers, tmp_path, METER) as (_, meter):
        state = await meter.state()
        assert good(state)
        assert state["v_l1_v"] == 230.4
        before = len(registers.asked)
        assert good(await meter.state())
        # What was refused once is not asked for again.
        assert [count for *_, count in registers.asked[before:]] == [2, 1, 2]


async def test_a_point_in_a_hole_is_absent_and_another_one_stands_for_it(tmp_path):
    registers = Registers({1: {k: word for k, word in CELLS.items() if k != 31}})
    async with port(registers, tmp_path, METER) as (_, meter):
        state = await meter.state()
        assert good(state)
        assert state["v_l1_v"] == 230.0


@pytest.mark.parametrize("refuses_with", [2, 3])
async def test_a_device_that_refuses_long_reads_is_read_in_short_ones(tmp_path, refuses_with):
    registers = Registers({1: dict.fromkeys(range(60), 0) | CELLS})
    async with port(registers, tmp_path, METER) as (link, meter):
        link.longest_read, link.refuses_with = 10, refuses_with
        assert good(await meter.state())
        link.longest_read = 2
        assert good(await meter.state())


async def test_what_is_refused_altogether_is_an_error_each_time(tmp_path):
    async with port(Registers({1: {}}), tmp_path, METER) as (link, meter):
        for _ in range(2):
            with pytest.raises(IllegalAddress):
                await meter.state()
        link.registers.units[1].update(CELLS)
        assert good(await meter.state())


async def test_a_hole_is_not_believed_for_ever(tmp_path, monkeypatch):
    registers = Registers({1: {k: word for k, word in CELLS.items() if k != 31}})
    async with port(registers, tmp_path, METER) as (_, meter):
        assert (await meter.state())["v_l1_v"] == 230.0
        registers.units[1][31] = 2304
        monkeypatch.setattr("devices.client.register_access._BELIEVED_S", -1.0)
        assert (await meter.state())["v_l1_v"] == 230.0
        assert meter.unit._access.absent == set()


async def test_a_device_that_knows_the_other_read_function_alone_is_read_by_that(tmp_path):
    registers = Registers({1: dict.fromkeys(range(60), 0) | CELLS})
    async with port(registers, tmp_path, METER) as (link, meter):
        link.functions = {4}
        assert good(await meter.state())
        before = len(registers.asked)
        assert good(await meter.state())
        assert [function for _, function, *_ in registers.asked[before:]] == [4]
        link.functions = set()
        with pytest.raises(IllegalFunction):
            await meter.state()


LIMITS = SetPointLimits(real=True, min_kw=-3.0, max_kw=3.0)


async def set_battery(battery, power_kw=1.5):
    return await battery.set_power(power_kw, 0.0, LIMITS, 0.0)


@pytest.mark.parametrize(("known", "extra"), [({3, 6}, ""), ({3, 16}, "[modbus]\nwrite_function = 6\n")])
async def test_a_device_that_knows_the_other_write_function_alone_is_written_by_that(tmp_path, known, extra):
    cells = {10: 0, 11: 500, 13: 3000, 20: 0, 21: 0}
    registers = Registers({1: dict.fromkeys(range(40), 0) | cells})
    text = BATTERY.replace("[quantities]", f"{extra}[quantities]")
    async with port(registers, tmp_path, text) as (link, battery):
        link.functions = known
        assert (await set_battery(battery)).power_kw == 1.5
        assert [registers.units[1][k] for k in (20, 21)] == [1, 1500]
        written = [(address, word) for _, function, address, word in registers.asked if function == 6]
        # The power comes before what enables it.
        assert written == ([(21, 1500), (20, 1)] if 6 in known else [])


async def test_a_power_of_two_words_is_not_written_one_by_one(tmp_path):
    text = BATTERY.replace('setting = { at = 21, type = "int16"', 'setting = { at = 22, type = "int32"')
    registers = Registers({1: dict.fromkeys(range(40), 0) | {13: 3000}})
    async with port(registers, tmp_path, text) as (link, battery):
        link.functions = {3, 6}
        with pytest.raises(IllegalFunction):
            await set_battery(battery)
        assert [registers.units[1][k] for k in (22, 23)] == [0, 0]


async def test_an_optional_point_that_is_refused_does_not_keep_a_device_from_obeying(tmp_path):
    image = pv_image()
    ramp = address_of(image, 123, 8)
    device = Inverter({k: word for k, word in image.items() if k != ramp})
    async with port(device, tmp_path, profile="sunspec-pv") as (_, pv):
        assert (await pv.set_power(2.0, 60.0, LIMITS, 0.0)).revert_s == 60.0
        assert (device.at(123, 5), device.at(123, 9)) == (4000, 1)
        assert ramp not in device.cells


async def test_a_wrong_unit_is_said_whatever_is_read(tmp_path):
    async with port(Registers({1: dict(CELLS)}), tmp_path, METER) as (link, meter):
        link.answers_as[1] = 3
        with pytest.raises(WrongUnit):
            await meter.state()


COIL = BATTERY.replace(
    'remote = { at = 20, type = "uint16", rw = true }', 'remote = { at = 20, type = "coil", rw = true }'
)


class WithCoils(Registers):
    """Registers and coils, which have addresses of their own."""

    def __init__(self, cells):
        super().__init__({1: cells})
        self.coils = {}

    def answer(self, unit, pdu):
        if pdu[0] not in (1, 5):
            return super().answer(unit, pdu)
        address, count = int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
        if pdu[0] == 5:
            self.coils[address] = count == 0xFF00
            return pdu
        bits = sum(bool(self.coils.get(address + k)) << k for k in range(count))
        return bytes([1, (count + 7) // 8]) + bits.to_bytes((count + 7) // 8, "little")


async def test_coils_are_written_and_read_back(tmp_path):
    registers = WithCoils(dict.fromkeys(range(40), 0) | {13: 3000})
    async with port(registers, tmp_path, COIL) as (link, battery):
        link.functions = {1, 3, 5, 16}
        assert (await set_battery(battery)).power_kw == 1.5
        assert registers.coils == {20: True}
        assert (registers.units[1][20], registers.units[1][21]) == (0, 1500)
        await battery.release(0.0)
        assert registers.coils == {20: False}
