"""The recorder on the bus: settles each interval into the ledger and writes what happened to the tables.

It takes no part in the market. It settles an interval once all its messages are in or the step's deadline has
passed, and holds each interval's row back until the next one begins, so that flags raised while settling and
the duration of the last step are still in it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from broker.messages import (
    Audit,
    Done,
    Facts,
    FeederState,
    Rejected,
    Settled,
    Snapshot,
    Step,
    Stopped,
    columns,
)
from broker.participant.node import Node
from broker.participant.reports import Allowance
from broker.participant.serving import RestoreFailed, serve
from broker.snapshot import Values, array_of, pack, part, typed, unpack
from cosim.control.pacing import STEPS
from cosim.control.waiting import WallClock
from cosim.recording.counters import Counters
from cosim.recording.events import rejected_event, stopped_event
from cosim.recording.fault_tracker import FaultTracker
from cosim.recording.interval import read_interval
from cosim.recording.interval_flags import IntervalFlags
from cosim.recording.interval_messages import IntervalCollector, IntervalMessages
from cosim.recording.network_rows import (
    connection_columns,
    current_columns,
    limit_columns,
    position_columns,
)
from cosim.recording.outlook_rows import outlook_tables
from cosim.recording.payments import book_payments, negative_surplus, uplift_error
from cosim.recording.rows import (
    device_columns,
    feeder_flags,
    interval_row,
    lam_columns,
    node_columns,
    payment_columns,
    prosumer_columns,
)
from cosim.recording.run_counts import RunCounts
from cosim.recording.run_facts import facts_content, run_facts, settled_fields
from cosim.results.ledger import Ledger
from cosim.results.writer import RunWriter
from cosim.world.names import FEEDER
from cosim.world.world import World

MOST_REJECTED = 10_000
"""Refused messages that stand among the events one by one; of more only the number does."""


class Recorder:
    """Service: ledger, tables and events of a run; ``begins_again`` says whether lost intervals do.

    ``on_booked`` is called with each interval that is booked.
    """

    def __init__(
        self, node: Node, world: World, writer: RunWriter, ledger: Ledger, *, begins_again: bool
    ) -> None:
        self.node = node
        self.world = world
        self.writer = writer
        self.ledger = ledger
        self.begins_again = begins_again
        self.on_booked: Callable[[int], None] = lambda _: None
        self.counts = RunCounts(*np.zeros((3, world.population.size)))
        self.counters = Counters.unread(world.population.size)
        others = [name for name in world.services if name != node.name]
        self.collector = IntervalCollector(
            node,
            world.roster,
            others,
            truths=bool(world.faults),
            outlooks=world.rules.horizon is not None,
        )
        self.faults = FaultTracker(world.faults, world.roster.prosumers)
        self._flags = IntervalFlags(writer)
        self._row: dict[str, Any] | None = None
        self._running: tuple[str, float] | None = None
        self._heard, self._heard_tick = asyncio.Event(), -1
        self._rejected = Allowance(MOST_REJECTED)
        self._start = b""
        self._written = writer.last_tick("intervals")
        self._wall = WallClock()
        # What is flagged before the clock opens the step is booked with its interval.
        node.go_with_clock()
        # The clock, which shares this ledger, has begun a new epoch in it before it says so.
        node.believe = lambda step: step.epoch == ledger.epoch
        node.on(node.topics.done("+"), self._take_done)
        node.on(node.topics.step, self._time_step)
        node.on(node.topics.rejected("+"), self._take_rejected)
        node.on(node.topics.stopped("+"), self._take_stopped)

    async def run(self) -> None:
        """Serve until the clock ends the run, and close the last interval's row."""
        self._start = pack(self._snapshot())
        self.writer.replace("prosumers", prosumer_columns(self.world, self.counts))
        topics = self.node.topics
        await self.node.publish(topics.facts, Facts, -1, content=facts_content(run_facts(self.world)))
        try:
            await serve(self.node, self.on_step)
            await self.node.bus.publish(topics.facts, b"", retain=True)
        finally:
            self._finish_row()
            self._name_missing()
            if left := self._rejected.rest:
                self.writer.event({"kind": "rejected", "detail": f"{left} more messages were refused"})
            self.writer.replace("prosumers", prosumer_columns(self.world, self.counts))
            if self.world.faults:
                self.writer.append("faults", self.faults.table())
                self.counts.faults = self.faults.figures()
            self.counts.traffic.note(self.node.name, self.node.traffic())

    def _name_missing(self) -> None:
        """Flag each interval that is not in the ledger although the clock has gone on."""
        gone_by = max(self.ledger.next_tick, self._heard_tick)
        for tick in sorted(set(range(gone_by)) - set(self.ledger.ticks())):
            detail = f"interval {tick} is not in the ledger: it was never settled"
            self.writer.event({"tick": tick, "kind": "flag", "detail": detail})

    async def on_step(self, step: Step) -> None:
        """Finish the last row when an interval begins; settle in the settle step."""
        if step.step == "restore":
            await self._restore(step)
            await self.node.done(step.step, step.tick)
            return
        # Whichever step of a later interval is heard first: any may be lost.
        if self._row is not None and step.tick > self._row["tick"]:
            self._finish_row()
        if step.step == "settle":
            await self._settle(step)
            await self.node.done(step.step, step.tick)
        self._wall.jumped_s()

    async def _restore(self, step: Step) -> None:
        """Go back to the last settled interval, and tell every service what it remembered then."""
        kept = self.ledger.snapshots()
        try:
            self._take_snapshot(unpack(kept.get(self.node.name, self._start)))
        except ValueError as error:
            raise RestoreFailed(self.node.name, error) from None
        for name in self.world.services:
            if name != self.node.name:
                topic = self.node.topics.snapshot(name)
                await self.node.publish(topic, Snapshot, step.tick, content=kept.get(name, b""))

    def _snapshot(self) -> dict[str, Any]:
        self.counts.traffic.note(self.node.name, self.node.traffic())
        return {
            "counts": self.counts.snapshot(),
            "booked_kwh": self.counters.booked_kwh,
            "seen_kwh": self.counters.seen_kwh,
            "faults": self.faults.snapshot(),
            "row": self._row,
            "flags": [] if self._row is None else self._flags[self._row["tick"]],
        }

    def _take_snapshot(self, values: Values) -> None:
        seen = self.counters
        self.counters = Counters(
            array_of(values, "booked_kwh", seen.booked_kwh), array_of(values, "seen_kwh", seen.seen_kwh)
        )
        self.counts.restore(part(values, "counts"))
        self.faults.restore(part(values, "faults"))
        row = values.get("row")
        # An interval's row is written when the next one begins, which may have been before it was dropped.
        self._row = None if row is None or row["tick"] <= self._written else row
        if self._row is None:
            self._flags.begin_anew(self.ledger.next_tick - 1)
        else:
            self._row["ledger_digest"] = self.ledger.head
            self._flags.restore(self._row["tick"], typed(values, "flags", list[str]))
        self._running = None

    async def _settle(self, step: Step) -> None:
        """Book the interval's payments and write its rows, but for the one that waits for its end."""
        messages = await self.collector.gather(step)
        world, tick = self.world, step.tick
        interval = read_interval(
            messages, world.roster, world.rules.terms(tick), step.interval_s / 3600.0, self.counters
        )
        booking = book_payments(interval, world.roster, world.rules)
        audit = await self.collector.audit(step)
        reports = await self._reports(step)
        if step.epoch != self.ledger.epoch:
            return  # The clock has gone back, and says so in a moment.
        if self.ledger.has(tick):
            self.node.flag(f"tick {tick} was in the ledger already: nothing was booked twice")
            return
        self._flags.add(tick, negative_surplus(booking, self.world.roster.lams))
        self.counters = interval.counters
        self.counts.add(interval, messages)
        self._flags.add(tick, interval.flags)
        if messages.state is not None:
            self._note_feeder(messages.state)
        self._note(audit, tick)
        if audit is not None and audit.rents is not None and (off := uplift_error(booking, audit.rents)):
            self._flags.add(tick, [f"the uplift booked is {off:.6f} $ off what the WAM's rents leave"])
        self._row = interval_row(world, interval, booking, messages, audit) | {"lag_s": step.lag_s}
        self.writer.append("lams", lam_columns(world, interval, booking, messages, audit))
        if world.scenario.run.payments:
            self.writer.append("payments", payment_columns(world, interval, booking))
        self._write_details(messages)
        if world.faults:
            self.faults.note(tick, messages, interval)
        self._flags.add(tick, self.node.take_flags())
        # Rows come first: those of an interval that is not in the ledger are dropped where a run goes on.
        kept = {name: report.snapshot for name, report in reports.items()}
        self.ledger.post(tick, booking, kept | {self.node.name: pack(self._snapshot())})
        flags = self._flags[tick]
        self._flags.note_booked(tick)
        self._row["ledger_digest"] = self.ledger.head
        settled = settled_fields(self._row, booking, world.population.size, len(world.roster.lams))
        await self.node.publish(self.node.topics.settled, Settled, tick, flags=flags, **settled)
        self.on_booked(tick)

    async def _reports(self, step: Step) -> dict[str, Done]:
        """Reports of the other services at the end of the interval, with what they remember.

        An interval that will begin again is not booked without the memory of who is gone, or had no time to
        tell it as the computer slept: the next one would begin from an older one. Meanwhile the clock goes
        back, or opens the next interval all the same.
        """
        if not self.begins_again:
            return await self.collector.reports(step, self.collector.present)
        reports = await self.collector.reports(step)
        missing = self.collector.settled.expected - reports.keys()
        has_slept = bool(self._wall.jumped_s())
        while (missing if has_slept else missing & self.collector.gone()) and self._heard_tick <= step.tick:
            self._heard.clear()
            await self._heard.wait()
        return reports

    def _write_details(self, messages: IntervalMessages) -> None:
        """Write the rows of the feeder and of devices."""
        state, world = messages.state, self.world
        if state is not None and state.solved:
            self.writer.append("nodes", node_columns(world, messages.tick, state))
            self.writer.append("currents", current_columns(world, state))
            if state.record is not None:
                self.writer.append("positions", position_columns(messages.tick, state.record))
                self.writer.append("connections", connection_columns(world, messages.tick, state.record))
        if messages.outcome is not None and messages.outcome.row_kind:
            self.writer.append("limits", limit_columns(messages.outcome))
        if world.has_live:
            self.writer.append("devices", device_columns(messages.tick, messages))
        for table, rows in outlook_tables(
            world.roster.lams, world.roster.prosumers, messages.outlook
        ).items():
            self.writer.append(table, rows)

    def _note_feeder(self, state: FeederState) -> None:
        """Flag limits that are broken and LAMs without source; keep what happened to the feeder."""
        self._flags.add(state.tick, feeder_flags(state))
        for detail in state.events:
            self.writer.event({"tick": state.tick, "kind": "event", "source": FEEDER, "detail": detail})

    def _note(self, audit: Audit | None, tick: int) -> None:
        """Flag what the auditor found amiss, and add up what prosumers save."""
        if audit is None:
            self._flags.add(tick, ["no audit: neither certificate nor benchmarks"])
            return
        beyond = [f"the certificate does not hold: {what}" for what in audit.beyond]
        self._flags.add(tick, beyond + audit.notes)
        if audit.saving:
            self.counts.saving_usd += columns.unpack(audit.saving, self.world.population.size)
            self.counts.compared += 1

    def _finish_row(self) -> None:
        """Write the row of the interval that is over, with its flags and durations."""
        if self._row is None:
            return
        row, self._row = self._row, None
        row["flags"] = self._flags.finish(row["tick"])
        seconds = {step: self.counts.step_s[step][-1] for step in STEPS if self.counts.step_s[step]}
        row |= {f"{step}_s": value for step, value in seconds.items()}
        row["interval_s"] = sum(seconds.values())
        self.writer.append("intervals", row)
        self._written = row["tick"]

    def _take_done(self, done: Done) -> None:
        self._flags.add(done.tick, done.flags, at_once=done.at_once)
        self.counts.traffic.take(done)
        if done.step == "settle" and done.sender in self.collector.settled.expected:
            self.collector.settled.add(done.sender, done.tick, done)

    def _take_rejected(self, rejected: Rejected) -> None:
        if not self._rejected.has_room(rejected.count):
            return
        self.writer.event(rejected_event(rejected))

    def _take_stopped(self, stopped: Stopped) -> None:
        self.counts.stops += not stopped.is_update
        self.writer.event(stopped_event(stopped))

    def _time_step(self, step: Step) -> None:
        """The duration of a step is the time until the next one begins."""
        self._heard_tick = step.tick
        self._heard.set()
        now = time.perf_counter()
        if self._running is not None:
            name, began = self._running
            self.counts.time(name, now - began)
        self._running = (step.step, now)
