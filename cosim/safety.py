"""Hardware of a run and its user: what is said of it at the start, and what brings it to its safe values.

That is a key, a signal, or a terminal that is lost.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from broker.messages import Stop
from cosim.control.clock import Clock
from cosim.emergency import KEY, RunAddress, on_key, stop_run, summary_line, takes_keys
from cosim.results.names import SCENARIO
from cosim.run_setup import RunningGateway, RunSetup
from cosim.scenario import Scenario, ScenarioError, load_scenario
from cosim.scenario.envelopes import envelope_changes
from cosim.terminal import watch_terminal
from cosim.world.world import World
from sharegrid.errors import SharegridError


class ArmingError(SharegridError):
    """Hardware that must not be armed as its scenario says."""


_STOP_WAIT_S = 30.0
_TELL_WITHIN_S = 2.0


def arming_doubts(world: World) -> list[str]:
    """What is doubtful of hardware that a run wants to arm, to be said before it does.

    Raises
    ------
    ArmingError
        An armed device's envelope is so far beyond its rating that its unit must be mistaken.
    """
    for doubt in world.envelope_doubts:
        if doubt.forbids:
            raise ArmingError(f"--arm: {doubt.line}")
    return [f"DOUBTFUL: {doubt.line}" for doubt in world.envelope_doubts]


def owners_changes(scenario: Scenario, file: str, out: Path) -> list[str]:
    """What the owner changed for hardware that a run is to be armed with again, to be said before it is.

    A run goes on as it began, with the envelopes of then: its results are those of one world. So where the
    owner's scenario lets it do less by now, it is not armed.

    Parameters
    ----------
    scenario
        Scenario as the run began.
    file
        Path of the scenario that it was started from; empty where that is not known.
    out
        Its directory.

    Raises
    ------
    ArmingError
        The owner's scenario lets it do less than the run's, or cannot be read.
    """
    if not file or not Path(file).exists():
        return [
            f"--arm: envelopes are those of {out / SCENARIO}; the one that it was started from is not there"
        ]
    remedy = "start a new run with it, or read the devices only: leave out --arm"
    try:
        changes = envelope_changes(scenario, load_scenario(file))
    except ScenarioError as error:
        raise ArmingError(f"--arm: {error}; whether it lets less be done by now cannot be told") from None
    for change in changes:
        if change.forbids:
            raise ArmingError(
                f"--arm: in {file} {change.line}; the run has what stands in {out / SCENARIO}: {remedy}"
            )
    return [
        f"--arm: in {file} {change.line}; the run goes on with what was, which is less" for change in changes
    ]


async def hardware_lines(setup: RunSetup) -> list[str]:
    """What a user must know of the hardware before the run begins, from the gateway of this process."""
    hardware = setup.world.placement.hardware
    if not hardware:
        return (
            ["--arm: this scenario names no hardware ([[devices]]), so nothing is armed"] if setup.arm else []
        )
    lines = [f"hardware: {len(hardware)} devices; "]
    if not setup.gateways:
        lines[0] += "none is armed in this process: the gateway is elsewhere and says what it has armed"
    for service in setup.gateways:
        lines[0] += f"{service.armed} inverters armed in this process"
        lines += await service.arming()
    if takes_keys():
        lines.append(f"press {KEY} to bring all devices to their safe values at once")
    return lines


@contextmanager
def stops_on_key(setup: RunSetup, say: Callable[[str], None]) -> Iterator[None]:
    """A key in the terminal stops all devices, whatever process their gateway is in, and shows the answer."""
    tasks: set[asyncio.Task[None]] = set()

    async def ask(reason: str) -> None:
        try:
            stopped = await stop_run(RunAddress(setup.run_id, setup.url), reason, _STOP_WAIT_S, say)
            say(summary_line(stopped))
        except SharegridError as error:
            say(str(error))

    loop = asyncio.get_running_loop()

    def stop() -> None:
        """Stop, from a thread that waits for nothing that this process computes."""
        reason = f"key {KEY} in the terminal"
        # Those of this process need no broker for it.
        for service in setup.gateways:
            service.stop_now("terminal", reason)
        loop.call_soon_threadsafe(lambda: tasks.add(loop.create_task(ask(reason))))

    with on_key(stop):
        yield


class Ending:
    """What signals do to a process of a run: they end it at once, or a run after its present interval.

    Hardware that its gateways command goes to its safe value in either case, before their run begins, too.

    Attributes
    ----------
    gateways
        Gateways of this process, as they are made.
    signals
        Those that came.
    """

    def __init__(self) -> None:
        self.gateways: list[RunningGateway] = []
        self.signals: list[int] = []
        self._main = asyncio.current_task()
        self._run: tuple[Clock, bool] | None = None
        self._telling: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()

    @contextmanager
    def after_interval(self, clock: Clock, *, commands: bool) -> Iterator[None]:
        """Let the first signal end the run after the present interval; a second one ends it at once.

        Parameters
        ----------
        clock
            Clock of the run.
        commands
            Whether hardware is commanded in the run, here or elsewhere.
        """
        self._run = clock, commands
        try:
            yield
        finally:
            self._run = None

    def at_once(self, number: int) -> None:
        """Do what must not wait for the event loop."""
        for gateway in self.gateways:
            if self._run is None:
                gateway.end_now()
            elif self._run[1]:
                gateway.stop_now("run", _reason(number))

    def take(self, number: int) -> None:
        """End the process, or ask the clock to end the run."""
        self.signals.append(number)
        if self._run is None:
            self._cancel()
        elif len(self.signals) > 1:
            self._ending.add(asyncio.create_task(self._end()))
        else:
            clock, commands = self._run
            if commands and not self.gateways:
                node = clock.node
                topic = node.topics.stop(node.name)
                said = node.publish(topic, Stop, node.tick, reason=_reason(number))
                self._telling = asyncio.create_task(said)
            clock.stop()

    async def _end(self) -> None:
        # Whoever commands the hardware from elsewhere must hear of it before this process is gone.
        if self._telling is not None:
            await asyncio.wait({self._telling}, timeout=_TELL_WITHIN_S)
        self._cancel()

    def _cancel(self) -> None:
        if self._main is not None:
            self._main.cancel()


@contextmanager
def ends_on_signal() -> Iterator[Ending]:
    """Ctrl-C, a termination or a lost terminal ends this process; to be entered before anything is armed."""
    ending = Ending()
    with on_signals(ending.take, ending.at_once):
        yield ending


def _reason(number: int) -> str:
    return f"{signal.Signals(number).name} to the run"


@contextmanager
def on_signals(
    take: Callable[[int], None], at_once: Callable[[int], None] = lambda _: None
) -> Iterator[None]:
    """Call ``take`` for each signal that ends a process, and for a terminal that is lost as for a SIGHUP.

    The event loop calls ``take``, and ``at_once`` is called before that although the loop may be busy. A
    terminal that closes may send several SIGHUP, from the system and from its shell: they count once. Where
    SIGHUP is ignored, as by nohup, a lost terminal ends nothing. Only the main thread hears signals: in
    another one, as below a notebook, they are left to whoever runs it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    is_hung_up = False

    def hang_up() -> None:
        nonlocal is_hung_up
        if not is_hung_up:
            is_hung_up = True
            at_once(signal.SIGHUP)
            take(signal.SIGHUP)

    ends_on_hangup = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    numbers = [signal.SIGINT, signal.SIGTERM]
    for number in numbers:
        loop.add_signal_handler(number, take, number)
    if ends_on_hangup:
        loop.add_signal_handler(signal.SIGHUP, hang_up)
        numbers.append(signal.SIGHUP)
    for number in numbers:
        # The system itself wakes the loop; this comes beside it, between two steps of whatever computes.
        signal.signal(number, lambda number, _: at_once(number))
    watch = loop.create_task(watch_terminal(hang_up if ends_on_hangup else lambda: None))
    try:
        yield
    finally:
        watch.cancel()
        for number in numbers:
            loop.remove_signal_handler(number)
