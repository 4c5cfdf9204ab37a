"""``sharegrid device`` as a process of its own: Modbus TCP and RTU, memory, signals, refusals."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import struct
import tty

import pytest

from devices.client.connection import Connection
from devices.endpoint import Link, LiveProsumer, parse_endpoint, tcp
from devices.errors import IllegalAddress, IllegalFunction
from devices.gateway.gateway import Gateway
from tests.integration.device_process import ended, port_in, read_once, running, until


async def test_a_meter_plays_a_file_over_tcp_and_ends_on_sigterm(tmp_path):
    day = tmp_path / "day.csv"
    day.write_text("time,kW\n0,1.25\n3600,2.0\n")
    async with running("meter", "--tcp", "127.0.0.1:0", "--follow", str(day), "--unit", "7") as (pi, line):
        assert line.startswith("meter meter (sdm630): unit 7 at 127.0.0.1:")
        reading = await read_once(meter=tcp("127.0.0.1", port_in(line), 7, "sdm630"))
        assert (reading.quality, reading.p_kw, reading.v_pu) == ("good", 1.25, 1.0)
        assert await ended(pi) == (0, "")


async def test_a_meter_stands_before_an_inverter():
    options = ("--tcp", "127.0.0.1:0", "--power", "3", "--load", "1", "--meter-unit", "2")
    async with running("inverter", *options) as (pi, line):
        port = port_in(line)
        reading = await read_once(
            meter=tcp("127.0.0.1", port, 2, "sdm630"), pv=tcp("127.0.0.1", port, 1, "sunspec-pv")
        )
        assert reading.p_kw == -2.0
        assert reading.devices[0].p_kw == 3.0
        assert await ended(pi, signal.SIGINT) == (0, "")


async def test_a_battery_is_commanded_over_a_serial_line():
    ours, theirs = os.openpty()
    tty.setraw(ours)
    tty.setraw(theirs)
    # The gateway opens the other end of a second pair; bytes are carried between the two by hand.
    gate_ours, gate_theirs = os.openpty()
    tty.setraw(gate_ours)
    tty.setraw(gate_theirs)
    loop = asyncio.get_running_loop()
    loop.add_reader(ours, lambda: os.write(gate_ours, os.read(ours, 512)))
    loop.add_reader(gate_ours, lambda: os.write(ours, os.read(gate_ours, 512)))
    try:
        line = os.ttyname(theirs)
        options = ("battery", "--rtu", line, "--baud", "115200", "--rating", "4", "--step", "0.1")
        async with running(*options) as (pi, said):
            assert line in said
            from broker.messages import DeviceSetPoint

            endpoint = parse_endpoint(f"rtu://{os.ttyname(gate_theirs)}/1?baud=115200", "sunspec-battery")
            meter = parse_endpoint(f"rtu://{os.ttyname(gate_theirs)}/1?baud=115200", "sdm630")
            gateway = Gateway([LiveProsumer(id="home", meter=meter, battery=endpoint)], timeout_s=1.0)
            outcome = await gateway.command("home", [DeviceSetPoint(device="battery", power_kw=1.5)], 60.0)
            assert outcome.ok, outcome.detail

            async def discharges():
                (reading,) = await gateway.poll()
                return reading.devices[0].p_kw == pytest.approx(1.5)

            await until(discharges)
            await gateway.close()
            assert await ended(pi) == (0, "")
    finally:
        for end in (ours, gate_ours):
            loop.remove_reader(end)
        for end in (ours, theirs, gate_ours, gate_theirs):
            os.close(end)


async def test_counters_never_fall_whatever_ends_the_process(tmp_path):
    state = tmp_path / "m.json"
    options = ("meter", "--tcp", "127.0.0.1:0", "--power", "3600", "--state", str(state), "--step", "0.05")
    shown = []
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        async with running(*options, "--save-every", "0.2") as (pi, line):
            endpoint = tcp("127.0.0.1", port_in(line), 1, "sdm630")

            async def counted(endpoint=endpoint):
                shown.append((await read_once(meter=endpoint)).import_kwh)
                return len(shown) > 1 and shown[-1] > shown[0] + 0.3

            await until(counted)
            shown.append((await read_once(meter=endpoint)).import_kwh)
            pi.send_signal(number)
            await pi.wait()
    assert shown == sorted(shown)
    assert shown[-1] > 0.3
    # Registers hold 24 bits of it.
    assert json.loads(state.read_text())["import_kwh"] >= shown[-1] - 1e-6


async def test_a_device_goes_on_from_the_copy_before_and_says_so(tmp_path):
    state = tmp_path / "m.json"
    options = ("meter", "--tcp", "127.0.0.1:0", "--power", "3600", "--state", str(state), "--step", "0.05")
    async with running(*options, "--save-every", "0.1") as (pi, _):
        await asyncio.sleep(0.5)
        assert await ended(pi) == (0, "")
    before = json.loads((tmp_path / "m.json.before").read_text())["import_kwh"]
    assert before > 0.0
    state.write_bytes(b"\0" * 200)  # as a file system leaves a file behind that was not written out
    async with running(*options) as (pi, line):
        reading = await read_once(meter=tcp("127.0.0.1", port_in(line), 1, "sdm630"))
        assert reading.import_kwh >= before - 1e-6
        returncode, errors = await ended(pi)
        assert returncode == 0
        assert "is no state of a device" in errors
        assert "goes on from m.json.before, written 20" in errors


async def test_an_sdm630_shows_how_it_is_set(tmp_path):
    options = ("--tcp", "127.0.0.1:0", "--unit", "7", "--baud", "19200", "--parity", "E", "--phases", "2")
    async with running("meter", *options) as (pi, line):
        connection = Connection(Link("tcp", "127.0.0.1", port_in(line)))
        try:

            async def setting(address):
                return struct.unpack(">f", await connection.read(7, address, 2, 3))[0]

            assert [await setting(k) for k in (0x02, 0x0A, 0x12, 0x14, 0x1C)] == [60.0, 1.0, 1.0, 7.0, 3.0]
            with pytest.raises(IllegalAddress):
                await setting(0x100)
            with pytest.raises(IllegalFunction):
                await connection.write(7, 0x14, [0x4100, 0])
        finally:
            await connection.close()
        assert await ended(pi) == (0, "")


@pytest.mark.parametrize("kind", ["inverter", "battery", "meter"])
async def test_sunspec_devices_may_begin_elsewhere_and_have_a_shorter_common_model(kind):
    profiles = {"inverter": "sunspec-pv", "battery": "sunspec-battery", "meter": "sunspec-meter"}
    options = ("--tcp", "127.0.0.1:0", "--base", "0", "--common", "65", "--profile", profiles[kind])
    async with running(kind, *options, "--power", "2.5") as (pi, line):
        port = port_in(line)
        connection = Connection(Link("tcp", "127.0.0.1", port))
        head = struct.unpack(">4H", await connection.read(1, 0, 4))
        await connection.close()
        assert head == (0x5375, 0x6E53, 1, 65)
        role = {"inverter": "pv"}.get(kind, kind)
        places = {"meter": tcp("127.0.0.1", 1, 1, "sdm630")} | {
            role: tcp("127.0.0.1", port, 1, profiles[kind])
        }
        reading = await read_once(**places)
        state = reading if kind == "meter" else reading.devices[0]
        assert (state.quality, state.p_kw) == ("good", 0.0 if kind == "battery" else 2.5)
        assert await ended(pi) == (0, "")


async def test_systemd_hears_that_a_device_is_ready_alive_and_about_to_end(tmp_path):
    place = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(place))
        heard.setblocking(False)
        said = []

        async def alive():
            with contextlib.suppress(BlockingIOError):
                while True:
                    said.append(heard.recv(100).decode())
            return said.count("WATCHDOG=1") >= 2

        environment = {"NOTIFY_SOCKET": str(place), "WATCHDOG_USEC": "400000"}
        async with running("meter", "--tcp", "127.0.0.1:0", "--step", "0.05", **environment) as (pi, _):
            await until(alive)
            assert await ended(pi) == (0, "")
        await alive()
        assert said[0] == "READY=1"
        assert said[-1] == "STOPPING=1"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("meter",), "add --tcp HOST:PORT, --rtu PORT or --mqtt URL"),
        (("meter", "--tcp", "127.0.0.1:0", "--profile", "sunspec-pv"), "cannot be emulated as a meter"),
        (("meter", "--tcp", "127.0.0.1:0", "--profile", "nosuch"), "no profile 'nosuch'"),
        (("meter", "--tcp", "127.0.0.1:0", "--follow", "/nonexistent.csv"), "cannot be read"),
        (("battery", "--rtu", "/dev/nosuchport"), "/dev/nosuchport"),
        (("battery", "--mqtt", "mqtt://127.0.0.1:1"), "no MQTT broker answers"),
        (("battery", "--mqtt", "http://x"), "broker address"),
        (("battery", "--tcp", "nowhere"), "is no HOST:PORT"),
        (("meter", "--tcp", "127.0.0.1:0", "--meter-unit", "2"), "--meter-unit 2"),
        (("battery", "--name", "a/b", "--tcp", "127.0.0.1:0"), "--name a/b"),
    ],
)
async def test_what_cannot_be_is_one_line(options, says):
    async with running(*options) as (pi, line):
        _, errors = await asyncio.wait_for(pi.communicate(), 20.0)
        assert line == ""
        assert pi.returncode == 2
        assert says in errors.decode()
        assert "Traceback" not in errors.decode()
