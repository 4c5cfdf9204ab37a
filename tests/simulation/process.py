"""Processes of a run in one virtual loop: the real services, killed as by the system, and started again."""

import contextvars
from contextlib import AsyncExitStack
from functools import partial

from cosim.composition import control, perform, perform_watched, services
from cosim.control.pacing import Pacing
from cosim.emergency import RECORD
from cosim.feeder.thread import FeederOwner
from cosim.feeder_setup.lam_table import feeder_of
from cosim.options import RunOptions, RunPlan
from cosim.recording.record import record_of
from cosim.run_results import finish_results, open_results, record_traffic
from cosim.run_setup import RunSetup
from cosim.traffic.file import RECORD_MB
from cosim.world.names import Role
from tests.simulation.network import PROCESS

RUN = "simulated"


class Killed(BaseException):
    """The process that runs this was killed."""


class Process:
    """One life of a process.

    Parameters
    ----------
    simulation
        Loop, broker, network and world.
    name
        ``control`` or a role.
    folder
        Its disk.

    Attributes
    ----------
    is_dead
        Whether it was killed: what it still does is seen by nobody.
    """

    def __init__(self, simulation, name, folder):
        self.simulation = simulation
        self.name = name
        self.folder = folder
        self.is_dead = False
        self.setup = None
        self.context = contextvars.copy_context()
        self.context.run(PROCESS.set, self)
        main = self._control() if name == "control" else self._role()
        self.task = simulation.loop.create_task(main, name=name, context=self.context)
        # Looked at here, as nobody may look at it later.
        self.task.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _role(self):
        async with AsyncExitStack() as stack:
            owner = None
            if self.name == Role.FEEDER:
                owner = await stack.enter_async_context(
                    FeederOwner(partial(feeder_of, self.simulation.town.scenario))
                )
            self.folder.mkdir(exist_ok=True)
            self.setup = RunSetup(
                self.simulation.town.world, RUN, "", owner, stop_record=self.folder / RECORD
            )
            jobs = await stack.enter_async_context(services(self.setup, [self.name]))
            await perform_watched(jobs, self.setup, self.name)

    async def _control(self):
        simulation, out = self.simulation, self.folder
        is_resumed = out.exists()
        options = RunOptions(
            run_id=RUN,
            out=out,
            resume=out if is_resumed else None,
            elsewhere=("market", "feeder", "devices"),
            record=RECORD_MB if simulation.records else None,
        )
        plan = RunPlan(options, simulation.town.scenario, Pacing(), RUN, out, "", None)
        async with AsyncExitStack() as stack:
            self.setup = RunSetup(simulation.town.world, RUN, "", simulation.owner)
            writer, ledger, beginning = await open_results(plan, self.setup, "", stack)
            first = ledger.next_tick
            await record_traffic(plan, self.setup, stack, writer, ledger)
            clock, recorder = await stack.enter_async_context(
                control(
                    self.setup,
                    writer,
                    ledger,
                    plan.pacing,
                    lambda tick: simulation.broker.note(f"interval {tick}"),
                    is_resumed=is_resumed,
                    elsewhere=[Role.MARKET, Role.FEEDER, Role.DEVICES],
                )
            )
            await perform([recorder.run, clock.run])
            record = record_of(
                beginning,
                recorder.counts,
                ledger,
                writer.table("intervals"),
                first=first,
                lag=clock.lag,
                total_s=1.0,
            )
            finish_results(writer, ledger, record)

    def kill(self):
        """Die at once: nothing that it still does reaches bus, network or disk."""
        if self.is_dead or self.task.done():
            return
        self.is_dead = True
        self.simulation.network.end(self)
        self.simulation.broker.end(self)
        self.task.cancel()

    def error(self):
        """What ended it, in words; empty where it ended as it should."""
        error = None if self.task.cancelled() or self.is_dead else self.task.exception()
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        return "" if error is None else repr(error)
