"""One emulated device as a program, as on a Raspberry Pi: the composition root of ``sharegrid device``.

Needs nothing of the market, the feeder or the population.
"""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click

from broker.client.mqtt import MqttBus, connect
from broker.errors import BrokerError
from broker.topics import topic_safe
from devices.emulation.server import port_of, serve_units, stop_servers
from devices.endpoint import Link
from devices.errors import EndpointError
from devices.mqtt.device import MqttDevice, offline_will
from devices.mqtt.homeassistant import Control, discovery
from devices.mqtt.messages import ROOT, DeviceTopics
from devices.program.power_file import PowerFile
from devices.program.screen import Screen, screen
from devices.program.standalone import Nameplate, Standalone

_GOODBYE_S = 2.0
_CONTROLS = {"inverter": "Most generation", "battery": "Power"}


@dataclass(frozen=True, kw_only=True)
class DeviceOptions:
    """Options of ``sharegrid device``.

    Attributes
    ----------
    plate
        What the device is.
    links, unit, meter_unit
        Where it speaks Modbus, its unit id, and that of the meter that it lies behind, if it has one.
    mqtt, topic, home_assistant
        Broker, root of the topics, and whether Home Assistant is told.
    power, load_kw
        Power of load or sun [kW], or a file of it; load beside an inverter or battery [kW].
    state, profiles
        File that it remembers its counters in; folder of the user's profiles.
    step_s, publish_s, save_s
        How often time passes in it, it publishes, and its memory is written [s].
    quiet
        No registers in the terminal.
    """

    plate: Nameplate
    links: tuple[Link, ...] = ()
    unit: int = 1
    meter_unit: int | None = None
    mqtt: str | None = None
    topic: str = ROOT
    home_assistant: bool = True
    power: float | Path = 0.0
    load_kw: float = 0.0
    state: Path | None = None
    profiles: Path | None = None
    step_s: float = 1.0
    publish_s: float = 5.0
    save_s: float = 10.0
    quiet: bool = False


def run_device(options: DeviceOptions) -> None:
    """Run a device until SIGTERM or SIGINT.

    Raises
    ------
    DeviceError, BrokerError
        A port, a file, a profile or the broker cannot be used; one line with the remedy.
    """
    if not options.links and options.mqtt is None:
        raise EndpointError("the device speaks nothing; add --tcp HOST:PORT, --rtu PORT or --mqtt URL")
    if options.meter_unit == options.unit or (options.meter_unit and options.plate.kind == "meter"):
        raise EndpointError(
            f"--meter-unit {options.meter_unit}: give an inverter's or battery's meter another unit"
        )
    if not topic_safe(options.plate.name):
        raise EndpointError(
            f"--name {options.plate.name}: use letters, digits, dot, dash, colon and underscore only"
        )
    asyncio.run(_run(options))


async def _run(options: DeviceOptions) -> None:
    power = PowerFile(options.power) if isinstance(options.power, Path) else options.power
    device = Standalone(
        options.plate, power, options.state, options.save_s, options.profiles, options.load_kw
    )
    units = {options.unit: device.unit}
    if options.meter_unit is not None:
        units[options.meter_unit] = device.meter
    ended = _ended_by_signal()
    async with AsyncExitStack() as stack:
        places = []
        for link in options.links:
            server = await serve_units(units, link)
            stack.push_async_callback(stop_servers, [server])
            place = f"{link.place}:{port_of(server)}" if link.scheme == "tcp" else link.place
            places.append(f"unit {' and '.join(map(str, units))} at {place}")
        jobs: list[Coroutine[None, None, None]] = []
        if options.mqtt is not None:
            speaker = await stack.enter_async_context(_speaker(options, device))
            jobs += [speaker.serve(), speaker.publish_every(options.publish_s)]
            places.append(f"{speaker.topics.root}/{speaker.topics.name} at {options.mqtt.rpartition('@')[2]}")
        title = f"{options.plate.kind} {options.plate.name} ({options.plate.profile}): {', '.join(places)}"
        shown: Screen | None = None
        if options.quiet or not sys.stdout.isatty():
            click.echo(title)
        else:
            shown = stack.enter_context(screen(title))
        await _until(ended, [*jobs, _live(device, options.step_s, shown)])
        device.step()
        device.save()


def _ended_by_signal() -> asyncio.Event:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    return ended


async def _until(ended: asyncio.Event, jobs: list[Coroutine[None, None, None]]) -> None:
    """Let jobs run until the end is asked for; one that fails ends all, with its error."""
    tasks = [asyncio.create_task(job) for job in jobs]
    end = asyncio.create_task(ended.wait())
    try:
        done, _ = await asyncio.wait({end, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (end, *tasks):
            task.cancel()
        await asyncio.gather(end, *tasks, return_exceptions=True)
    for task in done:
        task.result()


async def _live(device: Standalone, step_s: float, shown: Screen | None) -> None:
    began = time.monotonic()
    while True:
        device.step()
        if shown is not None:
            since_s = time.monotonic() - began
            shown.show(device.registers.points(), f"running for {since_s:.0f} s; Ctrl-C ends")
        await asyncio.sleep(step_s - (time.monotonic() - began) % step_s)


@dataclass
class _Speaker:
    """The MQTT side of a device: it goes on measuring whatever the broker does."""

    topics: DeviceTopics
    mqtt: MqttDevice
    back: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self) -> None:
        await asyncio.gather(self.mqtt.serve(), self._announce_again())

    async def publish_every(self, period_s: float) -> None:
        while True:
            try:
                await self.mqtt.publish()
            except BrokerError as error:
                click.echo(f"not published: {error}", err=True)
            await asyncio.sleep(period_s)

    async def _announce_again(self) -> None:
        while True:
            await self.back.wait()
            self.back.clear()
            await self.mqtt.announce()


@asynccontextmanager
async def _speaker(options: DeviceOptions, device: Standalone) -> AsyncIterator[_Speaker]:
    assert options.mqtt is not None
    topics = DeviceTopics(options.plate.name, options.topic)
    speakers: list[_Speaker] = []
    async with connect(
        options.mqtt,
        f"device-{options.plate.name}",
        offline_will(topics),
        on_reconnect=lambda: speakers[0].back.set() if speakers else None,
    ) as bus:
        speakers.append(_Speaker(topics, _mqtt_device(bus, topics, options, device)))
        try:
            yield speakers[0]
        finally:
            try:
                async with asyncio.timeout(_GOODBYE_S):
                    await speakers[0].mqtt.leave()
            except (TimeoutError, BrokerError) as error:
                click.echo(f"left without a goodbye to the broker: {error}", err=True)


def _mqtt_device(
    bus: MqttBus, topics: DeviceTopics, options: DeviceOptions, device: Standalone
) -> MqttDevice:
    plate = options.plate
    control = None
    if plate.kind != "meter":
        least_kw = -plate.rating_kw if plate.kind == "battery" else 0.0
        control = Control(_CONTROLS[plate.kind], least_kw, plate.rating_kw)
    entities = discovery(topics, plate.kind, device.read(), max(10, round(3 * options.publish_s)), control)
    return MqttDevice(
        bus, topics, plate.kind, device, device.units(), entities if options.home_assistant else None
    )
