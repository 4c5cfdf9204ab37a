"""What ``sharegrid run`` and ``sharegrid serve`` do: from options to a finished run directory."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import time
import tomllib
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from broker.messages import Stop
from broker.server.choose import open_broker
from broker.topics import topic_safe
from cosim.composition import Stage, control, perform, services
from cosim.control.clock import Clock, Pacing
from cosim.emergency import KEY, findable, on_key
from cosim.feeder.limits import beyond_at_start
from cosim.feeder.thread import FeederOwner
from cosim.feeder_setup.lam_table import open_feeder
from cosim.recording.summary import summarise
from cosim.report import write_report
from cosim.results.comparison import fault_cost, same_but_for_faults
from cosim.results.directory import LEDGER, FeederMap, Run, RunWriter, held_files, load
from cosim.results.entries import account_names
from cosim.results.ledger import Ledger
from cosim.results.summary_table import summary_table
from cosim.scenario import Scenario, load_scenario, resolved_toml
from cosim.world import World, build_world
from sharegrid.errors import SharegridError

ROLES = ("market", "feeder", "devices")
INTERRUPTED = 130


class RunError(SharegridError):
    """Options of a run that cannot be used together."""


@dataclass(frozen=True)
class RunOptions:
    """Options of ``sharegrid run`` and ``serve`` as given; ``None`` means not given."""

    scenario: Path | None = None
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

    def load(self) -> Scenario:
        """The scenario with these overrides."""
        scenario = load_scenario(self.scenario, intervals=self.intervals, seed=self.seed, start=self.start)
        return msgspec.structs.replace(scenario, faults=()) if self.without_faults else scenario

    def name(self) -> str:
        """Run id: as given, or the scenario's name and the time."""
        stem = "default" if self.scenario is None else self.scenario.stem
        run_id = self.run_id or f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}"
        if not topic_safe(run_id):
            raise RunError(f"--run-id {run_id}: use letters, digits, dot, dash, colon and underscore only")
        return run_id

    def directory(self) -> Path:
        """Run directory: as given, or named after the run."""
        return Path("runs") / self.name() if self.out is None else Path(self.out)


def run(scenario: str | Path | None = None, **options: Any) -> Run:
    """Run a scenario from Python and load what it wrote.

    Parameters
    ----------
    scenario
        A scenario file; without one the shipped summer day.
    options
        Fields of `RunOptions`: ``intervals``, ``start``, ``out``, ``pace``, ``broker``, ``seed`` and so on.

    Raises
    ------
    SharegridError
        Whatever a user can put right, in one line.
    """
    given = RunOptions(scenario=None if scenario is None else Path(scenario), **options)
    named = replace(given, run_id=given.name())
    run_command(named)
    return load(named.directory())


def run_command(options: RunOptions) -> int:
    """Run a scenario; returns the exit status: 0, or 130 when it was interrupted."""
    return _alone(_run(options))


def serve_command(options: RunOptions, roles: tuple[str, ...]) -> int:
    """Serve some roles of a run until its clock ends it."""
    return _alone(_serve(options, roles))


def _alone(main: Coroutine[Any, Any, int]) -> int:
    """Run the event loop; of a group of errors the first that is the user's business comes through."""
    try:
        return asyncio.run(main)
    except BaseExceptionGroup as group:
        raise _first(group) from group


def _first(group: BaseExceptionGroup) -> BaseException:
    leaf: BaseException = group
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    return leaf


async def _run(options: RunOptions) -> int:
    began = time.perf_counter()
    scenario = options.load()
    pacing = Pacing.parse(options.pace)
    run_id = options.name()
    out = replace(options, run_id=run_id).directory()
    choice = options.broker or scenario.broker.use
    if options.elsewhere and "://" not in choice:
        raise RunError("--elsewhere needs a broker that other processes reach: add --broker mqtt://HOST:PORT")
    if options.arm and options.observe:
        raise RunError("--arm lets devices be written and --observe lets none: give one of them")
    held_files(out, force=options.force)
    sound = _sound_run(options, scenario)
    roles = [role for role in ROLES if role not in options.elsewhere]
    console = Console(stderr=True)
    async with AsyncExitStack() as stack:
        with console.status("building feeder and population"):
            owner = await stack.enter_async_context(_feeder(scenario))
            world = build_world(scenario, owner.layout)
            _check_hardware(world, pacing)
            broker = await stack.enter_async_context(open_broker(choice, port=scenario.broker.port))
            stage = Stage(world, run_id, broker.url, owner, options.arm, options.observe)
            jobs = await stack.enter_async_context(services(stage, roles))
            # What has been built stays: looked through again and again by the collector, it would stop the
            # event loop for longer than anything else does.
            gc.freeze()
        writer = stack.enter_context(RunWriter(out, force=options.force))
        stack.enter_context(findable(out, run_id, broker.url))
        writer.scenario(resolved_toml(scenario))
        writer.feeder_map(feeder_map(world))
        for line in _hardware(world, options):
            click.echo(line, err=True)
        spot_kw = owner.layout.spot_kw
        state = await owner.solve(spot_kw, spot_kw * owner.layout.tan_phi)
        for note in [*owner.layout.notes, *beyond_at_start(state, world.limits)]:
            click.echo(f"feeder: {note}", err=True)
            writer.event({"tick": 0, "kind": "feeder", "source": "feeder", "detail": note})
        accounts = account_names(world.roster.prosumers, world.roster.lams)
        ledger = stack.enter_context(Ledger.create(out / LEDGER, accounts, run_id))
        progress = stack.enter_context(_progress(console))
        bar = progress.add_task("intervals", total=world.timeline.intervals)
        clock, recorder = await stack.enter_async_context(
            control(stage, writer, ledger, pacing, lambda _: progress.advance(bar))
        )
        failure: BaseExceptionGroup | None = None
        with _ends_on_signal(clock) as signalled, _stops_on_key(clock):
            try:
                await perform([*jobs, recorder.run, clock.run])
            except* SharegridError as group:
                failure = group
        # Whatever ended the run: what is complete is written down and said.
        summary = summarise(
            world,
            recorder.tally,
            writer,
            ledger,
            run_id=run_id,
            broker=broker.name,
            total_s=time.perf_counter() - began,
        )
        if sound is not None and summary["faults"] is not None:
            victims = {fault.prosumer for fault in world.faults}
            table = writer.table("intervals")
            if len(table) == len(sound.intervals):
                summary["faults"]["cost"] = fault_cost(table, ledger, sound, victims)
        summary["pacing"] = {"worst_lag_s": clock.lag.worst_s, "overruns": clock.lag.overruns}
        writer.finish(summary)
    page = write_report(load(out))
    Console().print(summary_table(summary))
    click.echo(f"results: {out}   report: {page}")
    if failure is not None:
        raise failure
    if signalled:
        complete = summary["intervals"]["settled"]
        click.echo(f"interrupted: {complete} intervals are complete and saved in {out}", err=True)
    return INTERRUPTED if signalled else 0


def _check_hardware(world: World, pacing: Pacing) -> None:
    hardware = world.wiring.hardware
    if hardware and pacing.factor != 1.0:
        names = ", ".join(str(each.endpoint) for each in hardware[:3])
        raise RunError(f'hardware ({names}) lives in real time: add --pace real, or set clock = "run"')


def _hardware(world: World, options: RunOptions) -> list[str]:
    """What a user must know of the hardware before the run begins."""
    hardware = [each for each in world.wiring.hardware if each.kind != "meter"]
    if not world.wiring.hardware:
        return []
    armed = 0 if options.observe else sum(each.guard(arm=options.arm).armed for each in hardware)
    counted = f"{len(world.wiring.hardware)} devices, {len(hardware)} of them inverters, {armed} armed"
    lines = [f"hardware: {counted}"]
    if sys.stdin.isatty():
        lines.append(f"press {KEY} to bring all devices to their safe values at once")
    return lines


@contextmanager
def _stops_on_key(clock: Clock) -> Iterator[None]:
    """A key in the terminal stops all devices, whatever process their gateway is in."""
    node, tasks = clock.node, set()

    def stop() -> None:
        topic = node.topics.stop(node.name)
        tasks.add(
            asyncio.create_task(node.publish(topic, Stop, node.tick, reason=f"key {KEY} in the terminal"))
        )

    with on_key(stop):
        yield


def _sound_run(options: RunOptions, scenario: Scenario) -> Run | None:
    """The run without faults that this one is to be compared with."""
    if options.against is None:
        return None
    sound = load(options.against)
    if not scenario.faults:
        raise RunError(f"--against {options.against}: this run has no faults; leave it out")
    if sound.summary["faults"] is not None:
        raise RunError(f"--against {options.against}: that run has faults too; make one --without-faults")
    if not same_but_for_faults(tomllib.loads(resolved_toml(scenario)), sound.scenario):
        raise RunError(
            f"--against {options.against}: that run had another scenario; give both the same, with the same "
            "--seed, --start and --intervals"
        )
    return sound


def _feeder(scenario: Scenario) -> FeederOwner:
    return FeederOwner(partial(open_feeder, scenario.feeder.master, scenario.tables.lams))


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


@contextmanager
def _ends_on_signal(clock: Clock) -> Iterator[list[int]]:
    """Ctrl-C or a termination ends the run after the present interval; a second one ends it at once.

    Yields the signals that came.
    """
    loop = asyncio.get_running_loop()
    signalled: list[int] = []

    def stop(number: int) -> None:
        signalled.append(number)
        loop.remove_signal_handler(number)
        clock.stop()

    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, stop, number)
    try:
        yield signalled
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


async def _serve(options: RunOptions, roles: tuple[str, ...]) -> int:
    scenario = options.load()
    run_id = options.name()
    choice = options.broker or scenario.broker.use
    if "://" not in choice:
        raise RunError("serve needs the broker of the run: add --broker mqtt://HOST:PORT")
    async with AsyncExitStack() as stack:
        owner = await stack.enter_async_context(_feeder(scenario))
        world = build_world(scenario, owner.layout)
        broker = await stack.enter_async_context(open_broker(choice, port=scenario.broker.port))
        click.echo(f"serving {', '.join(roles)} of run {run_id} at {broker.name}", err=True)
        await perform(
            await stack.enter_async_context(
                services(Stage(world, run_id, broker.url, owner, options.arm, options.observe), roles)
            )
        )
    return 0


def feeder_map(world: World) -> FeederMap:
    """Drawing of the world's feeder, for the report."""
    layout = world.layout
    return FeederMap(
        buses=dict(layout.coordinates),
        segments=[(segment.from_bus, segment.to_bus) for segment in layout.segments],
        lams=list(layout.lam_bus),
    )
