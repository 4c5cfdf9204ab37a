"""Hardware of a run and its user: what is said of it at the start, and what brings it to its safe values.

That is a key, a signal, or a terminal that is lost.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from broker.messages import Stop
from cosim.composition import RunSetup
from cosim.control.clock import Clock
from cosim.emergency import KEY, Whereabouts, on_key, stop_run, summary_line
from devices.gateway.stopping import arming
from sharegrid.errors import SharegridError

_STOP_PATIENCE_S = 30.0


class Terminal:
    """A terminal that is written to for as long as it is there.

    Parameters
    ----------
    stream
        Where to write.

    Attributes
    ----------
    is_lost
        Whether it can be written to no more.
    on_lost
        Called once, from whatever thread it is noticed in, when it can be written to no more.
    """

    def __init__(self, stream: TextIO) -> None:
        self.on_lost: Callable[[], object] | None = None
        self.encoding = stream.encoding
        self._stream = stream
        self.is_lost = False

    def write(self, text: str) -> int:
        """Write, or notice that nobody reads any more."""
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Pass on what was written."""
        self._try(self._stream.flush)

    def isatty(self) -> bool:
        """Whether it is a terminal, and not a file."""
        return not self.is_lost and self._stream.isatty()

    def fileno(self) -> int:
        """Its file descriptor."""
        return self._stream.fileno()

    def _try(self, act: Callable[[], object]) -> None:
        if self.is_lost:
            return
        try:
            act()
        except (OSError, ValueError):
            self.is_lost = True
            if self.on_lost is not None:
                self.on_lost()


async def hardware_lines(setup: RunSetup) -> list[str]:
    """What a user must know of the hardware before the run begins, from the gateway of this process."""
    hardware = setup.world.placement.hardware
    if not hardware:
        return []
    lines = [f"hardware: {len(hardware)} devices; "]
    if not setup.gateways:
        lines[0] += "none is armed in this process: the gateway is elsewhere and says what it has armed"
    for service in setup.gateways:
        said = await arming(service.gateway.actuators)
        armed = sum(a.limits.real and a.limits.armed for a in service.gateway.actuators)
        lines[0] += f"{armed} inverters armed in this process"
        lines += said
    if sys.stdin.isatty():
        lines.append(f"press {KEY} to bring all devices to their safe values at once")
    return lines


@contextmanager
def stops_on_key(setup: RunSetup, say: Callable[[str], None]) -> Iterator[None]:
    """A key in the terminal stops all devices, whatever process their gateway is in, and shows the answer."""
    tasks: set[asyncio.Task[None]] = set()

    async def ask(reason: str) -> None:
        try:
            stopped = await stop_run(Whereabouts(setup.run_id, setup.url), reason, _STOP_PATIENCE_S, say)
            say(summary_line(stopped))
        except SharegridError as error:
            say(str(error))

    def stop() -> None:
        reason = f"key {KEY} in the terminal"
        # Those of this process need no broker for it.
        for service in setup.gateways:
            service.stop_now("terminal", reason)
        tasks.add(asyncio.create_task(ask(reason)))

    with on_key(stop):
        yield


@contextmanager
def ends_on_signal(clock: Clock, setup: RunSetup, terminal: Terminal) -> Iterator[list[int]]:
    """Ctrl-C, a termination or a lost terminal ends the run after the present interval; a second one at once.

    Armed hardware goes to its safe value without waiting for that. Yields the signals that came.
    """
    main, node = asyncio.current_task(), clock.node
    signalled: list[int] = []
    tasks: set[asyncio.Task[None]] = set()

    def take(number: int) -> None:
        signalled.append(number)
        if len(signalled) > 1 and main is not None:
            main.cancel()
            return
        if setup.arm and setup.world.placement.hardware:
            reason = f"{signal.Signals(number).name} to the run"
            for service in setup.gateways:
                service.stop_now("run", reason)
            if not setup.gateways:
                topic = node.topics.stop(node.name)
                tasks.add(asyncio.create_task(node.publish(topic, Stop, node.tick, reason=reason)))
        clock.stop()

    loop = asyncio.get_running_loop()
    terminal.on_lost = lambda: loop.call_soon_threadsafe(take, signal.SIGHUP)
    if terminal.is_lost:
        terminal.on_lost()
    with on_signals(take):
        try:
            yield signalled
        finally:
            terminal.on_lost = None


@contextmanager
def on_signals(take: Callable[[int], None]) -> Iterator[None]:
    """Call ``take`` for each signal that ends a process; a SIGHUP that is ignored, as by nohup, stays so.

    Only the main thread hears signals: in another one, as below a notebook, they are left to whoever runs it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, take, number)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
