"""Options of ``sharegrid run`` and ``serve``, and what follows from them before anything is built."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from broker.address import parse_address
from broker.topics import topic_safe
from cosim.control.coupling import Coupling
from cosim.control.pacing import Pacing
from cosim.results.comparison import same_but_for_faults
from cosim.results.directory import refuse_unwritable, replaceable_files, run_directory
from cosim.results.ledger_reader import LedgerReader
from cosim.results.lock import refuse_living
from cosim.results.names import LEDGER, RUNS, SCENARIO
from cosim.results.reader import Run, load
from cosim.scenario import Scenario, load_scenario, resolved_toml
from cosim.scenario.changes import Changes
from cosim.scenario.secrets import masked, without_passwords
from cosim.scenario.web import webhook_of
from cosim.world.names import ROLES, Role
from sharegrid.decoding import decode_toml
from sharegrid.errors import SharegridError

# Live prosumers times intervals, from which a process of the devices' own brings more than its start costs.
MANY_READINGS = 2_000


class RunError(SharegridError):
    """Options of a run that cannot be used together."""


@dataclass(frozen=True)
class RunOptions:
    """Options of ``sharegrid run`` and ``serve`` as given; ``None`` means not given."""

    scenario: Path | None = None
    changes: Changes = field(default_factory=dict)
    intervals: int | None = None
    start: str | None = None
    out: Path | None = None
    pace: str = "fast"
    broker: str | None = None
    seed: int | None = None
    force: bool = False
    run_id: str | None = None
    elsewhere: tuple[str, ...] = ()
    arm: bool = False
    observe: bool = False
    without_faults: bool = False
    against: Path | None = None
    secure: bool = False
    resume: Path | None = None
    metrics: str | None = None
    processes: bool = False
    spares: bool = False
    view: int | None = None
    record: int | None = None
    couple: Callable[[Any], AbstractAsyncContextManager[Coupling]] | None = None

    def load(self) -> Scenario:
        """The scenario with these overrides."""
        kept = None if self.resume is None else self.resume / SCENARIO
        scenario = load_scenario(
            kept or self.scenario,
            intervals=self.intervals,
            seed=self.seed,
            start=self.start,
            changes=self.changes,
        )
        return msgspec.structs.replace(scenario, faults=()) if self.without_faults else scenario

    def name(self) -> str:
        """Run id: as given or as it was, or the scenario's name and the time."""
        if self.resume is not None:
            with LedgerReader.open(self.resume / LEDGER) as ledger:
                return ledger.run
        stem = "default" if self.scenario is None else self.scenario.stem
        run_id = self.run_id or f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}"
        if not topic_safe(run_id):
            raise RunError(f"--run-id {run_id}: use letters, digits, dot, dash, colon and underscore only")
        return run_id

    def directory(self) -> Path:
        """Run directory: as given, or named after the run."""
        if self.resume is not None:
            return Path(self.resume)
        return Path(RUNS) / self.name() if self.out is None else Path(self.out)


@dataclass(frozen=True)
class RunPlan:
    """What follows from a run's options before anything is built.

    Attributes
    ----------
    options, scenario, pacing
        As given, loaded and read.
    run_id, out
        Name of the run and its directory.
    broker
        Which broker carries it, as `broker.server.choose.open_broker` takes it.
    fault_free
        The run without faults to compare it with, if there is one.
    """

    options: RunOptions
    scenario: Scenario
    pacing: Pacing
    run_id: str
    out: Path
    broker: str
    fault_free: Run | None

    @property
    def own(self) -> list[Role]:
        """Roles that this process hosts, or has processes for."""
        apart = [Role.LAM] if self.scenario.market.lam_shares else []
        return [role for role in (*ROLES, *apart) if role not in self.options.elsewhere]

    def apart(self, readings: int, *, hardware: bool) -> list[Role]:
        """Own roles that get processes: all with ``--processes``, else devices where much is emulated.

        Hardware stays in the run's process, so that its key and signals need no other. So do devices where
        somebody reads the process's metrics.

        Parameters
        ----------
        readings
            Number of live prosumers, times intervals.
        hardware
            Whether there are devices outside the run.
        """
        if self.options.processes:
            return self.own
        stay = hardware or self.options.without_faults or self.options.metrics is not None
        are_apart = readings >= MANY_READINGS and not stay
        return [role for role in self.own if are_apart and role is Role.DEVICES]


def plan_run(options: RunOptions) -> RunPlan:
    """Plan of a run; raises where its options cannot be used together, or its directory is taken."""
    if options.resume is not None:
        _check_resume(options)
    scenario = options.load()
    webhook_of(scenario)
    pacing = Pacing.parse(options.pace)
    run_id = options.name()
    out = replace(options, run_id=run_id).directory()
    broker = options.broker or scenario.broker.use
    if options.elsewhere and "://" not in broker:
        raise RunError("--elsewhere needs a broker that other processes reach: add --broker mqtt://HOST:PORT")
    if options.secure and "://" in broker and not parse_address(broker).tls:
        raise RunError(f"--secure: {masked(broker)} is not encrypted; give mqtts://HOST:PORT?credentials=DIR")
    if options.spares and not options.processes:
        raise RunError("--spares: roles are served by the run's own process; add --processes")
    if options.arm and options.observe:
        raise RunError("--arm lets devices be written and --observe lets none: give one of them")
    if options.resume is None:
        replaceable_files(out, force=options.force)
        refuse_unwritable(out)
    return RunPlan(options, scenario, pacing, run_id, out, broker, _fault_free_run(options, scenario))


def _check_resume(options: RunOptions) -> None:
    """Refuse what does not go with the run that is taken up again, or cannot be taken up."""
    directory = run_directory(Path(options.resume or ""))
    refused = {
        "SCENARIO": options.scenario,
        "--set": options.changes or None,
        "--intervals": options.intervals,
        "--start": options.start,
        "--seed": options.seed,
        "--out": options.out,
        "--force": options.force,
        "--run-id": options.run_id,
        "--without-faults": options.without_faults,
    }
    for name, value in refused.items():
        if value not in (None, False):
            raise RunError(f"--resume {directory}: the run goes on as it began; leave out {name}")
    refuse_living(directory)
    with LedgerReader.open(directory / LEDGER) as ledger:
        if not ledger.can_resume:
            raise RunError(f"--resume {directory}: that run is complete; there is nothing left of it to do")


def _fault_free_run(options: RunOptions, scenario: Scenario) -> Run | None:
    """The run without faults that this one is to be compared with."""
    if options.against is None:
        return None
    fault_free = load(options.against)
    if not scenario.faults:
        raise RunError(f"--against {options.against}: this run has no faults; leave it out")
    if fault_free.summary.unfinished is not None:
        raise RunError(f"--against {options.against}: that run is not over; let it go on with run --resume")
    if fault_free.summary.faults is not None:
        raise RunError(f"--against {options.against}: that run has faults too; make one --without-faults")
    if not same_but_for_faults(decode_toml(resolved_toml(without_passwords(scenario))), fault_free.scenario):
        raise RunError(
            f"--against {options.against}: that run had another scenario; give both the same, with the same "
            "--seed, --start and --intervals"
        )
    return fault_free
