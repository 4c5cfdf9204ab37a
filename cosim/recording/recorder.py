"""The recorder on the bus: settles each interval into the ledger and writes what happened to the tables.

It takes no part in the market. It settles an interval once all its messages are in or the step's deadline has
passed, and holds each interval's row back until the next one opens, so that flags raised while settling and
the duration of the last step are still in it.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from broker.messages import Audit, Done, FeederState, Rejected, Step, Stopped, Traffic, columns
from broker.node import Node, serve
from cosim.control.clock import STEPS
from cosim.recording.evidence import Witness
from cosim.recording.faults import FaultBook
from cosim.recording.rows import device_columns, interval_row, lam_columns, node_columns
from cosim.recording.settle import Counters, book, gather_interval
from cosim.results import RunWriter
from cosim.results.entries import MICRO, Booking
from cosim.results.ledger import Ledger
from cosim.world import FEEDER, World


@dataclass
class Tally:
    """What the recorder has counted over the run so far.

    Attributes
    ----------
    bought_kwh, sold_kwh
        What each prosumer traded, ``(n,)``.
    saving_usd
        What each saved against no sharing, ``(n,)`` [$], over the ``compared`` intervals.
    stops
        Emergency stops.
    written_s, shown_s
        How long each set-point took until its registers read back, and until the meter showed it [s].
    faults
        What became of injected faults, once the run is over; ``None`` where there were none.
    """

    bought_kwh: npt.NDArray[np.float64]
    sold_kwh: npt.NDArray[np.float64]
    saving_usd: npt.NDArray[np.float64]
    compared: int = 0
    faults: dict[str, Any] | None = None
    cleared: int = 0
    confirmed: int = 0
    flagged: int = 0
    stops: int = 0
    written_s: list[float] = field(default_factory=list)
    shown_s: list[float] = field(default_factory=list)
    traffic: dict[str, Traffic] = field(default_factory=dict)
    step_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


class Recorder:
    """Service: ledger, tables and events of a run."""

    def __init__(self, node: Node, world: World, writer: RunWriter, ledger: Ledger) -> None:
        self.node = node
        self.world = world
        self.writer = writer
        self.ledger = ledger
        self.tally = Tally(*np.zeros((3, world.population.size)))
        self.counters = Counters.unread(world.population.size)
        self.witness = Witness(node, world.roster, truths=bool(world.faults))
        self.faults = FaultBook(world.faults, world.roster.prosumers)
        self._flags: dict[int, list[str]] = defaultdict(list)
        self._row: dict[str, Any] | None = None
        self._opened: tuple[str, float] | None = None
        node.on(node.topics.done("+"), self._take_done)
        node.on(node.topics.step, self._time_step)
        node.on(node.topics.rejected("+"), self._take_rejected)
        node.on(node.topics.stopped("+"), self._take_stopped)

    async def run(self) -> None:
        """Serve until the clock ends the run, and close the last interval's row."""
        try:
            await serve(self.node, self.on_step)
        finally:
            self._finish_row()
            self._write_prosumers()
            if self.world.faults:
                self.writer.append("faults", self.faults.table())
                self.tally.faults = self.faults.summary()
            self.tally.traffic[self.node.name] = self.node.traffic()

    async def on_step(self, step: Step) -> None:
        """Close the last row when an interval opens; settle in the settle step."""
        if step.step == "measure":
            self._finish_row()
        elif step.step == "settle":
            await self._settle(step)
            await self.node.done(step.step, step.tick)

    async def _settle(self, step: Step) -> None:
        evidence = await self.witness.gather(step)
        world, tick = self.world, step.tick
        interval = gather_interval(
            world.roster,
            world.rules.terms(tick),
            tick,
            step.interval_s / 3600.0,
            outcome=evidence.outcome,
            lam_outcomes=evidence.lam_outcomes,
            metered=evidence.metered,
            telemetry=evidence.metered_live,
            state=evidence.state,
            measured=evidence.measured,
            counters=self.counters,
        )
        booking = book(interval, world.roster, world.rules)
        self._check_surplus(tick, booking)
        if not self.ledger.post(tick, booking):
            self.node.flag(f"tick {tick} was in the ledger already: nothing was booked twice")
            return
        self.counters = interval.counters
        self.tally.bought_kwh += np.maximum(interval.trade_kw, 0.0) * interval.dt_h
        self.tally.sold_kwh -= np.minimum(interval.trade_kw, 0.0) * interval.dt_h
        answers = evidence.acknowledgements.values()
        self.tally.written_s += [each.seconds for each in answers if each.seconds is not None]
        shown = (each.response_s for each in evidence.metered_live.values())
        self.tally.shown_s += [seconds for seconds in shown if seconds is not None]
        self._flags[tick] += interval.flags
        if evidence.state is not None:
            self._note_feeder(evidence.state)
        audit = await self.witness.audit(step)
        self._note(audit, tick)
        self._row = interval_row(world, interval, booking, evidence, audit) | {"lag_s": step.lag_s}
        self.writer.append("lams", lam_columns(world, interval, booking, evidence, audit))
        if evidence.state is not None and evidence.state.solved:
            self.writer.append("nodes", node_columns(world, tick, evidence.state))
        if world.has_live:
            self.writer.append("devices", device_columns(tick, evidence))
        if world.faults:
            self.faults.note(tick, evidence, interval, evidence.truth)

    def _check_surplus(self, tick: int, booking: Booking) -> None:
        """Flag a LAM that would pay for its members' trades: (4.4) says that none does, but for rounding."""
        worst = int(np.argmin(booking.lam_surplus))
        if booking.lam_surplus[worst] < -1.0 / MICRO:
            lam, usd = self.world.roster.lams[worst], booking.lam_surplus[worst]
            self._flags[tick].append(f"LAM {lam} has a negative surplus of {usd:.6f} $")

    def _note_feeder(self, state: FeederState) -> None:
        """Flag limits that are broken and LAMs without source; keep what happened to the feeder."""
        flags = self._flags[state.tick]
        flags += [f"as metered: {violation}" for violation in state.violations]
        if state.unserved:
            flags.append(f"no source feeds {len(state.unserved)} LAMs: their members are unserved")
        for detail in state.events:
            self.writer.event({"tick": state.tick, "kind": "event", "source": FEEDER, "detail": detail})

    def _note(self, audit: Audit | None, tick: int) -> None:
        """Flag what the auditor found amiss, and add up what prosumers save."""
        if audit is None:
            self._flags[tick].append("no audit: neither certificate nor benchmarks")
            return
        self._flags[tick] += [f"the certificate does not hold: {what}" for what in audit.beyond]
        self._flags[tick] += audit.notes
        if audit.saving:
            self.tally.saving_usd += columns.unpack(audit.saving, self.world.population.size)
            self.tally.compared += 1

    def _finish_row(self) -> None:
        """Write the row of the interval that is over, with its flags and durations."""
        if self._row is None:
            return
        row, self._row = self._row, None
        flags = self._flags.pop(row["tick"], [])
        for flag in flags:
            self.writer.event({"tick": row["tick"], "kind": "flag", "detail": flag})
        row["flags"] = len(flags)
        self.tally.cleared += 1
        self.tally.confirmed += row["status"] == "confirmed"
        self.tally.flagged += bool(flags)
        seconds = {step: self.tally.step_s[step][-1] for step in STEPS}
        row |= {f"{step}_s": value for step, value in seconds.items()}
        row["interval_s"] = sum(seconds.values())
        self.writer.append("intervals", row)

    def _write_prosumers(self) -> None:
        """Write what each prosumer traded and saved over the run."""
        tally, roster = self.tally, self.world.roster
        self.writer.append(
            "prosumers",
            {
                "prosumer": list(roster.prosumers),
                "lam": [roster.lams[lam] for lam in roster.lam],
                "live": roster.live,
                "bought_kwh": tally.bought_kwh,
                "sold_kwh": tally.sold_kwh,
                "saving_usd": tally.saving_usd if tally.compared else None,
            },
        )

    def _take_done(self, done: Done) -> None:
        self._flags[done.tick] += done.flags
        self.tally.traffic[done.sender] = done.traffic

    def _take_rejected(self, rejected: Rejected) -> None:
        self.writer.event(
            {
                "tick": rejected.tick,
                "kind": "rejected",
                "source": rejected.sender,
                "detail": f"{rejected.topic}: {rejected.reason}",
            }
        )

    def _take_stopped(self, stopped: Stopped) -> None:
        self.tally.stops += not stopped.is_update
        commanded = stopped.devices - stopped.observed
        detail = f"{stopped.reason}: {stopped.safe} of {commanded} devices at their safe values"
        kind = "stop-update" if stopped.is_update else "stop"
        event = {"tick": stopped.tick, "kind": kind, "source": stopped.by, "detail": detail}
        self.writer.event(event | {"failed": stopped.failed})

    def _time_step(self, step: Step) -> None:
        """The duration of a step is the time until the next one opens."""
        now = time.perf_counter()
        if self._opened is not None:
            name, began = self._opened
            self.tally.step_s[name].append(now - began)
        self._opened = (step.step, now)
