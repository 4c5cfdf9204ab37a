"""Deterministic simulation: all services of a run on a virtual bus, clock, network and disk, from a seed."""

import asyncio
import shutil
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from unittest.mock import patch

import click
from msgspec.json import decode

import cosim.control_watch
import cosim.run_setup
import cosim.traffic.recording
from broker.messages import Step, Stop, encode
from broker.topics import Topics
from cosim.feeder.thread import FeederOwner
from cosim.results.ledger import Ledger
from cosim.results.writer import RunWriter
from tests.simulation.bus import SimulatedBroker
from tests.simulation.device_watch import DeviceWatch
from tests.simulation.network import PROCESS, Network
from tests.simulation.plan import ROLES
from tests.simulation.process import RUN, Killed, Process
from tests.simulation.town import town_of
from tests.simulation.virtual_loop import Hang, virtual_time

UNTIL_S = 3600.0
"""Virtual time after which a run that is not over hangs [s]."""

_AFTER_END_S = 120.0
_WRITES = ((Ledger, "post"), (Ledger, "begin_epoch"), (RunWriter, "append"), (RunWriter, "event"))


class Simulation:
    """A plan, played in a folder.

    Attributes
    ----------
    wrong
        What went wrong while it was played, in words.
    folder
        Disks of its processes; the last life of the control is in ``out``.
    opened
        Number of the message that opened each step of each tick.
    """

    def __init__(self, plan, folder, loop, draw, loses, *, records=False):
        self.plan = plan
        self.records = records
        self.folder = folder
        self.loop = loop
        self.draw = draw
        self.town = town_of(plan.variant)
        self.owner = FeederOwner(lambda: self.town.feeder)
        self.network = loop.network = Network(loop, draw)
        self.broker = SimulatedBroker(loop, draw, plan.weather, loses)
        self.broker.on_publish = self._note_message
        self.devices = DeviceWatch()
        self.wrong = []
        self.opened = {}
        self.is_over = False
        self._processes = {}
        self._left = list(plan.accidents)
        self._lives = 0
        self._writes = 0
        self._changed = asyncio.Event()

    @property
    def out(self):
        """Run directory of the control's present life."""
        return self.folder / f"control-{self._lives}"

    async def run(self):
        """Play the plan to its end."""
        # Never left: its feeder is the next simulation's, too.
        await self.owner.__aenter__()
        for name in (*ROLES, "control"):
            self.start(name)
        while not self.is_over:
            self._changed.clear()
            running = {process.task for process in self._processes.values()}
            changed = self.loop.create_task(self._changed.wait())
            await asyncio.wait({*running, changed}, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
            self._look()
        if not self.wrong and self._processes:
            await asyncio.wait([each.task for each in self._processes.values()], timeout=_AFTER_END_S)
            self._look()
            self.wrong += [f"{name} did not end with the run" for name in self._processes]
        self.wrong += self.devices.wrong

    async def clear(self):
        """End whatever still runs."""
        self.is_over = True
        for process in self._processes.values():
            process.kill()
        mine = asyncio.current_task()
        while rest := [task for task in asyncio.all_tasks() if task is not mine]:
            for task in rest:
                task.cancel()
            await asyncio.wait(rest)

    def _look(self):
        """Take note of processes that have ended by themselves."""
        for name in [name for name, process in self._processes.items() if process.task.done()]:
            if error := self._processes.pop(name).error():
                self.wrong.append(f"{name} ended by {error}")
            self.is_over |= bool(error) or name == "control"

    def start(self, name):
        """Start a process, which goes on with its disk."""
        has_ended = name != "control" and any(step == "end" for step, _ in self.opened)
        if self.is_over or has_ended or name in self._processes:
            return
        self.broker.note(f"start {name}")
        disk = self.out if name == "control" else self.folder / name
        self._processes[name] = Process(self, name, disk)
        self._changed.set()

    def kill(self, name, away_s):
        """Kill a process, and start it again after a while [s]."""
        process = self._processes.get(name)
        if process is None or process.task.done():
            return
        self.broker.note(f"kill {name}")
        del self._processes[name]
        if name == "control":
            # What the dead process still writes goes to a disk that nobody reads any more.
            before = self.out
            self._lives += 1
            if (before / "ledger.sqlite").exists():
                shutil.copytree(before, self.out)
        process.kill()
        self.loop.call_later(away_s, self.start, name)
        self._changed.set()

    @contextmanager
    def around(self):
        """Put the simulation in the place of broker and disk for the time of a ``with`` block."""
        with ExitStack() as stack:
            for module in (cosim.run_setup, cosim.control_watch, cosim.traffic.recording):
                stack.enter_context(patch.object(module, "connect", self.broker.connect))
            stack.enter_context(patch.object(click, "echo", lambda *_, **__: None))
            stack.enter_context(self.devices.watching())
            for kind, name in _WRITES:
                stack.enter_context(patch.object(kind, name, self._writing(getattr(kind, name))))
            yield

    def _writing(self, do):
        """A write to the control's disk, unless it dies of that."""

        def write(*arguments, **named):
            process = PROCESS.get()
            if process.is_dead:
                raise Killed
            self._writes += 1
            if self._writes == self.plan.torn_write:
                self.kill("control", self.draw.uniform(0.1, 5.0))
                raise Killed
            return do(*arguments, **named)

        return write

    def note_unheard(self, loop, context):
        """Handler of what nobody else hears of: a task that failed, and that no one waits for."""
        if not isinstance(context.get("exception"), Killed):
            self.wrong.append(f"nobody heard of: {context['message']}: {context.get('exception')!r}")

    def _note_message(self, number, topic, payload):
        self.devices.hear(topic, payload)
        if topic.endswith("/clock/step"):
            told = decode(payload, type=Step)
            self.opened.setdefault((told.step, told.tick), number)
        while self._left and self._left[0].message <= number:
            self.loop.call_soon(self._happen, self._left.pop(0))

    def _happen(self, accident):
        match accident.what:
            case "kill":
                self.kill(accident.process, accident.away_s)
            case "cut":
                process = self._processes.get(accident.process)
                self.broker.cut(lambda bus: bus.process is process, accident.away_s)
            case "broker":
                self.broker.cut(lambda bus: True, accident.away_s, forget=True)
            case "sleep":
                self.loop.slept_s += accident.away_s
            case "stop":
                stop = Stop(run=RUN, tick=0, sender="operator-1", seq=0, reason="tried")
                self.broker.publish(Topics(RUN).stop(stop.sender), encode(stop), retain=True)


@contextmanager
def played(plan, loses=None, *, records=False):
    """Simulation of a plan, played to its end or to where it hangs, for the time of a ``with`` block.

    ``loses`` is as for `SimulatedBroker`; with ``records`` the bus traffic is recorded, as by `run --record`.
    """
    town_of(plan.variant)
    draw = Random(f"simulation {plan.seed}")
    disk = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with (
        tempfile.TemporaryDirectory(prefix="simulation-", dir=disk) as folder,
        virtual_time(draw, UNTIL_S) as loop,
    ):
        simulation = Simulation(plan, Path(folder), loop, draw, loses, records=records)
        loop.set_exception_handler(simulation.note_unheard)
        with simulation.around():
            try:
                loop.run_until_complete(simulation.run())
            except Hang as hang:
                simulation.wrong.append(f"hangs: {hang}")
            trace = simulation.broker.trace
            loop.begin_anew()
            loop.run_until_complete(simulation.clear())
        simulation.trace = trace
        yield simulation
