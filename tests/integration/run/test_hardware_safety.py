"""What becomes of armed hardware when processes end: real processes, a real broker, a real Modbus server."""

import asyncio
import itertools
import os
import signal
import sys
import time
from contextlib import asynccontextmanager

import msgspec
import pytest

from broker.client.mqtt import connect
from broker.messages import DeviceSetPoint, SetPoint, Stop
from broker.participant.node import Node
from broker.server.mosquitto import mosquitto
from broker.topics import Topics
from cosim.emergency import RunAddress, kept_stop, stop_run
from tests.integration.plain_modbus import tcp_server
from tests.integration.sunspec_images import Inverter, address_of, pv_image

# Whoever runs the tests may ignore hang-ups, which a process inherits.
START = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL); from cosim.cli import main; main()"
COMMAND = [sys.executable, "-c", START]
LIMIT, REVERT, ENABLE = 5, 7, 9
HARDWARE = """
[[devices]]
prosumer = "{name}"
profile = "sdm630"
connect = "tcp://127.0.0.1:{port}/9"

[[devices]]
prosumer = "{name}"
profile = "sunspec-pv"
connect = "tcp://127.0.0.1:{port}/1"
armed = true
max_kw = 3.0
safe_kw = 0.5
"""


class Lab:
    """A gateway in a process of its own, its inverter, and the rest of the run played by the test."""

    def __init__(self, device, url, name, command, terminal=None):
        self.device, self.url, self.name, self._command = device, url, name, command
        self.terminal = terminal
        self._numbers = itertools.count()

    async def launch(self):
        """Start the process; where it speaks."""
        self.lines = []
        if self.terminal is not None:
            self.process = await self.terminal.start(self._command)
            return self.terminal.said
        pipe = asyncio.subprocess.PIPE
        self.process = await asyncio.create_subprocess_exec(*self._command, stderr=pipe)
        return self.process.stderr

    async def start(self):
        said = await self.launch()
        async with asyncio.timeout(60):
            while not any("pv of" in line for line in self.lines):
                line = (await said.readline()).decode()
                assert line, "".join(self.lines)
                self.lines.append(line)
        await asyncio.sleep(0.5)
        self.asked = len(self.device.asked)

    async def end(self):
        if self.process.returncode is None:
            self.process.kill()
        await self.process.communicate()

    async def set(self, power_kw):
        async with connect(self.url, "live-0") as bus:
            node = Node(bus, "lab", "live-0")
            topic = node.topics.set_point(self.name)
            devices = [DeviceSetPoint(device="pv", power_kw=power_kw)]
            message = node.stamp(topic, SetPoint, 0, valid_s=900.0, devices=devices)
            await node.publish_message(topic, msgspec.structs.replace(message, seq=next(self._numbers)))

    async def until_polled(self, within_s):
        """Wait for the first interval, in which the meter is asked: nobody asks it before."""
        began = time.monotonic()
        while not any(unit == 9 for unit, _, _, _ in self.device.asked[self.asked :]):
            assert time.monotonic() - began < within_s
            await asyncio.sleep(0.05)

    async def until(self, limit_w, within_s):
        """Seconds until the inverter is limited to a power [W]."""
        began = time.monotonic()
        while (self.device.at(123, LIMIT), self.device.at(123, ENABLE)) != (2 * limit_w, 1):
            assert time.monotonic() - began < within_s, (
                self.device.at(123, LIMIT),
                self.device.at(123, ENABLE),
            )
            await asyncio.sleep(0.02)
        return time.monotonic() - began


class Terminal:
    """A terminal of a process in a session of its own, to which no SIGHUP comes when it is closed."""

    async def start(self, command):
        self._window, slave = os.openpty()
        process = await asyncio.create_subprocess_exec(
            *command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)
        self.said = asyncio.StreamReader()
        self._reading, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(self.said), os.fdopen(self._window, "rb", buffering=0)
        )
        return process

    def type(self, keys):
        os.write(self._window, keys)

    async def close(self):
        self._reading.close()
        await asyncio.sleep(0)


@asynccontextmanager
async def laboratory(
    small_run,
    small_scenario,
    folder,
    device=None,
    command=("serve", "devices"),
    terminal=None,
    waits=True,
    extra="",
):
    world = small_run[1]
    people = world.population
    name = next(people.id[k] for k in world.roster.live_members if people.pv_kwp[k] > 0.0)
    device = device or Inverter(pv_image())
    device.units[9] = dict.fromkeys(range(400), 0)
    async with tcp_server(device) as port, mosquitto() as broker:
        scenario = folder / "lab.toml"
        scenario.write_text(small_scenario.read_text() + HARDWARE.format(name=name, port=port) + extra)
        options = ["--broker", broker.url, "--run-id", "lab", "--arm"]
        lab = Lab(device, broker.url, name, [*COMMAND, *command, str(scenario), *options], terminal)
        try:
            await (lab.start() if waits else lab.launch())
            yield lab
        finally:
            await lab.end()


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
async def test_signals_bring_armed_hardware_to_its_safe_value(small_run, small_scenario, here, number):
    async with laboratory(small_run, small_scenario, here) as lab:
        assert "armed, 0 to 3 kW, safe value 0.5 kW" in "".join(lab.lines)
        assert "LEAVES ITS ENVELOPE" in "".join(lab.lines)
        await lab.set(2.0)
        await lab.until(2000, 5.0)
        lab.process.send_signal(number)
        assert await lab.until(500, 3.0) < 3.0
        assert await asyncio.wait_for(lab.process.wait(), 10.0) == 130


class FirstContact(Inverter):
    """Inverter that says when it is asked for the first time, as for what is said of it at arming."""

    def __init__(self):
        super().__init__(pv_image())
        self.was_asked = asyncio.Event()

    def answer(self, unit, pdu):
        self.was_asked.set()
        return super().answer(unit, pdu)


@pytest.mark.parametrize(
    ("command", "number"),
    [
        (("serve", "devices"), signal.SIGTERM),
        (("serve", "devices"), signal.SIGINT),
        (("run", "--pace", "real"), signal.SIGTERM),
    ],
)
async def test_a_signal_that_comes_while_hardware_is_armed_does_so_too(
    small_run, small_scenario, here, command, number
):
    device = FirstContact()
    device.put(123, LIMIT, 9000)
    device.put(123, ENABLE, 1)
    async with laboratory(small_run, small_scenario, here, device, command, waits=False) as lab:
        await asyncio.wait_for(device.was_asked.wait(), 60.0)
        lab.process.send_signal(number)
        assert await lab.until(500, 3.0) < 3.0
        assert await asyncio.wait_for(lab.process.wait(), 10.0) == 130


@pytest.mark.parametrize("command", [("serve", "devices"), ("run", "--pace", "real")])
async def test_a_terminal_lost_without_a_signal_does_so_too(small_run, small_scenario, here, command):
    terminal = Terminal()
    async with laboratory(small_run, small_scenario, here, command=command, terminal=terminal) as lab:
        if command[0] == "serve":
            await lab.set(2.0)
            await lab.until(2000, 5.0)
        else:
            await asyncio.sleep(1.0)
        assert (lab.device.at(123, LIMIT), lab.device.at(123, ENABLE)) != (1000, 1)
        await terminal.close()
        assert await lab.until(500, 3.0) < 3.0
        # A run ends with its interval, which may be far.
        if command[0] == "serve":
            assert await asyncio.wait_for(lab.process.wait(), 10.0) == 130


async def test_the_key_in_a_terminal_stops_whatever_was_typed_before_it(small_run, small_scenario, here):
    terminal = Terminal()
    command = ("run", "--pace", "real")
    async with laboratory(small_run, small_scenario, here, command=command, terminal=terminal) as lab:
        await asyncio.sleep(1.0)
        terminal.type(b"xs")
        assert await lab.until(500, 3.0) < 3.0
        await terminal.close()


async def test_a_killed_gateway_leaves_the_device_its_revert_time(small_run, small_scenario, here):
    async with laboratory(small_run, small_scenario, here) as lab:
        await lab.set(2.0)
        await lab.until(2000, 5.0)
        lab.process.kill()
        await lab.process.wait()
        assert lab.device.at(123, REVERT) == 600


async def test_a_device_without_revert_time_is_named_at_arming(small_run, small_scenario, here):
    image = pv_image(revert=0xFFFF)
    at = address_of(image, 123, REVERT)
    device = Inverter(image, lambda address, word: None if address == at else word)
    async with laboratory(small_run, small_scenario, here, device) as lab:
        (line,) = [line for line in lab.lines if "pv of" in line]
        assert "DOES NOT FALL BACK BY ITSELF" in line


async def test_a_stop_is_answered_device_by_device_and_outlives_the_gateway(small_run, small_scenario, here):
    async with laboratory(small_run, small_scenario, here) as lab:
        await lab.set(2.0)
        await lab.until(2000, 5.0)
        said = []
        stopped = await stop_run(RunAddress("lab", lab.url), "smoke", 10.0, said.append)
        assert stopped.failed == []
        assert any("pv of" in line and line.endswith(": safe") for line in said)
        lab.process.kill()
        await lab.process.wait()
        lab.device.put(123, LIMIT, 10_000)
        (here / "runs" / "lab" / "stopped.json").unlink()
        await lab.start()
        # Only the broker remembers it now.
        await lab.until(500, 3.0)
        await lab.set(2.0)
        await asyncio.sleep(1.0)
        assert lab.device.at(123, LIMIT) == 1000
        assert await kept_stop(lab.url, "lab", clear=True) == "smoke"
        assert await kept_stop(lab.url, "lab", clear=False) is None
        lab.process.kill()
        await lab.process.wait()
        lab.device.put(123, LIMIT, 10_000)
        await lab.start()
        # Only the file remembers it now.
        await lab.until(500, 3.0)


async def test_a_stop_passes_every_pause_and_goes_on_twice_a_second(small_run, small_scenario, here):
    async with laboratory(small_run, small_scenario, here) as lab:
        await lab.set(2.0)
        await lab.until(2000, 5.0)
        lab.device.silent.add(1)
        for power_kw in (1.0, 1.5):
            await lab.set(power_kw)
            await asyncio.sleep(2.0)
        # The unit is left alone for a while now; a stop is not.
        asked = len(lab.device.asked)
        async with connect(lab.url, "operator") as bus:
            began = time.monotonic()
            stop = Stop(run="lab", tick=-1, sender="operator", seq=0, reason="fire")
            node = Node(bus, "lab", "operator")
            await node.publish_message(Topics("lab").stop("operator"), stop)
            while len(lab.device.asked) == asked:
                assert time.monotonic() - began < 0.2
                await asyncio.sleep(0.005)
        await asyncio.sleep(3.0)
        assert len(lab.device.asked) - asked >= 6
        lab.device.silent.clear()
        await lab.until(500, 1.0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_signals_to_a_run_that_has_the_gateway_do_so_too(small_run, small_scenario, here, number):
    command = ("run", "--pace", "real", "--out", "an armed run")
    async with laboratory(small_run, small_scenario, here, command=command) as lab:
        assert "stop it from another terminal: sharegrid stop 'an armed run'\n" in lab.lines
        assert any("1 inverters armed in this process" in line for line in lab.lines)
        await asyncio.sleep(1.0)
        lab.process.send_signal(number)
        assert await lab.until(500, 3.0) < 3.0


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, "lost terminal"])
async def test_what_ends_a_run_stops_hardware_that_is_commanded_elsewhere(
    small_run, small_scenario, here, how
):
    async with laboratory(small_run, small_scenario, here) as lab:
        options = ["--broker", lab.url, "--run-id", "lab", "--arm", "--pace", "real"]
        terminal = Terminal()
        run = await terminal.start(
            [*COMMAND, "run", "--elsewhere", "devices", str(here / "lab.toml"), *options]
        )
        try:
            await lab.until_polled(60.0)
            assert (lab.device.at(123, LIMIT), lab.device.at(123, ENABLE)) != (1000, 1)
            if how == "lost terminal":
                await terminal.close()
            else:
                run.send_signal(how)
            assert await lab.until(500, 3.0) < 3.0
        finally:
            run.kill()
            await run.wait()


async def test_the_second_run_of_a_device_is_refused(small_run, small_scenario, here):
    async with laboratory(small_run, small_scenario, here) as lab:
        options = ["--broker", lab.url, "--run-id", "other", "--arm"]
        second = await asyncio.create_subprocess_exec(
            *COMMAND, "serve", "devices", str(here / "lab.toml"), *options, stderr=asyncio.subprocess.PIPE
        )
        _, errors = await asyncio.wait_for(second.communicate(), 60.0)
        assert second.returncode == 2
        assert "is commanded by another: run lab" in errors.decode()
        assert lab.device.writes == []


async def test_the_second_run_of_a_device_is_refused_with_a_broker_of_its_own_too(
    small_run, small_scenario, here
):
    command = ("run", "--pace", "real", "--out", "an armed run")
    async with laboratory(small_run, small_scenario, here, command=command) as lab:
        options = ["--run-id", "other", "--arm", "--pace", "real", "--broker", "mosquitto"]
        second = await asyncio.create_subprocess_exec(
            *COMMAND, "run", str(here / "lab.toml"), *options, stderr=asyncio.subprocess.PIPE
        )
        _, errors = await asyncio.wait_for(second.communicate(), 60.0)
        assert second.returncode == 2
        directory, said = here / "an armed run", errors.decode()
        assert f"is commanded by another: run lab (process {lab.process.pid}, in {directory})" in said
        assert f"sharegrid stop '{directory}'" in said
        # The first goes on; no safe value of the second's end came in between.
        assert all(values[0] != 1000 for _, values in lab.device.writes)
        assert not (here / "runs" / "other" / "ledger.sqlite").exists()
