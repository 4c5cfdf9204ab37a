"""Flexible loads behind Modbus that take the most that they may draw, and tell their state."""

from contextlib import asynccontextmanager

import pytest

from broker.messages import DeviceSetPoint
from devices.endpoint import LiveProsumer, parse_endpoint, tcp
from devices.gateway.gateway import Gateway
from devices.limits import SetPointLimits
from tests.integration import plain_modbus as plain

HEAT_PUMP = """
title = "Heat pump that counts what it draws as positive"
kind = "load"
source = "made up for this test"

[quantities]
p_kw = "power"
rating_kw = "rating"

[points]
power = { at = 10, type = "uint16", sign = -1, unit = "W" }
rating = { at = 13, type = "uint16", unit = "W", refresh = "once" }
limit = { at = 20, type = "uint16", sign = -1, unit = "W", rw = true }
enable = { at = 21, type = "uint16", rw = true }
seconds = { at = 22, type = "uint16", unit = "s", rw = true }

[[commands.set]]
writes = [{ limit = "power", enable = 1, seconds = "revert" }]

[[commands.release]]
writes = [{ enable = 0 }]
"""


HEAT = """
soc = "filled"
capacity_kwh = "holds"
loss_kw = "loses"

[points]
filled = { at = 30, type = "uint16", unit = "%" }
holds = { at = 31, type = "uint16", unit = "Wh", refresh = "once" }
loses = { at = 32, type = "uint16", unit = "W" }
"""
WORK = """
wanted_kwh = "wanted"
session_kwh = "done"
left_s = "left"

[points]
wanted = { at = 30, type = "uint16", unit = "Wh" }
done = { at = 31, type = "uint16", unit = "Wh" }
left = { at = 32, type = "uint16" }
"""


@asynccontextmanager
async def heat_pump(tmp_path, states="", words=(), **limits):
    told = HEAT_PUMP.replace("\n[points]\n", states) if states else HEAT_PUMP
    (tmp_path / "pump.toml").write_text(told)
    cells = {10: 1800, 13: 4000, 20: 0, 21: 0, 22: 0} | dict(enumerate(words, 30))
    async with plain.tcp_server(plain.Registers({1: cells})) as port:
        home = LiveProsumer(
            id="home",
            meter=tcp("127.0.0.1", 1, 1, "sdm630"),
            load=parse_endpoint(f"tcp://127.0.0.1:{port}/1", "pump"),
            load_limits=SetPointLimits(real=True, **limits),
        )
        gateway = Gateway([home], timeout_s=0.5, profiles=tmp_path)
        try:
            yield gateway, cells
        finally:
            await gateway.close()


async def command(gateway, power_kw, valid_s=0.0):
    return await gateway.command("home", [DeviceSetPoint(device="load", power_kw=power_kw)], valid_s)


async def test_what_it_draws_is_negative_and_so_is_the_most_that_it_may_draw(tmp_path):
    async with heat_pump(tmp_path, min_kw=-3.5, max_kw=0.0) as (gateway, cells):
        (load,) = (await gateway.poll())[0].devices
        assert (load.p_kw, load.min_kw, load.max_kw) == (-1.8, -3.5, 0.0)
        assert (await command(gateway, -1.2, valid_s=900.0)).ok
        assert (cells[20], cells[21], cells[22]) == (1200, 1, 900)


@pytest.mark.parametrize(("wanted_kw", "written"), [(-9.0, 3500), (-0.2, 500), (3.0, 500), (-2.25, 2250)])
async def test_its_limit_stays_within_the_envelope(tmp_path, wanted_kw, written):
    async with heat_pump(tmp_path, min_kw=-3.5, max_kw=-0.5, safe_kw=-0.5) as (gateway, cells):
        assert (await command(gateway, wanted_kw)).ok
        assert cells[20] == written


async def test_released_it_may_draw_what_its_envelope_admits_and_stopped_its_safe_value(tmp_path):
    async with heat_pump(tmp_path, min_kw=-3.5, max_kw=0.0, safe_kw=-1.0) as (gateway, cells):
        assert (await command(gateway, None)).ok
        assert (cells[20], cells[21]) == (3500, 1)
        assert await gateway.stop("a test") == []
        assert (cells[20], cells[21]) == (1000, 1)


async def test_with_an_envelope_as_wide_as_its_rating_it_is_free_again(tmp_path):
    async with heat_pump(tmp_path, min_kw=-4.0, max_kw=0.0) as (gateway, cells):
        assert (await command(gateway, -1.0)).ok
        assert (await gateway.hand_back()) == []
        assert cells[21] == 0


async def test_heat_is_read_with_what_it_may_and_has_to_draw_in_an_interval(tmp_path):
    async with heat_pump(tmp_path, HEAT, (25, 3000, 400), min_kw=-4.0, max_kw=0.0) as (gateway, cells):
        (load,) = (await gateway.poll())[0].devices
        assert (load.soc, load.heat.capacity_kwh, load.heat.loss_kw, load.heat.rating_kw) == (
            0.25,
            3.0,
            0.4,
            4.0,
        )
        # The gateway's interval is a quarter of an hour: 2.25 kWh of room are more than 4 kW fill.
        assert (load.min_kw, load.max_kw, load.needs_kwh) == (-4.0, 0.0, None)
        cells[30] = 95
        (load,) = (await gateway.poll())[0].devices
        assert load.min_kw == pytest.approx(-(0.15 / 0.25 + 0.4))
        cells[30], cells[32] = 1, 500
        (load,) = (await gateway.poll())[0].devices
        assert load.max_kw == pytest.approx(-(0.5 - 0.03 / 0.25))


async def test_work_that_can_wait_is_read_with_what_is_still_wanted_and_until_when(tmp_path):
    async with heat_pump(tmp_path, WORK, (2000, 500, 3600), min_kw=-4.0, max_kw=0.0) as (gateway, cells):
        (load,) = (await gateway.poll())[0].devices
        assert (load.needs_kwh, load.left_s, load.heat) == (1.5, 3600.0, None)
        assert (load.min_kw, load.max_kw) == (-4.0, 0.0)
        cells[32] = 1200  # 1.3 kWh at most
        (load,) = (await gateway.poll())[0].devices
        assert load.max_kw == -4.0, "more than there is time for"
