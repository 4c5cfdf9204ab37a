"""A battery whose profile says W where it means kW: its power is far beyond its envelope, unseen."""

import asyncio
import struct

import pytest

from broker.messages import DeviceSetPoint
from devices.endpoint import LiveProsumer, tcp
from devices.gateway.gateway import Gateway
from devices.limits import SetPointLimits
from tests.integration.plain_modbus import Registers, tcp_server
from tests.integration.test_modbus_beyond import watching

PROFILE = """
title = "a battery of one's own"
kind = "battery"
source = "this test"

[modbus]
read_function = 3

[quantities]
p_kw = "power"
soc = "soc"
capacity_kwh = "capacity"
rating_kw = "rating"
charge_kw = "rating"
discharge_kw = "rating"

[points]
power = { at = 0, type = "int16", unit = "W" }
soc = { at = 1, type = "uint16", unit = "%" }
capacity = { at = 2, type = "uint16", unit = "kWh" }
rating = { at = 3, type = "uint16", unit = "W" }
setting = { at = 4, type = "int16", unit = "W" , rw = true }

[[commands.set]]
writes = [{ setting = "power" }]

[[commands.release]]
writes = [{ setting = 0 }]
"""
ARMED = SetPointLimits(real=True, min_kw=-3.0, max_kw=3.0)


class Battery(Registers):
    """A battery of 5 kW that takes and tells its power in units of so many watts."""

    def __init__(self, watts):
        super().__init__({1: {0: 0, 1: 50, 2: 10, 3: 5000, 4: 0}, 9: {}})
        self.watts = watts
        self.power_w = 0

    def answer(self, unit, pdu):
        reply = super().answer(unit, pdu)
        if unit == 1:
            cells = self.units[1]
            (wanted,) = struct.unpack(">h", cells[4].to_bytes(2, "big"))
            self.power_w = max(-5000, min(5000, self.watts * wanted))
            (cells[0],) = struct.unpack(">H", struct.pack(">h", self.power_w // self.watts))
        return reply


@pytest.mark.parametrize("power_kw", [2.0, -2.0])
@pytest.mark.parametrize("watts", [1, 1000])
async def test_a_battery_in_kilowatts_that_is_taken_for_one_in_watts_is_an_alarm(tmp_path, watts, power_kw):
    (tmp_path / "own.toml").write_text(PROFILE)
    device = Battery(watts)
    async with tcp_server(device) as port:
        home = LiveProsumer(
            id="home",
            meter=tcp("127.0.0.1", port, 9, "sdm630"),
            battery=tcp("127.0.0.1", port, 1, "own"),
            battery_limits=ARMED,
        )
        gateway = Gateway([home], timeout_s=0.5, profiles=tmp_path)
        async with watching(gateway) as said:
            assert (await gateway.command("home", [DeviceSetPoint(device="battery", power_kw=power_kw)])).ok
            await asyncio.sleep(1.0)
        await gateway.close()
    alarms = [line for line in said if line.startswith("alarm: ")]
    assert len(alarms) == (watts == 1000)
    assert all("BEYOND ITS ENVELOPE: compare with its own display" in line for line in alarms)
    assert abs(device.power_w) == (5000 if watts == 1000 else 2000)


async def test_a_battery_that_is_full_stands_still_by_right(tmp_path):
    (tmp_path / "own.toml").write_text(PROFILE)
    device = Battery(1000)
    device.units[1][1] = 99
    async with tcp_server(device) as port:
        home = LiveProsumer(
            id="home",
            meter=tcp("127.0.0.1", port, 9, "sdm630"),
            battery=tcp("127.0.0.1", port, 1, "own"),
            battery_limits=ARMED,
        )
        gateway = Gateway([home], timeout_s=0.5, profiles=tmp_path)
        async with watching(gateway) as said:
            await gateway.command("home", [DeviceSetPoint(device="battery", power_kw=2.0)])
            await asyncio.sleep(0.6)
        await gateway.close()
    assert said == []
