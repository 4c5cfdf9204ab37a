"""Emergency stop of a run's devices: a key in its terminal, a command in another one, a message on the bus.

A run that goes on leaves a note in its directory that says where its broker is, so that the command finds it.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click
import msgspec

from broker import messages
from broker.client.bus import Bus
from broker.client.mqtt import connect
from broker.door.admission import Door, Refused
from broker.messages import Stop, Stopped
from broker.topics import Topics
from cosim.results.directory import LIVE
from sharegrid.errors import SharegridError

KEY = "s"
NOTE = LIVE


class StopError(SharegridError):
    """An emergency stop that did not reach a gateway."""


class Whereabouts(msgspec.Struct, frozen=True):
    """Where a run that goes on can be reached."""

    run: str
    broker: str


@contextmanager
def findable(out: Path, run_id: str, broker: str) -> Iterator[None]:
    """Keep a note in the run directory, for its owner alone: the broker's address may hold a password."""
    note = out / NOTE
    note.touch(mode=0o600)
    note.write_bytes(msgspec.json.encode(Whereabouts(run_id, broker)))
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def whereabouts(directory: Path) -> Whereabouts:
    """Where the run in a directory can be reached; raises `StopError` where it does not go on."""
    try:
        return msgspec.json.decode((directory / NOTE).read_bytes(), type=Whereabouts)
    except (OSError, msgspec.DecodeError):
        raise StopError(
            f"{directory}: no run goes on here; give its directory, or --broker and --run-id"
        ) from None


@contextmanager
def on_key(stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` when the key is pressed in the terminal; without a terminal nothing happens."""
    if not sys.stdin.isatty():
        yield
        return
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    loop = asyncio.get_running_loop()

    def take() -> None:
        if KEY in sys.stdin.read(1):
            stop()

    tty.setcbreak(descriptor)
    loop.add_reader(descriptor, take)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        with suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


async def stop_run(at: Whereabouts, reason: str, patience_s: float) -> Stopped:
    """Stop all devices of a run and wait for its gateway's answer.

    Raises
    ------
    StopError
        No gateway answered within ``patience_s`` seconds.
    BrokerError
        The broker cannot be reached.
    """
    name = f"operator-{secrets.token_hex(4)}"
    topics = Topics(at.run)
    stop = Stop(run=at.run, tick=-1, sender=name, seq=0, reason=reason)
    async with connect(at.broker, name) as bus:
        await bus.subscribe(topics.stopped("+"))
        began = time.monotonic()
        await bus.publish(topics.stop(name), messages.encode(stop))
        door = Door(at.run)
        try:
            async with asyncio.timeout(began + patience_s - time.monotonic()):
                return await _answer(bus, door, name)
        except TimeoutError:
            raise StopError(
                f"no gateway of run {at.run} answered within {patience_s:g} s: stop the devices by hand"
            ) from None


async def _answer(bus: Bus, door: Door, name: str) -> Stopped:
    async for received in bus.messages():
        with suppress(Refused):
            message = door.admit(received).message
            if isinstance(message, Stopped) and message.by == name:
                return message
    raise TimeoutError


def stop_command(at: Whereabouts, reason: str, patience_s: float) -> int:
    """Stop a run's devices and say what became of it; 0 where all that are commanded are safe, else 1."""
    stopped = asyncio.run(stop_run(at, reason, patience_s))
    click.echo(
        f"{stopped.safe} of {stopped.devices - stopped.observed} devices are at their safe values", nl=False
    )
    click.echo(f"; {stopped.observed} are only observed" if stopped.observed else "")
    for line in stopped.failed:
        click.echo(f"not stopped yet, tried again: {line}", err=True)
    return 1 if stopped.failed else 0
