"""``sharegrid device`` as a process of its own: Modbus TCP and RTU, MQTT, Home Assistant, memory, goodbye."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import struct
import sys
import time
import tty
from contextlib import asynccontextmanager

import pytest

from broker.client.mqtt import connect
from broker.door.bounds import Bounds
from broker.messages import DeviceSetPoint
from broker.security.files import Group, Plan, write_files
from broker.security.grants import grants
from broker.server.choose import open_broker
from broker.server.mosquitto import Secured
from cosim.world.names import GATEWAY
from devices.client.connection import Connection
from devices.endpoint import Link, LiveProsumer, parse_endpoint, tcp
from devices.errors import IllegalAddress, IllegalFunction
from devices.gateway.gateway import Gateway
from devices.limits import SetPointLimits
from devices.mqtt.messages import DeviceTopics
from devices.mqtt.run_discovery import presented

DEVICE = (sys.executable, "-W", "error", "-c", "from cosim.cli import main; main()", "device")


@asynccontextmanager
async def running(*options, **environment):
    """A device process; gives it and its first line."""
    process = await asyncio.create_subprocess_exec(
        *DEVICE,
        *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | environment,
    )
    try:
        line = await asyncio.wait_for(process.stdout.readline(), 20.0)
        yield process, line.decode()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ended(process, number=signal.SIGTERM):
    process.send_signal(number)
    _, errors = await asyncio.wait_for(process.communicate(), 10.0)
    return process.returncode, errors.decode()


def port_in(line):
    return int(re.search(r"127\.0\.0\.1:(\d+)", line)[1])


async def read_once(**places):
    gateway = Gateway([LiveProsumer(id="home", **places)], timeout_s=2.0)
    try:
        (reading,) = await gateway.poll()
        return reading
    finally:
        await gateway.close()


async def until(check, seconds=5.0):
    """Wait until a coroutine function gives something true, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := await check()):
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.1)
    return found


async def test_a_device_on_mqtt_alone_is_read_and_commanded_by_the_gateway():
    async with open_broker("mosquitto") as broker:
        options = ("--mqtt", broker.url, "--publish-every", "0.2", "--rating", "4", "--capacity", "8")
        async with running("battery", "--name", "b1", *options, "--step", "0.1") as (pi, _):
            home = LiveProsumer(
                id="home",
                meter=parse_endpoint(f"{broker.url}/absent", "sharegrid-meter"),
                battery=parse_endpoint(f"{broker.url}/b1", "sharegrid-battery"),
                battery_limits=SetPointLimits(real=True, min_kw=-2.0, max_kw=2.0),
            )
            gateway = Gateway([home], timeout_s=2.0)
            try:
                (battery,) = (await gateway.poll())[0].devices
                assert (battery.quality, battery.soc, battery.min_kw) == ("good", 0.5, -2.0)
                outcome = await gateway.command(
                    "home", [DeviceSetPoint(device="battery", power_kw=3.0)], 60.0
                )
                assert outcome.ok, outcome.detail
                assert not gateway.actuators[0].delivery.lacks_revert

                async def discharges():
                    (battery,) = (await gateway.poll())[0].devices
                    return battery.p_kw == 2.0

                await until(discharges)
                assert await gateway.stop("a test") == []
            finally:
                await gateway.close()
            assert await ended(pi) == (0, "")


async def test_a_device_and_its_gateway_speak_over_an_encrypted_broker_that_knows_both(tmp_path):
    granted = grants(Bounds(services={"gateway": frozenset({GATEWAY})}), devices=["b1"])
    parties = {party: Group([party]) for party in granted}
    write_files(tmp_path / "s", Plan(granted, parties, ["127.0.0.1"], port=0))
    clients = tmp_path / "s" / "clients"
    secured = Secured(tmp_path / "s" / "broker", clients / "observer", tmp_path / "broker.log")
    async with open_broker("mosquitto", secured=secured) as broker:
        port = broker.url.partition("?")[0].rpartition(":")[2]

        def url(party, name=""):
            return f"mqtts://127.0.0.1:{port}{name}?credentials={clients / party}"

        options = ("--name", "b1", "--mqtt", url("device-b1"), "--publish-every", "0.2")
        async with running("battery", *options) as (pi, _):
            home = LiveProsumer(
                id="home",
                meter=parse_endpoint("tcp://127.0.0.1:1/1", "sdm630"),
                battery=parse_endpoint(url(GATEWAY, "/b1"), "sharegrid-battery"),
            )
            gateway = Gateway([home], timeout_s=2.0)
            try:
                assert (await gateway.poll())[0].devices[0].quality == "good"
                outcome = await gateway.command("home", [DeviceSetPoint(device="battery", power_kw=1.0)])
                assert outcome.ok, outcome.detail
            finally:
                await gateway.close()
            assert await ended(pi) == (0, "")


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


class Listener:
    """What was said on a broker, the latest of each topic and the whole order."""

    def __init__(self, bus):
        self.bus = bus
        self.last = {}
        self.heard = []

    async def listen(self):
        async for message in self.bus.messages():
            self.last[message.topic] = message
            self.heard.append(message)

    async def hears(self, topic, check=lambda payload: True):
        async def there():
            message = self.last.get(topic)
            return message if message is not None and check(message.payload) else None

        return await until(there, 10.0)


@asynccontextmanager
async def listening(url, *filters):
    async with connect(url, "listener") as bus:
        listener = Listener(bus)
        task = asyncio.create_task(listener.listen())
        await bus.subscribe(*filters)
        yield listener
        task.cancel()


def setting(power_kw, **changes):
    usual = {"power_kw": power_kw, "expires": time.time() + 30.0, "valid_s": 60.0, "id": f"{power_kw}"}
    return json.dumps(usual | changes).encode()


def explained(why, body):
    return why in json.loads(body)["detail"]


async def test_a_battery_speaks_mqtt_alone(kind):
    topics = DeviceTopics("b1")
    async with open_broker(kind) as broker, listening(broker.url, f"{topics.root}/#") as heard:
        options = ("--mqtt", broker.url, "--publish-every", "0.2", "--step", "0.1", "--rating", "4")
        async with running("battery", "--name", "b1", *options) as (pi, _):
            assert (await heard.hears(topics.availability)).payload == b"online"
            first = json.loads((await heard.hears(topics.measurement)).payload)
            assert first["values"]["soc"] == 0.5
            assert first["units"]["p_kw"] == "kW"
            assert abs(first["time"] - time.time()) < 5.0
            await heard.bus.publish(topics.setting, setting(2.0))
            ack = json.loads((await heard.hears(topics.acknowledgement)).payload)
            assert ack == {"id": "2.0", "ok": True, "detail": "", "v": 1}
            await heard.hears(topics.measurement, lambda body: json.loads(body)["values"]["p_kw"] == 2.0)
            for bad, why in (
                (setting(3.0, expires=time.time() - 1.0, id="old"), "expired"),
                (setting(3.0, valid_s=-1.0, id="negative"), "negative"),
                (b"3.0", "Expected"),
            ):
                await heard.bus.publish(topics.setting, bad)
                await heard.hears(
                    topics.acknowledgement, lambda body, why=why: why in json.loads(body)["detail"]
                )
            assert json.loads(heard.last[topics.measurement].payload)["values"]["p_kw"] == 2.0
            assert (await ended(pi))[0] == 0
            await heard.hears(topics.availability, lambda body: body == b"offline")
        numbers = [json.loads(m.payload)["seq"] for m in heard.heard if m.topic == topics.measurement]
        assert numbers == list(range(len(numbers)))
        assert not any(m.retained for m in heard.heard if m.topic == topics.measurement)


async def test_a_command_that_waited_at_the_broker_is_refused(mosquitto_installed):
    topics = DeviceTopics("b2")
    async with open_broker("mosquitto") as broker, listening(broker.url, f"{topics.root}/#") as heard:
        await heard.bus.publish(topics.setting, setting(3.0), retain=True)
        async with running("battery", "--name", "b2", "--mqtt", broker.url, "--step", "0.1") as _:
            ack = json.loads((await heard.hears(topics.acknowledgement)).payload)
            assert (ack["ok"], ack["detail"]) == (False, "arrived retained")


async def test_a_killed_device_is_offline_and_home_assistant_hears_of_it_when_it_comes(mosquitto_installed):
    topics = DeviceTopics("m1")
    config = "homeassistant/device/sharegrid_m1/config"
    async with open_broker("mosquitto") as broker, listening(broker.url, f"{topics.root}/#", config) as heard:
        async with running("meter", "--name", "m1", "--mqtt", broker.url) as (pi, _):
            told = json.loads((await heard.hears(config)).payload)
            assert told["availability_topic"] == topics.availability
            await heard.hears(topics.availability, lambda body: body == b"online")
            before = sum(message.topic == config for message in heard.heard)
            await heard.bus.publish("homeassistant/status", b"online")

            async def told_again():
                return sum(message.topic == config for message in heard.heard) > before

            await until(told_again)
            pi.kill()
            await heard.hears(topics.availability, lambda body: body == b"offline")
        async with listening(broker.url, config) as later:
            assert (await later.hears(config)).retained


async def test_devices_of_a_run_are_told_again_when_home_assistant_comes(mosquitto_installed):
    topic = "homeassistant/device/sharegrid_p1/config"
    async with open_broker("mosquitto") as broker, listening(broker.url, topic) as heard:
        async with presented(broker.url, {topic: {"o": {"name": "sharegrid"}}}):
            await heard.hears(topic)
            await heard.bus.publish("homeassistant/status", b"online")

            async def told_again():
                return len(heard.heard) == 2

            await until(told_again)
        assert json.loads(heard.heard[1].payload) == {"o": {"name": "sharegrid"}}


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


async def test_modbus_is_served_though_the_broker_is_away_and_mqtt_when_it_comes(mosquitto_installed):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ("--tcp", "127.0.0.1:0", "--mqtt", f"mqtt://127.0.0.1:{port}", "--publish-every", "0.2")
    async with running("meter", "--name", "m1", "--power", "1.5", *options) as (pi, line):
        assert (await read_once(meter=tcp("127.0.0.1", port_in(line), 1, "sdm630"))).p_kw == 1.5
        warning = await asyncio.wait_for(pi.stderr.readline(), 10.0)
        assert b"no MQTT yet, trying again: no MQTT broker answers" in warning
        broker = await asyncio.create_subprocess_exec(
            "mosquitto", "-p", str(port), stderr=asyncio.subprocess.DEVNULL
        )
        try:
            meter = parse_endpoint(f"mqtt://127.0.0.1:{port}/m1", "sharegrid-meter")

            async def told():
                return (await read_once(meter=meter)).p_kw == 1.5

            await until(told, 20.0)
            assert await ended(pi) == (0, "")
        finally:
            broker.terminate()
            await broker.wait()


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
