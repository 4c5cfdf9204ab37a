"""A process that does one thing with a device or broker, and is stopped and let go on meanwhile.

Run as a module it is that process: it does what it is told, once it is told to begin.
"""

import asyncio
import json
import signal
import socket
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path

from broker.client.mqtt import connect
from broker.collector import Collector
from broker.errors import BrokerError
from broker.messages import DeviceSetPoint
from broker.server.mosquitto import find_mosquitto
from devices.client.connection import Connection
from devices.endpoint import Link, LiveProsumer, parse_endpoint
from devices.errors import DeviceError
from devices.gateway.gateway import Gateway
from devices.limits import SetPointLimits

CHECKOUT = Path(__file__).parents[2]


@asynccontextmanager
async def process(what, *arguments):
    """A process that awaits one of the functions below once it is told to; gives it."""
    made = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.held_up", what, json.dumps(arguments)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=CHECKOUT,
    )
    try:
        assert await asyncio.wait_for(made.stdout.readline(), 30.0) == b"ready\n"
        begin(made)
        yield made
    finally:
        if made.returncode is None:
            made.kill()
        await made.communicate()


def begin(made):
    """Let it go on from where it waits."""
    made.stdin.write(b"\n")


async def stop_for(made, seconds):
    """Stop the whole process for a while."""
    made.send_signal(signal.SIGSTOP)
    await asyncio.sleep(seconds)
    made.send_signal(signal.SIGCONT)


async def outcome(made):
    """What it found."""
    return json.loads(await asyncio.wait_for(made.stdout.readline(), 30.0))


def _say(word):
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


async def _told(word):
    """Say where it stands, and wait until it is told to go on."""
    _say(word)
    await asyncio.to_thread(sys.stdin.readline)


async def modbus(port):
    """What becomes of two readings of unit 1."""
    connection = Connection(Link("tcp", "127.0.0.1", port), timeout_s=1.0)
    found = []
    for _ in range(2):
        try:
            found.append(int.from_bytes(await connection.read(1, 5, 1), "big"))
        except DeviceError as error:
            found.append(str(error))
    await connection.close()
    return found


async def polls(place, folder, times):
    """Quality, power and problems of some polls."""
    home = LiveProsumer(id="home", meter=parse_endpoint(place, "mine"))
    gateway = Gateway([home], hold_polls=0, timeout_s=1.0, profiles=Path(folder))
    found = []
    for k in range(times):
        if k:
            await _told("polled")
        (one,) = await gateway.poll()
        found += [one.quality, one.p_kw, *gateway.problems]
    await gateway.close()
    return found


async def gate(url):
    """What has come by a gate, a second from now."""
    async with connect(url, "ears") as bus:
        await bus.subscribe("said/#")
        collector = Collector(["a", "b"])

        async def take():
            async for each in bus.messages():
                collector.add(each.topic[-1], 0, each.payload.decode())

        taking = asyncio.create_task(take())
        _say("waiting")
        have = await collector.wait(0, time.time() + 1.0)
        taking.cancel()
        return have


async def publishes(url):
    """What becomes of a message to a broker that is waited for a second."""
    async with connect(url, "mouth", patience_s=1.0) as bus:
        await _told("publishing")
        try:
            await bus.publish("said/a", b"1")
        except BrokerError as error:
            return str(error)
        return "published"


async def limits(port):
    """Whether a charger that connects to a port takes a limit."""
    charger = parse_endpoint(f"ocpp://127.0.0.1:{port}/CP1", "ocpp")
    envelope = SetPointLimits(real=True, armed=True, min_kw=-11.0, max_kw=0.0)
    meter = parse_endpoint("tcp://127.0.0.1:1/1", "sdm630")
    gateway = Gateway([LiveProsumer(id="home", meter=meter, ev=charger, ev_limits=envelope)], timeout_s=1.0)
    await gateway.open()
    await _told("open")
    outcome = await gateway.command("home", [DeviceSetPoint(device="ev", power_kw=-4.0)])
    await gateway.close()
    return [outcome.ok, outcome.detail]


@asynccontextmanager
async def profile_folder(profile):
    """Folder with a profile of the name ``mine``."""
    with tempfile.TemporaryDirectory() as folder:
        lines = [f"{key} = {json.dumps(value)}" for key, value in profile.items() if key != "values"]
        lines += ["[values]", *(f"{k} = {{ {items(v)} }}" for k, v in profile["values"].items())]
        (Path(folder) / "mine.toml").write_text("\n".join(lines))
        yield Path(folder)


def items(table):
    """Keys and values of a table in one line."""
    return ", ".join(f"{key} = {json.dumps(value)}" for key, value in table.items())


@asynccontextmanager
async def own_mosquitto():
    """Address of a Mosquitto, and its process."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    made = await asyncio.create_subprocess_exec(
        *(find_mosquitto(), "-p", str(port)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield f"mqtt://127.0.0.1:{port}", made
    finally:
        made.kill()
        await made.wait()


async def _main():
    await _told("ready")
    _say(json.dumps(await globals()[sys.argv[1]](*json.loads(sys.argv[2]))))


if __name__ == "__main__":
    asyncio.run(_main())
