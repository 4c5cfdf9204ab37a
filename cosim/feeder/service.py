"""The feeder on the bus: answers the WAM's requests, and solves what was really metered.

OpenDSS runs in its owner's worker thread; this service only asks and awaits.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from broker import columns
from broker.collector import Collector
from broker.messages import (
    FeederReply,
    FeederRequest,
    FeederState,
    MeteredBatch,
    NetworkModel,
    Step,
    Telemetry,
)
from broker.node import Node
from cosim.feeder.circuit import AcState, PowerFlowError
from cosim.feeder.linear import Limits, Linearisation, check, network_rows
from cosim.feeder.thread import FeederOwner
from market.services.book import read_metered
from market.services.roster import Roster

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Point:
    """The last linearisation sent, by which the next solution is judged."""

    tick: int
    linearisation: Linearisation


class FeederService:
    """Service: the feeder under AC power flow.

    Parameters
    ----------
    owner
        The feeder's worker thread.
    limits
        Voltage and current limits.
    lam_nodes
        Positions of the voltages that each LAM sees.
    regulators_act
        Whether regulators move after each interval; inside a clearing they always hold.
    """

    def __init__(
        self,
        node: Node,
        owner: FeederOwner,
        roster: Roster,
        limits: Limits,
        *,
        lam_nodes: tuple[tuple[int, ...], ...],
        regulators_act: bool,
    ) -> None:
        self.node = node
        self.owner = owner
        self.roster = roster
        self.limits = limits
        self.lam_nodes = lam_nodes
        self.regulators_act = regulators_act
        self.live = {roster.prosumers[member]: int(member) for member in roster.live_members}
        self.telemetry: Collector[Telemetry] = Collector(self.live)
        self.metered: Collector[tuple[Floats, Floats]] = Collector(roster.hosts)
        self.last_kwh = np.zeros(len(roster.prosumers))
        self.last_kvarh = np.zeros(len(roster.prosumers))
        self._point: _Point | None = None
        self._settled = False
        node.on(node.topics.feeder_request, self._answer)
        topics = node.topics
        metered = topics.telemetry("meter", "+")
        for name in self.live:
            node.on(topics.telemetry("meter", name), partial(self._take_telemetry, name), through=metered)
        for host in roster.hosts:
            node.on(node.topics.metered(host), partial(self._take_metered, host))

    async def on_step(self, step: Step) -> None:
        """Solve what was metered once everyone has reported it."""
        if step.step == "meter":
            await self._settle_physics(step)

    async def _answer(self, request: FeederRequest) -> None:
        """Solve a proposed dispatch, judge it by the last model, and linearise there unless confirmed."""
        began = time.perf_counter()
        net_kw = np.array(request.net_kw)
        net_kvar = np.array(request.reactive_kvar)
        point = self._point if request.round and self._point and self._point.tick == request.tick else None
        try:
            await self._settle_regulators(net_kw, net_kvar)
            state = await self.owner.solve(net_kw, net_kvar)
        except PowerFlowError as error:
            self.node.flag(f"round {request.round}: {error}")
            await self._reply(request, began, violations=[str(error)])
            return
        judgement = check(state, None if point is None else point.linearisation, self.limits)
        model = None
        if not judgement.confirmed:
            linearisation = await self.owner.linearise(net_kw, net_kvar)
            self._point = _Point(request.tick, linearisation)
            model = self._model(linearisation, request)
        await self._reply(
            request,
            began,
            solved=True,
            confirmed=judgement.confirmed,
            source_kw=state.source_kw,
            linear_error_pu=judgement.linear_error_pu,
            severity=judgement.severity,
            violations=[str(violation) for violation in judgement.violations],
            model=model,
        )

    async def _settle_regulators(self, net_kw: Floats, net_kvar: Floats) -> None:
        """Let regulators come to rest once, at the first state asked for: before, taps mean nothing."""
        if self.regulators_act and not self._settled:
            await self.owner.let_controls_act(net_kw, net_kvar)
        self._settled = True

    async def _reply(
        self,
        request: FeederRequest,
        began: float,
        *,
        solved: bool = False,
        confirmed: bool = False,
        source_kw: float | None = None,
        linear_error_pu: float | None = None,
        severity: float | None = None,
        violations: list[str],
        model: NetworkModel | None = None,
    ) -> None:
        await self.node.publish(
            self.node.topics.feeder_reply,
            FeederReply,
            request.tick,
            round=request.round,
            solved=solved,
            confirmed=confirmed,
            source_kw=source_kw,
            linear_error_pu=linear_error_pu,
            severity=severity,
            violations=violations,
            model=model,
            seconds=time.perf_counter() - began,
        )

    def _model(self, linearisation: Linearisation, request: FeederRequest) -> NetworkModel:
        """Linear model for the wire: only rows that a trade within the LAMs' bids can reach."""
        rows = network_rows(linearisation, self.limits, np.array(request.low_kw), np.array(request.high_kw))
        balance, offset_kw = linearisation.balance
        return NetworkModel(
            balance=columns.column_list(balance),
            offset_kw=offset_kw,
            name=list(rows.name),
            row_kind=list(rows.kind),
            matrix=columns.pack(rows.matrix),
            base=columns.pack(rows.base),
            lower=columns.pack_open(rows.lower),
            upper=columns.pack_open(rows.upper),
        )

    async def _settle_physics(self, step: Step) -> None:
        """AC power flow of metered power: mean over the interval, by LAM, summed in prosumer order."""
        dt_h = step.interval_s / 3600.0
        energy_kwh, reactive_kvarh, estimated = await self._metered_energy(step)
        lams = len(self.roster.lams)
        lam_kw = np.bincount(self.roster.lam, energy_kwh, minlength=lams) / dt_h
        lam_kvar = np.bincount(self.roster.lam, reactive_kvarh, minlength=lams) / dt_h
        moved = 0
        state: AcState | None = None
        violations: list[str] = []
        try:
            state = await self.owner.solve(lam_kw, lam_kvar)
            violations = [str(v) for v in check(state, None, self.limits).violations]
            if self.regulators_act:
                changes = await self.owner.let_controls_act(lam_kw, lam_kvar)
                moved = sum(abs(change) for change in changes.values())
        except PowerFlowError as error:
            self.node.flag(f"no power flow of the metered state: {error}")
        await self._publish_state(step, state, lam_kw, lam_kvar, moved, violations, estimated)
        await self.node.done(step.step, step.tick)

    async def _metered_energy(self, step: Step) -> tuple[Floats, Floats, list[str]]:
        """Energy of every prosumer [kWh, kvarh] ``(n,)``; who is silent counts as in the last interval."""
        batches = await self.metered.wait(step.tick, step.deadline)
        readings = await self.telemetry.wait(step.tick, step.deadline)
        estimated = self.metered.missing(batches) + self.telemetry.missing(readings)
        for host, (energy_kwh, reactive_kvarh) in batches.items():
            self.last_kwh[self.roster.hosts[host]] = energy_kwh
            self.last_kvarh[self.roster.hosts[host]] = reactive_kvarh
        for name, reading in readings.items():
            if reading.interval_kwh is None:
                estimated.append(name)
                continue
            self.last_kwh[self.live[name]] = reading.interval_kwh
            self.last_kvarh[self.live[name]] = reading.interval_kvarh or 0.0
        return self.last_kwh, self.last_kvarh, estimated

    async def _publish_state(
        self,
        step: Step,
        state: AcState | None,
        lam_kw: Floats,
        lam_kvar: Floats,
        tap_changes: int,
        violations: list[str],
        estimated: list[str],
    ) -> None:
        empty = np.zeros(0)
        await self.node.publish(
            self.node.topics.feeder_state,
            FeederState,
            step.tick,
            solved=state is not None,
            v_pu=columns.pack(empty if state is None else state.v_pu),
            loading=columns.pack(empty if state is None else self.limits.loading(state.current_a)),
            lam_kw=columns.pack(lam_kw),
            lam_kvar=columns.pack(lam_kvar),
            lam_v_pu=columns.pack(empty if state is None else self._lam_voltage(state.v_pu)),
            source_kw=None if state is None else state.source_kw,
            source_kvar=None if state is None else state.source_kvar,
            losses_kw=None if state is None else state.losses_kw,
            tap_changes=tap_changes,
            violations=violations,
            estimated=estimated,
        )

    def _lam_voltage(self, v_pu: Floats) -> Floats:
        """Mean voltage of the phases that each LAM touches, ``(M,)`` [pu]."""
        return np.array([v_pu[list(nodes)].mean() for nodes in self.lam_nodes])

    def _take_telemetry(self, name: str, telemetry: Telemetry) -> None:
        if telemetry.phase == "meter":
            self.telemetry.add(name, telemetry.tick, telemetry)

    def _take_metered(self, host: str, batch: MeteredBatch) -> None:
        self.metered.add(host, batch.tick, read_metered(batch, self.roster.hosts[host]))
