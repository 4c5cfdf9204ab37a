"""A battery set by direction in a whole process: what is said at arming, and where it ends."""

import asyncio
import signal
import sys
import time

import pytest

from broker.server.mosquitto import mosquitto
from tests.integration.plain_modbus import tcp_server
from tests.integration.sunspec_images import Inverter
from tests.integration.test_makers_devices import BATTERIES

ENTRY = """
[[devices]]
prosumer = "{name}"
profile = "sdm630"
connect = "tcp://127.0.0.1:{port}/9"

[[devices]]
prosumer = "{name}"
profile = "{profile}"
connect = "tcp://127.0.0.1:{port}/1"
armed = true
accept_unconfirmed = true
min_kw = -3.0
max_kw = 3.0
safe_kw = {safe_kw}
"""
# Registers that hold another set-point before, and what they hold at the safe value.
CASES = {
    "huawei-battery": ({47100: 2, 47250: 3000}, -1.5, {47247: 0, 47248: 1500, 47100: 1}),
    "kostal-battery": ({1035: 0x453B}, 0.0, {1034: 0, 1035: 0}),
}


@pytest.mark.parametrize("profile", CASES)
@pytest.mark.usefixtures("mosquitto_installed")
async def test_a_signal_brings_it_to_its_safe_value(small_run, small_scenario, tmp_path, profile):
    stale, safe_kw, safe = CASES[profile]
    world = small_run[1]
    people = world.population
    name = next(people.id[k] for k in world.roster.live_members if people.battery_kwh[k] > 0.0)
    device = Inverter(BATTERIES[profile] | stale)
    device.units[9] = dict.fromkeys(range(400), 0)
    async with tcp_server(device) as port, mosquitto() as broker:
        scenario = tmp_path / "lab.toml"
        entry = ENTRY.format(name=name, port=port, profile=profile, safe_kw=safe_kw)
        scenario.write_text(small_scenario.read_text() + entry)
        start = "from cosim.cli import main; main()"
        options = ["--broker", broker.url, "--run-id", "lab", "--arm"]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            start,
            "serve",
            "devices",
            str(scenario),
            *options,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            line = b""
            async with asyncio.timeout(60):
                while b"battery of" not in line:
                    line = await process.stderr.readline()
                    assert line
            assert f"armed, -3 to 3 kW, safe value {safe_kw:g} kW" in line.decode()
            assert "falls back by itself, but LEAVES ITS ENVELOPE" in line.decode()
            assert "its own timer ENDS A STOP, TOO, when this gateway is dead" in line.decode()
            assert device.writes == []
            process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            while {address: device.cells[address] for address in safe} != safe:
                assert time.monotonic() - began < 3.0
                await asyncio.sleep(0.02)
            async with asyncio.timeout(20.0):
                await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()
