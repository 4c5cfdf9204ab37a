"""The auditor on the bus: judges every interval's clearing and publishes what it finds.

It takes no part in the market, and no other service waits for it before settlement. Prosumers publish their
positions when they turn awards into set-points, so it works while the interval passes.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from broker.collector import Collector
from broker.messages import (
    Audit,
    BenchmarkCost,
    CertificateFigures,
    FeederReply,
    LamOutcome,
    NetworkModel,
    PositionBatch,
    Rents,
    Step,
    WamOutcome,
    columns,
)
from broker.participant.node import Node
from broker.snapshot import Values
from market.participants.audit.findings import Findings, examine
from market.participants.audit.interval_case import AuditedMessages, Unauditable
from market.participants.gates import early_gate
from market.participants.roster import Roster, Rules

Work = Callable[..., Awaitable[Findings]]


class Auditor:
    """Service: certificate, rents, benchmarks and savings of every interval.

    Parameters
    ----------
    position_hosts
        Names of the hosts that publish positions.
    work
        Runs a long computation: in a thread, so that the bus is served meanwhile.
    """

    def __init__(
        self,
        node: Node,
        roster: Roster,
        rules: Rules,
        position_hosts: Collection[str],
        work: Work = asyncio.to_thread,
    ) -> None:
        self.node = node
        self.roster = roster
        self.rules = rules
        self.work = work
        topics = node.topics
        self.outcomes: Collector[WamOutcome] = node.collector({"wam": topics.wam_outcome})
        self.lam_outcomes: Collector[LamOutcome] = node.collector(
            {host: topics.lam_outcome(host) for host in roster.lam_hosts}
        )
        self.positions: Collector[PositionBatch] = node.collector(
            {host: topics.position(host) for host in position_hosts}
        )
        self._models: dict[int, dict[int, NetworkModel]] = defaultdict(dict)
        node.on(topics.wam_outcome, lambda m: self.outcomes.add("wam", m.tick, m))
        node.on(topics.lam_outcome("+"), lambda m: self.lam_outcomes.add(m.sender, m.tick, m))
        node.on(topics.position("+"), lambda m: self.positions.add(m.sender, m.tick, m))
        node.on(topics.feeder_reply, self._take_reply)

    async def on_step(self, step: Step) -> None:
        """Audit while the interval passes, before it is settled."""
        if step.step == "act":
            await self._audit(step)

    async def snapshot(self) -> Values:
        """Nothing: every interval is judged by itself."""
        return {}

    async def restore(self, values: Values) -> None:  # noqa: ARG002
        """Forget the models of an interval that begins again."""
        self._models.clear()

    async def _audit(self, step: Step) -> None:
        messages = await self._gather(step)
        began = time.perf_counter()
        try:
            terms = self.rules.terms(step.tick)
            findings = await self.work(examine, self.roster, self.rules, terms, messages)
        except Unauditable as reason:
            body = _without_findings(f"neither certificate nor benchmarks: {reason}")
        except (ValueError, LookupError) as problem:
            body = _without_findings(
                f"neither certificate nor benchmarks, for something does not fit: {problem}"
            )
        else:
            body = _audit_fields(findings, step.interval_s / 3600.0)
        seconds = time.perf_counter() - began
        await self.node.publish(self.node.topics.audit, Audit, step.tick, seconds=seconds, **body)

    async def _gather(self, step: Step) -> AuditedMessages:
        """Messages of the interval that came until the gate."""
        tick, gate = step.tick, early_gate(step)
        outcome = (await self.outcomes.wait(tick, gate)).get("wam")
        messages = AuditedMessages(
            outcome=outcome,
            model=None if outcome is None else self._models[tick].get(max(outcome.round - 1, 0)),
            lam_outcomes=await self.lam_outcomes.wait(tick, gate),
            positions=await self.positions.wait(tick, gate),
        )
        self._models = defaultdict(dict, {t: models for t, models in self._models.items() if t > tick})
        return messages

    def _take_reply(self, reply: FeederReply) -> None:
        if reply.model is not None:
            self._models[reply.tick][reply.round] = reply.model


def _without_findings(note: str) -> dict[str, Any]:
    """Fields of the audit message of an interval that cannot be judged."""
    return {
        "certificate": None,
        "rents": None,
        "market_cost": None,
        "made_kwh": None,
        "benchmarks": [],
        "efficiency": None,
        "saving": b"",
        "beyond": [],
        "notes": [note],
    }


def _audit_fields(findings: Findings, dt_h: float) -> dict[str, Any]:
    """Fields of the audit message: money of the interval [$], but the certificate's per hour [$/h]."""
    proof, rents = findings.certificate, findings.rents
    figures = {name: getattr(proof, name) for name in CertificateFigures.__struct_fields__}
    return {
        "certificate": CertificateFigures(**figures),
        "rents": Rents(
            fees=rents.fees * dt_h,
            loss=rents.offset * dt_h,
            voltage=float(rents.rows[findings.is_voltage].sum()) * dt_h,
            congestion=float(rents.rows[~findings.is_voltage].sum()) * dt_h,
            limits=rents.limits * dt_h,
        ),
        "market_cost": None if findings.market_cost is None else findings.market_cost * dt_h,
        "made_kwh": None if findings.made_kw is None else findings.made_kw * dt_h,
        "benchmarks": [
            BenchmarkCost(name=name, cost=each.social_cost * dt_h, violated=each.violations)
            for name, each in findings.benchmarks.items()
        ],
        "efficiency": findings.efficiency,
        "saving": columns.pack(findings.saving * dt_h),
        "beyond": findings.beyond,
        "notes": findings.notes,
    }
