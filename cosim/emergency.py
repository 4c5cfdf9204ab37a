"""Emergency stop of a run's devices: a key in its terminal, a command in another one, a message on the bus.

A run that goes on leaves a note in its directory that says where its broker is, so that the command finds it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import select
import shlex
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click
import msgspec

from broker import messages
from broker.claims import probe
from broker.client.bus import Bus
from broker.client.mqtt import connect
from broker.door.admission import Door
from broker.door.refusal import Refused
from broker.messages import Stop, Stopped
from broker.security.grants import OPERATOR
from broker.signing import command_key_of
from broker.topics import Topics
from cosim.results.lock import is_living
from cosim.results.names import LIVE, RUNS
from sharegrid.decoding import decode_json
from sharegrid.errors import SharegridError

KEY = "s"
NOTE = LIVE
RECORD = "stopped.json"
HARDWARE = "hardware.json"
_KEPT_WITHIN_S = 10.0
_MOST_TYPED = 1024


class StopError(SharegridError):
    """An emergency stop that did not reach a gateway."""


class RunAddress(msgspec.Struct, frozen=True):
    """Where a run that goes on can be reached."""

    run: str
    broker: str


@contextmanager
def noted_address(out: Path, run_id: str, broker: str) -> Iterator[None]:
    """Keep a note in the run directory, for its owner alone: the broker's address may hold a password."""
    note = out / NOTE
    note.touch(mode=0o600)
    note.write_bytes(msgspec.json.encode(RunAddress(run_id, broker)))
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def run_address(directory: Path) -> RunAddress:
    """Address of the run in a directory; raises `StopError` where it does not go on."""
    try:
        return decode_json((directory / NOTE).read_bytes(), RunAddress)
    except (OSError, msgspec.DecodeError):
        others = ", ".join(str(each) for each in _runs_near(directory))
        raise StopError(
            f"{directory}: no run goes on here; "
            + (f"those go on: {others}" if others else "give its directory, or --broker and --run-id")
        ) from None


def _runs_near(directory: Path) -> list[Path]:
    """Directories of runs that go on in it, beside it, or where runs are by default."""
    notes = {
        note.parent.resolve(): note.parent
        for folder in (directory, directory.parent, Path(RUNS))
        for note in sorted(folder.glob(f"*/{NOTE}"))
    }
    return [each for each in notes.values() if is_living(each)]


def stop_words(directory: Path) -> str:
    """The command that stops the run in a directory, as a shell takes it."""
    return f"sharegrid stop {shlex.quote(str(directory))}"


def address_of(command: str, directory: Path | None, broker: str | None, run_id: str | None) -> RunAddress:
    """Where a run can be reached that a command's options name; raises `StopError` where they name none."""
    if directory is not None:
        return run_address(directory)
    if broker and run_id:
        return RunAddress(run_id, broker)
    raise StopError(f"{command}: which run? Give its directory, or --broker and --run-id")


def takes_keys() -> bool:
    """Whether there is a terminal whose keys come to this process.

    In the background of a shell they do not, and touching the terminal would halt the process.
    """
    if not sys.stdin.isatty():
        return False
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:
        # It is not the terminal of our session, so that no shell shares it.
        return True


@contextmanager
def on_key(stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` when the key is pressed in the terminal; without a terminal nothing happens.

    A thread reads the keys and makes the call, so that it does not wait for what the process computes.
    """
    if not takes_keys():
        yield
        return
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    ended, end = os.pipe()
    reader = threading.Thread(target=_read_keys, args=(descriptor, ended, stop), name="keys")
    tty.setcbreak(descriptor)
    reader.start()
    try:
        yield
    finally:
        os.close(end)
        reader.join()
        os.close(ended)
        with suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _read_keys(descriptor: int, ended: int, stop: Callable[[], None]) -> None:
    """Read keys until the terminal is lost or the pipe ``ended`` is closed at its other end."""
    while True:
        readable, _, _ = select.select([descriptor, ended], [], [])
        if ended in readable:
            return
        try:
            # All that was typed, for what a buffer would keep back wakes nobody.
            typed = os.read(descriptor, _MOST_TYPED)
        except OSError:
            typed = b""
        if not typed:
            return
        if KEY.encode() in typed:
            stop()


async def stop_run(
    at: RunAddress, reason: str, wait_s: float, say: Callable[[str], None] = click.echo
) -> Stopped:
    """Stop all devices of a run and say device by device what its gateway answers, until all are safe.

    The message is kept by the broker, so that a gateway that is started again obeys it too.

    Returns
    -------
    Stopped
        The last answer within ``wait_s`` seconds; some devices may not be safe yet.

    Raises
    ------
    StopError
        No gateway answered within ``wait_s`` seconds.
    BrokerError
        The broker cannot be reached.
    """
    name = f"operator-{secrets.token_hex(4)}"
    topics = Topics(at.run)
    stop = Stop(run=at.run, tick=-1, sender=name, seq=0, reason=reason)
    if (commands := command_key_of(at.broker, at.run)) is not None:
        stop = commands.signed(topics.stop(name), stop)
    answer: Stopped | None = None
    said: set[str] = set()
    async with connect(at.broker, name, identity=OPERATOR) as bus:
        await bus.subscribe(topics.stopped("+"))
        began = time.monotonic()
        await bus.publish(topics.stop(name), messages.encode(stop), retain=True)
        try:
            async with asyncio.timeout(began + wait_s - time.monotonic()):
                async for answer in _answers(bus, Door(at.run), name):
                    for line in answer.states:
                        if line not in said:
                            say(line)
                    said.update(answer.states)
                    if not answer.failed:
                        return answer
        except TimeoutError:
            if answer is not None:
                return answer
    raise StopError(f"no gateway of run {at.run} answered within {wait_s:g} s: stop the devices by hand")


async def _answers(bus: Bus, door: Door, name: str) -> AsyncIterator[Stopped]:
    async for received in bus.messages():
        with suppress(Refused):
            message = door.admit(received).message
            if isinstance(message, Stopped) and message.by == name:
                yield message


def stop_command(at: RunAddress, reason: str, wait_s: float) -> int:
    """Stop a run's devices and say what became of it; 0 where all that are commanded are safe, else 1."""
    stopped = asyncio.run(stop_run(at, reason, wait_s))
    click.echo(summary_line(stopped))
    return 1 if stopped.failed else 0


def summary_line(stopped: Stopped) -> str:
    """How many devices are safe, in one line."""
    observed = f"; {stopped.observed} are only observed" if stopped.observed else ""
    more = "; the gateway goes on trying twice a second" if stopped.failed else ""
    commanded = stopped.devices - stopped.observed
    return f"{stopped.safe} of {commanded} devices are at their safe values{observed}{more}"


async def kept_stop(broker: str, run_id: str, *, clear: bool) -> str | None:
    """Reason of an emergency stop that the broker keeps for a run; ``clear`` makes it forget it.

    What a broker keeps comes before anything that is published after a subscription, such as our own word.
    """
    name = f"operator-{secrets.token_hex(4)}"
    topics = Topics(run_id)
    reason: str | None = None
    async with connect(broker, name, identity=OPERATOR) as bus:
        own = probe(name)
        await bus.subscribe(topics.stop("+"), own)
        await bus.publish(own, b"")
        async with asyncio.timeout(_KEPT_WITHIN_S):
            async for received in bus.messages():
                if received.topic == own:
                    break
                if not received.payload:
                    continue
                try:
                    message = messages.decode(received.payload)
                    reason = message.reason if isinstance(message, Stop) else "unknown"
                except (msgspec.DecodeError, UnicodeDecodeError):
                    reason = "unknown"
                if clear:
                    await bus.publish(received.topic, b"", retain=True)
    return reason
