"""One emulated device as a program, as on a Raspberry Pi: the composition root of ``sharegrid device``.

Needs nothing of the market, the feeder or the population.
"""

import asyncio
import signal
import sys
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import click

from broker.address import parse_address
from broker.topics import topic_safe
from devices.emulation.server import serve_units, stop_servers
from devices.emulation.tcp_server import TcpServer
from devices.endpoint import Link
from devices.errors import EndpointError
from devices.mqtt.messages import ROOT, DeviceTopics
from devices.program.power_file import PowerFile
from devices.program.screen import Screen, screen
from devices.program.speaker import SpeakerOptions, speak
from devices.program.standalone import Nameplate, Standalone
from devices.program.watchdog import notify, watchdog_s


@dataclass(frozen=True, kw_only=True)
class DeviceOptions:
    """Options of ``sharegrid device``.

    Attributes
    ----------
    plate
        What the device is.
    links, unit, meter_unit
        Where it speaks Modbus, its unit id, and that of the meter that it lies behind, if it has one.
    serial
        Baud rate, parity and stop bits, which a meter shows among its settings.
    mqtt, topic, home_assistant
        Broker, root of the topics, and whether it is announced to Home Assistant.
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
    serial: tuple[int, str, int] = (9600, "N", 1)
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
    if device.note:
        click.echo(device.note, err=True)
    units = {options.unit: device.unit}
    if options.meter_unit is not None:
        units[options.meter_unit] = device.meter
    device.set_up(options.meter_unit or options.unit, *options.serial)
    ended = _ended_by_signal()
    async with AsyncExitStack() as stack:
        places = []
        for link in options.links:
            server = await serve_units(units, link)
            stack.push_async_callback(stop_servers, [server])
            place = f"{link.place}:{server.port}" if isinstance(server, TcpServer) else link.place
            places.append(f"unit {' and '.join(map(str, units))} at {place}")
        title: list[str] = []
        is_quiet = options.quiet or not sys.stdout.isatty()
        jobs: list[Coroutine[None, None, None]] = []
        if options.mqtt is not None:
            if (warning := parse_address(options.mqtt).warning) is not None:
                click.echo(warning, err=True)
            speaking = SpeakerOptions(
                url=options.mqtt,
                topics=DeviceTopics(options.plate.name, options.topic),
                home_assistant=options.home_assistant,
                publish_s=options.publish_s,
                waits=bool(options.links),
                on_connected=lambda: _begun(title),
            )
            jobs.append(speak(speaking, device))
            places.append(str(speaking))
        name = f"{options.plate.kind} {options.plate.name} ({options.plate.profile}): {', '.join(places)}"
        shown = None if is_quiet else stack.enter_context(screen(name))
        title += [name] if is_quiet else []
        if options.links:
            _begun(title)
        await _until(ended, [*jobs, _live(device, options.step_s, shown)])
        notify("STOPPING=1")
        device.step()
        device.save()


def _begun(title: list[str]) -> None:
    """Say once where the device is, and that it serves."""
    while title:
        click.echo(title.pop())
    notify("READY=1")


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
    watched_s, told_s = watchdog_s(), began
    while True:
        device.step()
        if watched_s is not None and time.monotonic() - told_s + step_s >= watched_s:
            # Time passes in the device, which is what a watchdog wants to know.
            notify("WATCHDOG=1")
            told_s = time.monotonic()
        if shown is not None:
            since_s = time.monotonic() - began
            shown.show(device.registers.points(), f"running for {since_s:.0f} s; Ctrl-C ends")
        await asyncio.sleep(step_s - (time.monotonic() - began) % step_s)
