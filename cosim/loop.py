"""The composition root of a run: which services there are, who builds them, who waits for whom.

Here, and only here, concrete classes meet: buses, portfolios, fleets and the feeder's thread are made and
handed to services that know them as ports. A process may host every role of a run or only some.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from broker.messages import Step, StepName
from broker.mqtt import connect
from broker.node import Node, offline_will, serve
from cosim.clock import Clock, Pacing
from cosim.feeder_service import FeederService
from cosim.feeder_thread import FeederOwner
from cosim.ledger import Ledger
from cosim.portfolios import LiveEnvironment, Sky, TelemetryPortfolio, VirtualPortfolio
from cosim.recorder import Recorder
from cosim.results import RunWriter
from cosim.world import DEVICE_HOST, FEEDER, GATEWAY, LIVE_HOST, RECORDER, WAM, World
from devices.emulator import EmulatedProsumer, Fleet
from devices.gateway import Gateway
from devices.service import DeviceHostService, GatewayService
from market.services.lam import LamHost
from market.services.prosumers import LiveHost, PopulationHost
from market.services.wam import WamOperator

OnStep = Callable[[Step], Awaitable[None]]
Job = Coroutine[Any, Any, None]

# How long a service may stay away or a step may take when nothing paces the run [s].
GUARD_S = 60.0


@dataclass(frozen=True)
class Stage:
    """One process of a run: the world, the bus, and the feeder's thread where this process owns it."""

    world: World
    run_id: str
    url: str
    owner: FeederOwner | None = None

    @asynccontextmanager
    async def node(self, name: str) -> AsyncIterator[Node]:
        """Participant ``name`` on a connection of its own, which says so when it is lost."""
        nodes: list[Node] = []
        will = offline_will(self.run_id, name)
        async with connect(self.url, name, will, on_reconnect=lambda: nodes[0].reconnected()) as bus:
            nodes.append(Node(bus, self.run_id, name))
            yield nodes[0]


@dataclass(frozen=True)
class Control:
    """What the process that owns clock and results needs besides the stage."""

    pacing: Pacing
    writer: RunWriter
    ledger: Ledger
    on_interval: Callable[[int], None]
    on_clock: Callable[[Clock], None]


async def play(stage: Stage, roles: Sequence[str], control: Control | None = None) -> Recorder | None:
    """Run the services of some roles until the clock ends the run.

    Parameters
    ----------
    roles
        Of market, feeder and devices, those that this process hosts.
    control
        Given in the one process that hosts clock and recorder.

    Returns
    -------
    Recorder or None
        The recorder, with everything it has counted, where this process hosts it.
    """
    async with AsyncExitStack() as stack:
        jobs: list[Job] = []
        if "market" in roles:
            jobs += await _market(stage, stack)
        if "feeder" in roles:
            jobs += await _feeder(stage, stack)
        if "devices" in roles and stage.world.has_live:
            jobs += await _devices(stage, stack)
        recorder = None
        if control is not None:
            recorder = await _recorder(stage, stack, control, jobs)
            jobs.append(await _clock(stage, stack, control))
        async with asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(job)
    return recorder


async def _market(stage: Stage, stack: AsyncExitStack) -> list[Job]:
    world, roster, rules = stage.world, stage.world.roster, stage.world.rules
    sky = Sky(world.profiles)
    jobs: list[Job] = []
    for host, members in roster.hosts.items():
        node = await stack.enter_async_context(stage.node(host))
        portfolio = VirtualPortfolio(sky, members, world.reactive_ratio)
        jobs.append(serve(node, PopulationHost(node, roster, rules, portfolio).on_step))
    if world.has_live:
        node = await stack.enter_async_context(stage.node(LIVE_HOST))
        live = TelemetryPortfolio(sky, roster.live_members, world.reactive_ratio)
        valid_s = world.scenario.live.command_validity_s
        jobs.append(serve(node, LiveHost(node, roster, rules, live, valid_s=valid_s).on_step))
    for host in roster.lam_hosts:
        node = await stack.enter_async_context(stage.node(host))
        jobs.append(serve(node, LamHost(node, roster, rules).on_step))
    node = await stack.enter_async_context(stage.node(WAM))
    rounds = world.scenario.feeder.confirm_rounds
    jobs.append(serve(node, WamOperator(node, roster, rules, rounds=rounds).on_step))
    return jobs


async def _feeder(stage: Stage, stack: AsyncExitStack) -> list[Job]:
    assert stage.owner is not None
    world = stage.world
    node = await stack.enter_async_context(stage.node(FEEDER))
    service = FeederService(
        node,
        stage.owner,
        world.roster,
        world.limits,
        lam_nodes=world.layout.lam_nodes,
        regulators_act=world.scenario.feeder.regulators == "free",
    )
    return [serve(node, service.on_step)]


async def _devices(stage: Stage, stack: AsyncExitStack) -> list[Job]:
    world = stage.world
    fleet = Fleet(emulated_prosumers(world))
    live = await fleet.start()
    stack.push_async_callback(fleet.stop)
    members = world.roster.live_members
    environment = LiveEnvironment(Sky(world.profiles), members, world.reactive_ratio)
    host = await stack.enter_async_context(stage.node(DEVICE_HOST))
    gate = await stack.enter_async_context(stage.node(GATEWAY))
    gateway = Gateway(
        live.values(),
        interval_s=world.timeline.interval_h * 3600.0,
        timeout_s=world.scenario.live.poll_timeout_s,
        hold_polls=world.scenario.live.hold_intervals,
    )
    stack.push_async_callback(gateway.close)
    lams = tuple(int(lam) for lam in world.roster.lam[members])
    return [
        serve(host, DeviceHostService(host, fleet, environment, lams).on_step),
        serve(gate, GatewayService(gate, gateway).on_step),
    ]


def emulated_prosumers(world: World) -> list[EmulatedProsumer]:
    """Emulated devices of the live prosumers: what each owns, on its bus's phases."""
    people, emulation = world.population, world.scenario.live.emulation
    return [
        EmulatedProsumer(
            id=people.id[member],
            phases=world.layout.lam_phases[people.lam[member]],
            nominal_v=emulation.nominal_voltage_v,
            pv_kw=float(people.pv_kwp[member]),
            pv_ramp_pct_s=emulation.ramp_percent_per_s,
            battery_kw=float(people.battery_kw[member]),
            battery_kwh=float(people.battery_kwh[member]),
            battery_efficiency=float(people.battery_efficiency[member]),
            battery_soc=float(people.soc_start[member]),
            battery_ramp_pct_s=emulation.ramp_percent_per_s,
        )
        for member in world.roster.live_members
    ]


async def _recorder(stage: Stage, stack: AsyncExitStack, control: Control, jobs: list[Job]) -> Recorder:
    node = await stack.enter_async_context(stage.node(RECORDER))
    recorder = Recorder(node, stage.world, control.writer, control.ledger)
    jobs.append(recorder.run())
    return recorder


async def _clock(stage: Stage, stack: AsyncExitStack, control: Control) -> Job:
    node = await stack.enter_async_context(stage.node("clock"))
    clock = Clock(
        node,
        intervals=stage.world.timeline.intervals,
        interval_s=stage.world.timeline.interval_h * 3600.0,
        required=reporters(stage.world),
        services=stage.world.services,
        pacing=control.pacing,
        guard_s=GUARD_S,
        on_interval=control.on_interval,
    )
    control.on_clock(clock)
    return clock.run()


def reporters(world: World) -> dict[StepName, list[str]]:
    """Services whose report ends each step."""
    hosts, lam_hosts = list(world.roster.hosts), list(world.roster.lam_hosts)
    gateways = [GATEWAY] if world.has_live else []
    device_hosts = [DEVICE_HOST] if world.has_live else []
    return {
        "measure": gateways,
        "bid": [WAM],
        "clear": [WAM, *lam_hosts],
        "dispatch": [*gateways, *hosts],
        "act": [*device_hosts, *hosts],
        "meter": [*gateways, FEEDER],
        "settle": [RECORDER, *device_hosts],
    }
