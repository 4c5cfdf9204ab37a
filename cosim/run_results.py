"""The run directory of a run: opened, its beginning and its end written, its faults counted."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from importlib.metadata import version

import click
import msgspec
import numpy as np

from broker.snapshot import part, unpack
from cosim.emergency import RECORD
from cosim.feeder.limits import beyond_at_start
from cosim.feeder.under_events import FeederUnderEvents
from cosim.feeder_setup.schedule import after_the_end
from cosim.options import RunError, RunPlan
from cosim.recording.feeder_map import feeder_map
from cosim.recording.record import beginning_of
from cosim.recording.run_counts import RunCounts
from cosim.results.beginning import Beginning, read_beginning
from cosim.results.comparison import fault_cost
from cosim.results.directory import is_scenario_changed
from cosim.results.entries import account_names
from cosim.results.ledger import Ledger
from cosim.results.ledger_reader import LedgerReader
from cosim.results.names import LEDGER, SCENARIO, TRAFFIC
from cosim.results.summarising import RunRecord, build_summary
from cosim.results.summary import Summary
from cosim.results.writer import RunWriter
from cosim.run_setup import RunSetup
from cosim.scenario import resolved_toml
from cosim.scenario.secrets import without_passwords
from cosim.traffic.file import RECORD_MB
from cosim.traffic.recording import recorded, session_now
from cosim.world.names import FEEDER, RECORDER
from cosim.world.world import World


async def open_results(
    plan: RunPlan, setup: RunSetup, broker: str, stack: AsyncExitStack
) -> tuple[RunWriter, Ledger, Beginning]:
    """Tables and ledger of a new run, or of the one that is taken up again, and what it begins as.

    ``broker`` is the name of the broker that carries it; ``stack`` closes them.
    """
    path, world = plan.out / LEDGER, setup.world
    begins = partial(
        beginning_of,
        world,
        run_id=plan.run_id,
        broker=broker,
        pacing=plan.pacing,
        scenario_file=scenario_file(plan),
    )
    if plan.options.resume is None:
        writer = stack.enter_context(RunWriter(plan.out, force=plan.options.force))
        await _write_beginning(plan, setup, writer)
        writer.beginning(beginning := begins())
        accounts = account_names(world.roster.prosumers, world.roster.lams)
        return (
            writer,
            stack.enter_context(Ledger.create(path, accounts, plan.run_id, world.digest)),
            beginning,
        )
    refuse_another_world(plan, world)
    with LedgerReader.open(path) as kept:
        ticks = kept.ticks()
    writer = stack.enter_context(RunWriter.resume(plan.out, ticks))
    writer.beginning(beginning := begins())
    writer.event({"tick": len(ticks), "kind": "resumed", "detail": f"{len(ticks)} intervals were settled"})
    if (plan.out / RECORD).exists():
        click.echo("the emergency stop of this run is still in force", err=True)
    return writer, stack.enter_context(Ledger.resume(path)), beginning


def refuse_another_world(plan: RunPlan, world: World) -> None:
    """Raise ``RunError`` where a run that is taken up again cannot go on in its world; says what changed.

    That is so where the world is another by now, or another commit wrote what the recorder remembers.
    """
    with LedgerReader.open(plan.out / LEDGER) as kept:
        if kept.world != world.digest:
            raise RunError(f"--resume {plan.out}: {_what_changed(plan, world)}")
        content = kept.snapshots().get(RECORDER)
    if content is None:
        return
    try:
        RunCounts(*np.zeros((3, world.population.size))).restore(part(unpack(content), "counts"))
    except ValueError as error:
        begun = read_beginning(plan.out)
        by = f"commit {begun.origin.commit}" if begun and begun.origin.commit else "another commit"
        raise RunError(
            f"--resume {plan.out}: its checkpoint, by {by} of sharegrid, does not fit this one ({error}): "
            "go on with that commit, or start a new run"
        ) from None


def scenario_file(plan: RunPlan) -> str:
    """Path of the scenario that a run was started from; empty for the default one, and where nobody knows."""
    if plan.options.resume is not None:
        begun = read_beginning(plan.out)
        return "" if begun is None else begun.scenario_file
    return "" if plan.options.scenario is None else str(plan.options.scenario.absolute())


def _what_changed(plan: RunPlan, world: World) -> str:
    """Why a run cannot go on in its world, which is another by now, and what to do about it."""
    or_new = "or start a new run"
    if is_scenario_changed(plan.out):
        return (
            f"its {SCENARIO} was edited since it began, and a run goes on as it began: undo that, {or_new} "
            f"with that file"
        )
    begun = read_beginning(plan.out)
    kept = {} if begun is None else begun.origin.inputs
    files = sorted(name for name in kept.keys() | world.inputs if kept.get(name) != world.inputs.get(name))
    if files and begun is not None:
        named = "file that its scenario names" if len(files) == 1 else "files that its scenario names"
        return f"the {named} changed since it began ({', '.join(files)}): put back what was there, {or_new}"
    was = "" if begun is None else begun.origin.versions.get("sharegrid", "")
    if was and was != (now := version("sharegrid")):
        return f"sharegrid is {now} by now and was {was} when it began: install that one, {or_new}"
    return f"a profile or module of your own changed since it began: put back what was there, {or_new}"


async def record_traffic(
    plan: RunPlan, setup: RunSetup, stack: AsyncExitStack, writer: RunWriter, ledger: Ledger
) -> None:
    """Record the bus traffic of a run where that is asked for, or was when it began.

    Parameters
    ----------
    stack
        Holds the recording.
    writer, ledger
        Results of the run, opened.
    """
    path, most_mb = plan.out / TRAFFIC, plan.options.record
    if most_mb is None and (plan.options.resume is None or not path.exists()):
        return

    def note(what: str) -> None:
        click.echo(what, err=True)
        writer.event({"tick": ledger.next_tick, "kind": "flag", "detail": what})

    session = session_now(plan.run_id, setup.world.digest, ledger.next_tick, ledger.epoch, ledger.snapshots())
    most_bytes = (most_mb or RECORD_MB) * 2**20
    await stack.enter_async_context(recorded(path, most_bytes, setup.url, session, note))


async def _write_beginning(plan: RunPlan, setup: RunSetup, writer: RunWriter) -> None:
    """Write down what is known before the first interval, and say what is odd about the feeder."""
    owner, world = setup.owner, setup.world
    assert owner is not None
    if writer.kept is not None:
        click.echo(f"the scenario that you changed stays as {writer.kept}", err=True)
    writer.scenario(resolved_toml(without_passwords(plan.scenario)))
    writer.feeder_map(feeder_map(world))
    spot_kw = owner.layout.spot_kw
    state = await owner.perform(
        lambda feeder: FeederUnderEvents(feeder).solve(spot_kw, spot_kw * world.layout.tan_phi)
    )
    late = after_the_end(world.scenario.events, world.timeline)
    for note in [*owner.layout.notes, *beyond_at_start(state, world.limits), *late]:
        click.echo(f"feeder: {note}", err=True)
        writer.event({"tick": 0, "kind": "feeder", "source": FEEDER, "detail": note})


def with_fault_cost(
    counts: RunCounts, plan: RunPlan, world: World, writer: RunWriter, ledger: Ledger
) -> RunCounts:
    """Counts of a run with what its faults cost, where a whole run without them is there to compare."""
    if plan.fault_free is None or counts.faults is None:
        return counts
    table = writer.table("intervals")
    if len(table) != len(plan.fault_free.intervals):
        return counts
    affected = {fault.prosumer for fault in world.faults}
    cost = fault_cost(table, ledger, plan.fault_free, affected)
    return replace(counts, faults=msgspec.structs.replace(counts.faults, cost=cost))


def flag_what_is_left(setup: RunSetup, writer: RunWriter) -> None:
    """Write down which hardware could not be handed back."""
    last = setup.world.timeline.intervals - 1
    for gateway in setup.gateways:
        for line in gateway.left:
            writer.event({"tick": last, "kind": "flag", "detail": f"not handed back: {line}"})


def finish_results(writer: RunWriter, ledger: Ledger, record: RunRecord) -> Summary:
    """Write the summary, and let nobody take up a run that is complete."""
    summary = build_summary(writer.table("intervals"), writer.table("prosumers"), record)
    writer.finish(summary)
    if ledger.next_tick >= record.planned:
        ledger.finish()
    return summary
