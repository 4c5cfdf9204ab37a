"""What ``sharegrid run`` and ``sharegrid serve`` do: from options to a finished run directory."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, TextIO, cast

import click
from rich.console import Console

from broker.server.choose import open_broker
from broker.server.handle import BrokerHandle
from cosim.composition import control, perform, perform_watched, reporters, services
from cosim.control.memory import lasting_spared, loading
from cosim.emergency import HARDWARE, RECORD, kept_stop, noted_address, stop_words
from cosim.feeder.thread import FeederOwner
from cosim.feeder_setup.lam_table import feeder_of
from cosim.narration import narrated, teller_of
from cosim.observation.server import metrics_of, observed
from cosim.options import RunError, RunOptions, RunPlan, plan_run
from cosim.processes import refuse_taken, role_processes, view_process
from cosim.progress import Progress, shown_progress
from cosim.readiness import load_ahead, made_ready
from cosim.recording.record import record_of
from cosim.report import write_report
from cosim.results.directory import count_others
from cosim.results.names import BROKER_LOG, QUARANTINE
from cosim.results.reader import load
from cosim.results.summary_table import summary_table
from cosim.run_results import (
    finish_results,
    flag_what_is_left,
    open_results,
    record_traffic,
    refuse_another_world,
    scenario_file,
    with_fault_cost,
)
from cosim.run_setup import RunSetup
from cosim.safety import (
    Ending,
    arming_doubts,
    ends_on_signal,
    hardware_lines,
    owners_changes,
    stops_on_key,
)
from cosim.scenario import Scenario
from cosim.scenario.secrets import masked
from cosim.security.opening import claim_roles, open_run_broker, warn_of
from cosim.terminal import TerminalStream
from cosim.turns import Shares, check_shares, has_turn
from cosim.world.build import build_world
from cosim.world.names import Role
from cosim.world.world import World
from sharegrid.errors import SharegridError

INTERRUPTED = 130


def run_command(options: RunOptions, on_progress: Callable[[Progress], object] | None = None) -> int:
    """Run a scenario; returns the exit status: 0, or 130 when it was interrupted.

    What ``on_progress``, called after each interval, raises ends the run after it, and is raised at the end.
    """
    return _alone(partial(_run, options, on_progress or (lambda _: None)))


def serve_command(options: RunOptions, roles: tuple[str, ...], *, is_spare: bool = False) -> int:
    """Serve some roles of a run until its clock ends it; as a spare, once no other process does."""
    return _alone(partial(_serve, options, roles, is_spare))


def _alone(main: Callable[[Ending], Coroutine[Any, Any, int]]) -> int:
    """Run the event loop; of a group of errors the first that is the user's business comes through.

    Signals are heard before anything is built, so that no hardware is armed while one would kill the process.
    """

    async def heard() -> int:
        with ends_on_signal() as ending:
            return await main(ending)

    try:
        return asyncio.run(heard())
    except asyncio.CancelledError:
        return INTERRUPTED
    except BaseExceptionGroup as group:
        raise _first(group) from group


def _first(group: BaseExceptionGroup) -> BaseException:
    leaf: BaseException = group
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    return leaf


async def _run(options: RunOptions, on_progress: Callable[[Progress], object], ending: Ending) -> int:
    began = time.perf_counter()
    plan = plan_run(options)
    others = count_others(plan.out)
    refuse_taken(options.view)
    await _forget_stop(plan)
    # In a notebook rich would want widgets, and its thread dies without them.
    console = Console(file=cast("TextIO", TerminalStream(sys.stderr)), force_jupyter=False)
    async with AsyncExitStack() as stack:
        with console.status("building feeder and population"):
            setup, broker = await _set_up(plan, stack, ending)
            beside = f", beside {others} of other names there" if others else ""
            click.echo(f"run {plan.run_id}: results go to {plan.out}{beside}", err=True)
            world = setup.world
            readings = len(world.roster.live_members) * world.timeline.intervals
            apart = plan.apart(readings, hardware=bool(world.placement.hardware))
            here = [role for role in plan.own if role not in apart]
            if "://" in plan.broker:  # Others may use it.
                await claim_roles(stack, setup.url, plan.run_id, world.speakers(here))
            started = await stack.enter_async_context(role_processes(plan, setup.url, apart))
            await made_ready(world, here, partial(click.echo, err=True))
            jobs = await stack.enter_async_context(services(setup, here))
            stack.enter_context(lasting_spared())
            if apart:
                await asyncio.gather(started(), asyncio.to_thread(load_ahead))
            coupling = None
            if options.couple is not None:
                console.print("waiting for the federation")
                coupling = await stack.enter_async_context(options.couple(setup))
        view = await stack.enter_async_context(view_process(options.view, setup.url, plan.run_id))
        if view:
            click.echo(f"view: {view}", err=True)
        writer, ledger, beginning = await open_results(plan, setup, broker.name, stack)
        first = ledger.next_tick
        await record_traffic(plan, setup, stack, writer, ledger)
        stack.enter_context(noted_address(plan.out, plan.run_id, setup.url))
        if world.placement.hardware:
            click.echo(f"stop it from another terminal: {stop_words(plan.out)}", err=True)
        for line in await hardware_lines(setup):
            click.echo(line, err=True)
        intervals = world.timeline.intervals
        progress = stack.enter_context(
            shown_progress(console, intervals, ledger.next_tick, plan.out, on_progress)
        )
        teller = await stack.enter_async_context(teller_of(progress.console, world, plan.out))
        clock, recorder = await stack.enter_async_context(
            control(
                setup,
                writer,
                ledger,
                plan.pacing,
                progress.show,
                is_resumed=options.resume is not None,
                elsewhere=[role for role in Role if role not in here],
                say=teller.say,
                coupling=coupling,
            )
        )
        progress.end, recorder.on_booked = clock.stop, progress.tell
        await stack.enter_async_context(narrated(recorder.node, world, reporters(world), teller))
        failure: BaseExceptionGroup | None = None
        commands = options.arm and bool(world.placement.hardware)
        with (
            ending.after_interval(clock, commands=commands),
            stops_on_key(setup, teller.say),
        ):
            try:
                await perform([*jobs, recorder.run, clock.run])
            except* SharegridError as group:
                failure = group
        flag_what_is_left(setup, writer)
        if failure is not None and not writer.is_held:
            raise failure
        # Whatever ended the run: what is complete is written down and said.
        counts = with_fault_cost(recorder.counts, plan, world, writer, ledger)
        total_s = time.perf_counter() - began
        table = writer.table("intervals")
        record = record_of(beginning, counts, ledger, table, first=first, lag=clock.lag, total_s=total_s)
        summary = finish_results(writer, ledger, record)
    Console(force_jupyter=False).print(summary_table(summary))
    page = write_report(load(plan.out))
    click.echo(f"results: {plan.out}   report: {page}")
    if failure is not None:
        raise failure
    progress.raise_error()
    if ending.signals:
        complete = summary.intervals.settled
        click.echo(f"interrupted: {complete} intervals are complete and saved in {plan.out}", err=True)
    return INTERRUPTED if ending.signals else 0


async def _set_up(plan: RunPlan, stack: AsyncExitStack, ending: Ending) -> tuple[RunSetup, BrokerHandle]:
    """World and broker of a run."""
    with loading():
        owner = await stack.enter_async_context(_feeder(plan.scenario))
        world = build_world(plan.scenario, owner.layout)
    if plan.options.resume is not None:
        refuse_another_world(plan, world)
    _check_hardware(world, plan)
    _say_doubts(world, arm=plan.options.arm)
    if plan.options.resume is not None and plan.options.arm and world.placement.hardware:
        for line in owners_changes(plan.scenario, scenario_file(plan), plan.out):
            click.echo(line, err=True)
    log = plan.out / BROKER_LOG if plan.options.secure else None
    port = plan.scenario.broker.port
    broker = await open_run_broker(stack, plan.broker, port, world, plan.run_id, log)
    options = plan.options
    setup = RunSetup(
        world,
        plan.run_id,
        broker.url,
        owner,
        options.arm,
        options.observe,
        quarantine=plan.out / QUARANTINE,
        stop_record=plan.out / RECORD,
        hardware_record=plan.out / HARDWARE,
        stop_by=(str(plan.out.absolute()),),
        gateways=ending.gateways,
        metrics=metrics_of(options.metrics),
    )
    await stack.enter_async_context(observed(setup.metrics, options.metrics))
    return setup, broker


def _check_hardware(world: World, plan: RunPlan) -> None:
    hardware = world.placement.hardware
    names = ", ".join(str(each.endpoint) for each in hardware[:3])
    if hardware and plan.options.couple is not None:
        raise RunError(
            f"hardware ({names}) lives in real time and cannot wait for a federation: leave it out"
        )
    if hardware and plan.pacing.factor != 1.0:
        raise RunError(f'hardware ({names}) lives in real time: add --pace real, or set clock = "run"')


def _say_doubts(world: World, *, arm: bool) -> None:
    for line in arming_doubts(world) if arm else ():
        click.echo(line, err=True)


async def _forget_stop(plan: RunPlan) -> None:
    """Let a run that replaces another begin without its emergency stop; refuse any other of its name.

    Over a run that is taken up again a stop stays in force.
    """
    if plan.options.resume is not None:
        return
    if "://" in plan.broker:
        force = plan.options.force
        reason = await kept_stop(plan.broker, plan.run_id, clear=force)
        if reason is not None and not force:
            raise RunError(
                f"run {plan.run_id} was stopped ({reason}): choose another --run-id, or add --force"
            )
    record = plan.out / RECORD
    if record.exists() and not plan.options.force:
        raise RunError(f"{record}: the run here was stopped: choose another directory, or add --force")
    record.unlink(missing_ok=True)


def _feeder(scenario: Scenario) -> FeederOwner:
    return FeederOwner(partial(feeder_of, scenario))


async def _serve(options: RunOptions, roles: tuple[str, ...], is_spare: bool, ending: Ending) -> int:
    scenario = options.load()
    run_id = options.name()
    choice = options.broker or scenario.broker.use
    if "://" not in choice:
        raise RunError("serve needs the broker of the run: add --broker mqtt://HOST:PORT")
    async with AsyncExitStack() as stack:
        with loading():
            owner = await stack.enter_async_context(_feeder(scenario))
            world = build_world(scenario, owner.layout)
        _say_doubts(world, arm=options.arm and Role.DEVICES in roles)
        if serves_shares := Role.LAM in roles:
            check_shares(world, roles, is_spare=is_spare)
        broker = await stack.enter_async_context(open_broker(choice, port=scenario.broker.port))
        warn_of(broker.url)
        speakers = world.speakers(map(Role, roles))
        if not (is_spare or serves_shares):
            await claim_roles(stack, broker.url, run_id, speakers)
        setup = RunSetup(
            world,
            run_id,
            broker.url,
            owner,
            options.arm,
            options.observe,
            stop_record=options.directory() / RECORD,
            hardware_record=options.directory() / HARDWARE,
            stop_by=("--broker", masked(broker.url), "--run-id", run_id),
            gateways=ending.gateways,
            metrics=metrics_of(options.metrics),
        )
        await stack.enter_async_context(observed(setup.metrics, options.metrics))
        if is_spare and not await has_turn(stack, setup, speakers):
            return 0
        await made_ready(world, roles, partial(click.echo, err=True))
        jobs = [] if serves_shares else await stack.enter_async_context(services(setup, roles))
        stack.enter_context(lasting_spared())
        click.echo(f"serving {', '.join(roles)} of run {run_id} at {broker.name}", err=True)
        for line in await hardware_lines(setup) if "devices" in roles else ():
            click.echo(line, err=True)
        if serves_shares:
            await Shares(setup).serve()
        else:
            await perform_watched(jobs, setup, speakers[0][1])
    return 0
