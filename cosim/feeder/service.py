"""The feeder on the bus: answers the WAM's requests, and solves what was really metered.

OpenDSS runs in its owner's worker thread; this service only asks and awaits.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from broker.collector import Collector
from broker.messages import (
    AheadReply,
    AheadRequest,
    FeederEvent,
    FeederReply,
    FeederRequest,
    FeederState,
    MeteredBatch,
    NetworkModel,
    Step,
    Telemetry,
    WamOutcome,
    columns,
)
from broker.messages.batches import read_metered
from broker.participant.node import Node
from broker.snapshot import Values, array_of, typed
from cosim.feeder.boundary import Boundary
from cosim.feeder.circuit import FeederError, PowerFlowError
from cosim.feeder.controls import Positions
from cosim.feeder.dispatch import Answer, Model, OperatingRules, Physics, Proposal
from cosim.feeder.judgement import Broken
from cosim.feeder.last_metered import LastMetered
from cosim.feeder.memory import Memory
from cosim.feeder.operation import Operation
from cosim.feeder.settings import Event, event_of
from cosim.feeder.thread import FeederOwner
from cosim.feeder.watched import LimitNames
from cosim.feeder.wire import boundary_of, model_message, physics_fields

Floats = npt.NDArray[np.float64]

Indices = npt.NDArray[np.intp]


class Metering(Protocol):
    """Who is metered, and where: as the roster of a run says."""

    @property
    def prosumers(self) -> tuple[str, ...]:
        """Names of the prosumers ``(n,)``."""

    @property
    def lams(self) -> tuple[str, ...]:
        """Names of the LAMs ``(M,)``."""

    @property
    def lam(self) -> Indices:
        """LAM of each prosumer ``(n,)``."""

    @property
    def live_members(self) -> Indices:
        """Prosumers whose meters speak for themselves, ascending."""

    @property
    def hosts(self) -> Mapping[str, Indices]:
        """Prosumers whose energy each host reports."""


class FeederService:
    """Service: the feeder under AC power flow.

    Parameters
    ----------
    owner
        The feeder's worker thread.
    roster
        Who is metered.
    rules
        What binds the feeder's operation.
    """

    def __init__(self, node: Node, owner: FeederOwner, roster: Metering, rules: OperatingRules) -> None:
        self.node = node
        self.owner = owner
        self.roster = roster
        self.rules = rules
        self.operation = Operation(rules)
        self.live = {roster.prosumers[member]: int(member) for member in roster.live_members}
        topics = node.topics
        self.telemetry: Collector[Telemetry] = node.collector(
            {name: topics.telemetry("meter", name) for name in self.live}
        )
        self.metered: Collector[tuple[Floats, Floats]] = node.collector(
            {host: topics.metered(host) for host in roster.hosts}
        )
        self.last = LastMetered(self.live, len(roster.prosumers))
        self._opened = -1
        self._asked: tuple[int, list[Event], Boundary | None] = -1, [], None
        self._happened: list[str] = []
        self._unserved: list[str] = []
        self._set_kvar = np.zeros(len(roster.lams))
        self._cleared_kw, self._load_kvar = np.zeros((2, len(roster.lams)))
        node.on(topics.wam_outcome, self._take_outcome)
        node.on(topics.feeder_request, self._answer)
        node.on(topics.ahead_request, self._look_ahead)
        metered = topics.telemetry("meter", "+")
        for name in self.live:
            node.on(topics.telemetry("meter", name), partial(self._take_telemetry, name), through=metered)
        for host in roster.hosts:
            node.on(node.topics.metered(host), partial(self._take_metered, host))

    async def on_step(self, step: Step) -> None:
        """Hear what operators let happen, and solve what was metered once everyone has reported it."""
        if (step.events or step.boundary) and self._asked[0] != step.tick:
            boundary = None if step.boundary is None else boundary_of(step.boundary)
            self._asked = step.tick, [*self._readable(step.events)], boundary
        if step.step == "meter":
            await self._solve_metered(step)

    async def snapshot(self) -> Values:
        """Controls, events, limits that were near and what was metered last."""
        memory = await self.owner.perform(self.operation.memory, self._opened)
        return {
            "opened": memory.opened,
            "where": memory.where,
            "at_rest": memory.at_rest,
            **self.last.snapshot(),
            "set_kvar": self._set_kvar,
            "asked": msgspec.to_builtins(memory.asked),
            "boundary": msgspec.to_builtins(memory.boundary),
            "near": [list(names) for names in memory.near],
        }

    async def restore(self, values: Values) -> None:
        """See `broker.snapshot.Stateful`."""
        last = self.last.restored(values)
        set_kvar = array_of(values, "set_kvar", self._set_kvar)
        memory = Memory(
            typed(values, "opened", int),
            typed(values, "where", Positions),
            typed(values, "at_rest", bool),
            typed(values, "asked", dict[int, tuple[Event, ...]]),
            typed(values, "boundary", Boundary),
            typed({"near": (), **values}, "near", LimitNames),
        )
        try:
            self._unserved = await self.owner.perform(self.operation.resume, memory)
        except FeederError as error:
            raise ValueError(str(error)) from None
        self._opened, self._happened, self._asked = memory.opened, [], (-1, [], None)
        self.last, self._set_kvar = last, set_kvar

    async def _open(self, tick: int) -> None:
        """Let the events of a tick happen, once, before anything of it is solved."""
        if tick > self._opened:
            self._opened = tick
            asked = self._asked[1:] if self._asked[0] == tick else ((), None)
            self._happened, self._unserved = await self.owner.perform(self.operation.open, tick, *asked)

    def _readable(self, events: list[FeederEvent]) -> Iterator[Event]:
        """Events as the scenario would have them; one that is none is flagged."""
        for event in events:
            try:
                yield event_of(msgspec.structs.asdict(event))
            except ValueError as error:
                self.node.flag(f"{event.kind} asked for could not happen: {error}")

    async def _answer(self, request: FeederRequest) -> None:
        """Solve a proposed dispatch, judge it by the last model, and linearise there unless confirmed."""
        began = time.perf_counter()
        await self._open(request.tick)
        self._load_kvar = np.array(request.reactive_kvar)
        proposal = _proposal(request, request.round)
        try:
            answer = await self.owner.perform(self.operation.judge, proposal)
        except PowerFlowError as error:
            self.node.flag(f"round {request.round}: {error}")
            await self._reply(request, began, None, Broken((str(error),)))
            return
        for flag in answer.flags:
            self.node.flag(f"round {request.round}: {flag}")
        await self._reply(request, began, answer, answer.broken)

    async def _reply(
        self, request: FeederRequest, began: float, answer: Answer | None, broken: Broken
    ) -> None:
        await self.node.publish(
            self.node.topics.feeder_reply,
            FeederReply,
            request.tick,
            round=request.round,
            solved=answer is not None and answer.source_kw is not None,
            confirmed=answer is not None and answer.confirmed,
            source_kw=None if answer is None else answer.source_kw,
            linear_error_pu=None if answer is None else answer.linear_error_pu,
            severity=None if answer is None else answer.severity,
            violations=list(broken.violations),
            model=None if answer is None or answer.model is None else self._message(answer.model),
            unwatched=0 if answer is None else answer.unwatched,
            seconds=time.perf_counter() - began,
            unnamed=broken.unnamed,
        )

    async def _look_ahead(self, request: AheadRequest) -> None:
        """Linearise where later intervals are expected, on the feeder as it is in this one."""
        began = time.perf_counter()
        await self._open(request.tick)
        model: NetworkModel | None = None
        try:
            found = await self.owner.perform(self.operation.ahead, _proposal(request, request.place))
            model = self._message(found)
        except PowerFlowError as error:
            self.node.flag(f"no linear model of intervals to come: {error}")
        await self.node.publish(
            self.node.topics.ahead_reply,
            AheadReply,
            request.tick,
            place=request.place,
            model=model,
            seconds=time.perf_counter() - began,
        )

    def _message(self, model: Model) -> NetworkModel:
        place = {name: at for at, name in enumerate(self.roster.lams)}
        return model_message(model, [place[name] for name in self._unserved])

    async def _solve_metered(self, step: Step) -> None:
        """AC power flow of metered power: mean over the interval, by LAM, summed in prosumer order."""
        await self._open(step.tick)
        dt_h = step.interval_s / 3600.0
        energy_kwh, reactive_kvarh, estimated = await self._metered_energy(step)
        lams = len(self.roster.lams)
        lam_kw = np.bincount(self.roster.lam, energy_kwh, minlength=lams) / dt_h
        lam_kvar = np.bincount(self.roster.lam, reactive_kvarh, minlength=lams) / dt_h
        physics: Physics | None = None
        try:
            physics = await self.owner.perform(
                self.operation.meter,
                lam_kw,
                lam_kvar + self._set_kvar,
                (self._cleared_kw, self._load_kvar + self._set_kvar),
            )
        except PowerFlowError as error:
            self.node.flag(f"no power flow of the metered state: {error}")
        if physics is not None:
            lam_kvar = physics.net_kvar
            for flag in physics.flags:
                self.node.flag(flag)
        await self._publish_state(step, physics, lam_kw, lam_kvar, estimated)
        await self.node.done(step.step, step.tick)

    async def _metered_energy(self, step: Step) -> tuple[Floats, Floats, list[str]]:
        """Energy of every prosumer [kWh, kvarh] ``(n,)``; who is silent counts as in the last interval."""
        batches = await self.metered.wait(step.tick, step.deadline)
        readings = await self.telemetry.wait(step.tick, step.deadline)
        estimated = self.metered.missing(batches) + self.telemetry.missing(readings)
        for host, (energy_kwh, reactive_kvarh) in batches.items():
            self.last.take_batch(self.roster.hosts[host], energy_kwh, reactive_kvarh)
        silent, flags = self.last.take_readings(readings, step.interval_s / 3600.0)
        for flag in flags:
            self.node.flag(flag)
        return self.last.kwh, self.last.kvarh, estimated + silent

    async def _publish_state(
        self, step: Step, physics: Physics | None, lam_kw: Floats, lam_kvar: Floats, estimated: list[str]
    ) -> None:
        outside_kw, outside_kvar, set_pu = await self.owner.perform(self.operation.outside)
        await self.node.publish(
            self.node.topics.feeder_state,
            FeederState,
            step.tick,
            lam_kw=columns.pack(lam_kw),
            lam_kvar=columns.pack(lam_kvar),
            estimated=estimated,
            events=self._happened,
            unserved=self._unserved,
            outside_kw=columns.pack(outside_kw),
            outside_kvar=columns.pack(outside_kvar),
            set_pu=set_pu,
            **physics_fields(physics, self.rules.limits, self.owner.layout),
        )

    def _take_outcome(self, outcome: WamOutcome) -> None:
        """Set-points of the inverters without hardware, which nobody else acts for."""
        lams = len(self.roster.lams)
        self._cleared_kw = np.array(outcome.flow_kw or outcome.net_kw)
        if outcome.inverter_kvar and self.rules.reactive == "market":
            set_kvar = np.array(outcome.inverter_kvar)
            most_kvar = self.rules.limit_kvar + _ROUNDING_KVAR
            if set_kvar.shape != (lams,) or not np.all(np.abs(set_kvar) <= most_kvar):
                raise ValueError("reactive set-points must keep within what each LAM's inverters can do")
            self._set_kvar = set_kvar

    def _take_telemetry(self, name: str, telemetry: Telemetry) -> None:
        if telemetry.phase == "meter":
            self.telemetry.add(name, telemetry.tick, telemetry)

    def _take_metered(self, host: str, batch: MeteredBatch) -> None:
        self.metered.add(host, batch.tick, read_metered(batch, self.roster.hosts[host]))


_ROUNDING_KVAR = 1e-6


def _proposal(request: FeederRequest | AheadRequest, round_: int) -> Proposal:
    """What a request asks about, as arrays."""
    net_kw = np.array(request.net_kw)
    return Proposal(
        tick=request.tick,
        round=round_,
        net_kw=net_kw,
        load_kvar=np.array(request.reactive_kvar),
        inverter_kvar=np.array(request.inverter_kvar) if request.inverter_kvar else np.zeros_like(net_kw),
        low_kw=np.array(request.low_kw),
        high_kw=np.array(request.high_kw),
    )
