"""The composition root of a run: which services there are, who builds them, who waits for whom.

Here and in `cosim.device_services`, and nowhere else, concrete classes meet: portfolios, fleets and the
feeder's thread are made and handed to services that know them as ports. A process may host every role of a
run or only some.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from broker.messages import StepName
from broker.participant.node import Node
from cosim.control.clock import Clock
from cosim.control.coupling import Coupling
from cosim.control.pacing import Pacing, Schedule
from cosim.control.recovery import Recovery
from cosim.control_watch import watch_control
from cosim.device_services import device_services, emulator_services
from cosim.feeder.service import FeederService
from cosim.population.portfolios import ProfileCache, VirtualPortfolio
from cosim.population.telemetry_portfolio import TelemetryPortfolio
from cosim.recording.recorder import Recorder
from cosim.results.ledger import Ledger
from cosim.results.writer import RunWriter
from cosim.run_setup import Job, RunSetup, job_of
from cosim.world.names import (
    AUDITOR,
    CLOCK,
    FEEDER,
    GATEWAY,
    LIVE_HOST,
    RECORDER,
    WAM,
    Role,
)
from cosim.world.world import World
from market.participants.audit.auditor import Auditor
from market.participants.lam.host import LamHost
from market.participants.prosumers.live_host import LiveHost
from market.participants.prosumers.population_host import PopulationHost
from market.participants.wam.operator import WamOperator

if TYPE_CHECKING:
    from market.participants.wam.horizon_market import HorizonMarket

# How long a service may stay away or a step may take when nothing paces the run [s].
STEP_LIMIT_S = 60.0


@asynccontextmanager
async def services(setup: RunSetup, roles: Sequence[str]) -> AsyncIterator[list[Job]]:
    """Services of some roles, connected and ready to run.

    Parameters
    ----------
    roles
        Of market, lam, feeder, devices and emulators, those that this process hosts.
    """
    async with AsyncExitStack() as stack:
        jobs: list[Job] = []
        if Role.MARKET in roles:
            jobs += await _prosumers(setup, stack)
            if not setup.world.services_of(Role.LAM):
                jobs += await _lam_operators(setup, stack)
            jobs += await _wam_and_auditor(setup, stack)
        if Role.LAM in roles:
            jobs += await _lam_operators(setup, stack)
        if Role.FEEDER in roles:
            jobs.append(await feeder_job(setup, stack))
        if Role.DEVICES in roles and setup.world.has_live:
            jobs += await device_services(setup, stack)
        if Role.EMULATORS in roles:
            jobs += await emulator_services(setup, stack)
        yield jobs


async def perform(jobs: Sequence[Job]) -> None:
    """Run services until the clock ends the run; the first that fails ends them all."""
    async with asyncio.TaskGroup() as group:
        for job in jobs:
            group.create_task(job())


async def perform_watched(jobs: Sequence[Job], setup: RunSetup, identity: str) -> None:
    """Run services until the clock ends the run, and watch over it meanwhile (`watch_control`)."""
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(watch_control(setup, identity))
        await perform(jobs)
        watching.cancel()


@asynccontextmanager
async def control(
    setup: RunSetup,
    writer: RunWriter,
    ledger: Ledger,
    pacing: Pacing,
    on_interval: Callable[[int], None],
    *,
    is_resumed: bool = False,
    elsewhere: Collection[Role] = (),
    say: Callable[[str], None] = lambda _: None,
    coupling: Coupling | None = None,
) -> AsyncIterator[tuple[Clock, Recorder]]:
    """Clock and recorder, for the one process that owns them; both have a ``run`` to perform.

    Parameters
    ----------
    on_interval
        Called with the tick when an interval is over.
    is_resumed
        Whether the ledger is that of a run that was interrupted or killed.
    elsewhere
        Roles that other processes host.
    say
        Tells the user something.
    coupling
        Others whose time the run keeps step with.
    """
    policy = setup.world.scenario.recovery
    async with setup.node(RECORDER) as recorder_node, setup.node(CLOCK) as clock_node:
        clock = Clock(
            clock_node,
            Schedule(
                intervals=setup.world.timeline.intervals,
                interval_s=setup.world.timeline.interval_h * 3600.0,
                pacing=pacing,
                step_limit_s=_step_limit_s(setup.world),
            ),
            required=reporters(setup.world),
            services=setup.world.services,
            on_interval=on_interval,
            recovery=Recovery(
                on_loss=policy.on_loss,
                patience_s=policy.patience_s,
                begin_epoch=ledger.begin_epoch,
                next_tick=lambda: ledger.next_tick,
                is_resumed=is_resumed,
            ),
            elsewhere={role: setup.world.services_of(role) for role in elsewhere},
            say=say,
            refusal=_no_lead(setup.world, coupling),
            coupling=coupling,
        )
        yield (
            clock,
            Recorder(recorder_node, setup.world, writer, ledger, begins_again=clock.begins_again),
        )


def _no_lead(world: World, coupling: Coupling | None) -> str:
    """Why no operator may lead a run; empty where one may."""
    if world.placement.hardware:
        return "hardware lives in real time"
    return "" if coupling is None else "a federation leads this run"


def _step_limit_s(world: World) -> float:
    """How long a step may take when nothing paces the run: longer where a horizon is cleared in it."""
    return STEP_LIMIT_S * (1.0 + world.scenario.market.horizon / 24.0)


async def _prosumers(setup: RunSetup, stack: AsyncExitStack) -> list[Job]:
    world, roster, rules = setup.world, setup.world.roster, setup.world.rules
    cache = ProfileCache(world.profiles, world.expectation())
    follow_voltage = world.scenario.population.voltage_dependence.is_any
    jobs: list[Job] = []
    for host, members in roster.hosts.items():
        node = await stack.enter_async_context(setup.node(host))
        virtual = VirtualPortfolio(
            cache, members, world.reactive_ratio, world.voltage_response(), world.fleet
        )
        take = virtual.response.take if follow_voltage else None
        population = PopulationHost(node, roster, rules, virtual, world.strategy_choice(), take)
        jobs.append(job_of(node, population))
    if world.has_live:
        node = await stack.enter_async_context(setup.node(LIVE_HOST))
        live = TelemetryPortfolio(
            cache,
            roster.live_members,
            world.reactive_ratio,
            world.voltage_response(),
            metered_reactive=world.scenario.live.emulation.volt_var,
            worth=world.consumer_worth,
        )
        valid_s = world.scenario.live.command_validity_intervals * world.timeline.interval_h * 3600.0
        take = live.response.take if follow_voltage else None
        live_host = LiveHost(node, roster, rules, live, world.strategy_choice(), take, valid_s=valid_s)
        jobs.append(job_of(node, live_host))
    return jobs


async def market_operators(setup: RunSetup, stack: AsyncExitStack) -> list[Job]:
    """Operators of both layers of the market, and who audits them; ``stack`` closes their connections."""
    return [*await _lam_operators(setup, stack), *await _wam_and_auditor(setup, stack)]


async def _lam_operators(setup: RunSetup, stack: AsyncExitStack) -> list[Job]:
    world, jobs = setup.world, []
    for host in world.roster.lam_hosts:
        node = await stack.enter_async_context(setup.node(host))
        jobs.append(job_of(node, LamHost(node, world.roster, world.rules)))
    return jobs


async def _wam_and_auditor(setup: RunSetup, stack: AsyncExitStack) -> list[Job]:
    world, roster, rules = setup.world, setup.world.roster, setup.world.rules
    jobs: list[Job] = []
    node = await stack.enter_async_context(setup.node(WAM))
    rounds = world.scenario.feeder.confirm_rounds
    horizon = _horizon_market(node, world)
    jobs.append(job_of(node, WamOperator(node, roster, rules, rounds=rounds, horizon=horizon)))
    node = await stack.enter_async_context(setup.node(AUDITOR))
    jobs.append(job_of(node, Auditor(node, roster, rules, world.position_hosts)))
    return jobs


def _horizon_market(node: Node, world: World) -> HorizonMarket | None:
    """The market over the horizon of the scenario; ``None`` where each interval is cleared by itself."""
    roster, rules = world.roster, world.rules
    if rules.horizon is None:
        return None
    # Only runs with a horizon need numba.
    from market.participants.wam.horizon_market import HorizonMarket

    live = {LIVE_HOST: roster.live_members} if world.has_live else {}
    return HorizonMarket(node, roster, rules, rules.horizon, {**roster.hosts, **live})


async def feeder_job(setup: RunSetup, stack: AsyncExitStack) -> Job:
    """The feeder; ``stack`` closes its connection."""
    assert setup.owner is not None
    world = setup.world
    node = await stack.enter_async_context(setup.node(FEEDER))
    service = FeederService(node, setup.owner, world.roster, world.operating_rules())
    return job_of(node, service)


def reporters(world: World) -> dict[StepName, list[str]]:
    """Services whose report ends each step."""
    hosts, lam_hosts = list(world.roster.hosts), list(world.roster.lam_hosts)
    gateways = [GATEWAY] if world.has_live else []
    device_hosts = world.device_hosts
    return {
        "measure": gateways,
        "bid": [WAM],
        "clear": [WAM, *lam_hosts],
        "dispatch": [*gateways, *hosts],
        "act": [*device_hosts, *hosts],
        "meter": [*gateways, FEEDER],
        "settle": world.services,
    }
