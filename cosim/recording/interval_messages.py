"""Messages of one interval, collected for its record, and the wait until all of them are in."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from broker.collector import Collector
from broker.messages import (
    PHASES,
    Acknowledgement,
    Audit,
    Availability,
    Done,
    FeederState,
    LamOutcome,
    Message,
    MeteredBatch,
    Outlook,
    SetPoint,
    Step,
    Telemetry,
    TruthBatch,
    WamOutcome,
)
from broker.participant.node import Node
from cosim.world.names import AUDITOR, DEVICE_HOST, FEEDER, WAM
from market.participants.gates import final_gate, late_gate
from market.participants.roster import Roster

M = TypeVar("M", bound=Message)


@dataclass(frozen=True)
class IntervalMessages:
    """Messages of one interval on which its payments and its rows in the tables rest.

    Attributes
    ----------
    tick
        Number of the interval.
    measured, metered_live
        Telemetry at the start and at the end of the interval, by prosumer.
    set_points, acknowledgements
        What was asked of live devices and what their gateway read back.
    truth
        What really flowed at emulated prosumers, where faults are planned.
    outlook
        What the market over a horizon found, where there is one.
    """

    tick: int
    outcome: WamOutcome | None
    lam_outcomes: dict[str, LamOutcome]
    metered: dict[str, MeteredBatch]
    metered_live: dict[str, Telemetry]
    state: FeederState | None
    measured: dict[str, Telemetry] = field(default_factory=dict)
    set_points: dict[str, SetPoint] = field(default_factory=dict)
    acknowledgements: dict[str, Acknowledgement] = field(default_factory=dict)
    truth: TruthBatch | None = None
    outlook: Outlook | None = None


class IntervalCollector:
    """Listens to everything that an interval's record needs.

    Parameters
    ----------
    others
        Services whose reports of the interval's end are recorded.
    truths
        Whether what really flowed is published, as where faults are planned.
    outlooks
        Whether the market has a horizon.
    """

    def __init__(
        self,
        node: Node,
        roster: Roster,
        others: Collection[str] = (),
        *,
        truths: bool = False,
        outlooks: bool = False,
    ) -> None:
        self.live = [roster.prosumers[member] for member in roster.live_members]
        topics = node.topics
        self.outcomes: Collector[WamOutcome] = node.collector({WAM: topics.wam_outcome})
        self.lam_outcomes: Collector[LamOutcome] = node.collector(
            {host: topics.lam_outcome(host) for host in roster.lam_hosts}
        )
        self.metered: Collector[MeteredBatch] = node.collector(
            {host: topics.metered(host) for host in roster.hosts}
        )
        self.metered_live: Collector[Telemetry] = node.collector(
            {name: topics.telemetry("meter", name) for name in self.live}
        )
        self.states: Collector[FeederState] = node.collector({FEEDER: topics.feeder_state})
        self.measured: Collector[Telemetry] = node.collector(
            {name: topics.telemetry("measure", name) for name in self.live}
        )
        self.set_points: dict[str, SetPoint] = {}
        self.acknowledgements: dict[str, Acknowledgement] = {}
        self.truths: Collector[TruthBatch] = node.collector(
            {DEVICE_HOST: topics.truth(DEVICE_HOST)} if truths else {}
        )
        self.outlooks: Collector[Outlook] = node.collector({WAM: topics.outlook} if outlooks else {})
        self.audits: Collector[Audit] = node.collector({AUDITOR: topics.audit})
        self.present: set[str] = set()
        self.settled: Collector[Done] = node.collector({name: topics.done(name) for name in others})
        node.on(topics.wam_outcome, lambda m: self.outcomes.add(WAM, m.tick, m))
        node.on(topics.feeder_state, lambda m: self.states.add(FEEDER, m.tick, m))
        node.on(topics.lam_outcome("+"), lambda m: self.lam_outcomes.add(m.sender, m.tick, m))
        node.on(topics.metered("+"), lambda m: self.metered.add(m.sender, m.tick, m))
        if truths:
            node.on(topics.truth(DEVICE_HOST), lambda m: self.truths.add(m.sender, m.tick, m))
        if outlooks:
            node.on(topics.outlook, lambda m: self.outlooks.add(WAM, m.tick, m))
        node.on(topics.audit, lambda m: self.audits.add(AUDITOR, m.tick, m))
        node.on(topics.availability("+"), self._take_availability)
        for name in self.live:
            for phase in PHASES:
                take = partial(self._take_telemetry, name)
                node.on(topics.telemetry(phase, name), take, through=topics.telemetry("+", "+"))
            keep = partial(self.set_points.__setitem__, name)
            node.on(topics.set_point(name), keep, through=topics.set_point("+"))
            keep = partial(self.acknowledgements.__setitem__, name)
            node.on(topics.acknowledgement(name), keep, through=topics.acknowledgement("+"))

    async def gather(self, step: Step) -> IntervalMessages:
        """Everything about the tick of ``step``; what is missing at the gate stays missing."""
        tick, deadline = step.tick, late_gate(step)
        state = (await self.states.wait(tick, deadline)).get(FEEDER)
        outcome = (await self.outcomes.wait(tick, deadline)).get(WAM)
        return IntervalMessages(
            tick=tick,
            outcome=outcome,
            lam_outcomes=await self.lam_outcomes.wait(tick, deadline),
            metered=await self.metered.wait(tick, deadline),
            metered_live=await self.metered_live.wait(tick, deadline),
            state=state,
            measured=await self.measured.wait(tick, deadline),
            set_points=of_tick(self.set_points, tick),
            acknowledgements=of_tick(self.acknowledgements, tick),
            truth=(await self.truths.wait(tick, deadline)).get(DEVICE_HOST),
            outlook=(await self.outlooks.wait(tick, deadline)).get(WAM),
        )

    async def audit(self, step: Step) -> Audit | None:
        """The audit of the tick of ``step``; ``None`` where it is missing at the gate.

        An auditor that is offline is not waited for.
        """
        gate = late_gate(step) if AUDITOR in self.present else step.opened
        return (await self.audits.wait(step.tick, gate)).get(AUDITOR)

    async def reports(self, step: Step, among: Collection[str] | None = None) -> dict[str, Done]:
        """Reports of the others at the end of the interval; all, or those ``among``, are waited for."""
        return await self.settled.wait(step.tick, final_gate(step), among=among)

    def gone(self) -> set[str]:
        """Services that are not there, of those that report."""
        return set(self.settled.expected) - self.present

    def _take_availability(self, availability: Availability) -> None:
        if availability.online:
            self.present.add(availability.sender)
        else:
            self.present.discard(availability.sender)

    def _take_telemetry(self, name: str, telemetry: Telemetry) -> None:
        if telemetry.phase == "meter":
            self.metered_live.add(name, telemetry.tick, telemetry)
        else:
            self.measured.add(name, telemetry.tick, telemetry)


def of_tick(latest: dict[str, M], tick: int) -> dict[str, M]:
    """Those of the latest messages that belong to a tick."""
    return {name: message for name, message in latest.items() if message.tick == tick}
