"""The composition root of a run: which services there are, who builds them, who waits for whom.

Here, and only here, concrete classes meet: buses, portfolios, fleets and the feeder's thread are made and
handed to services that know them as ports. A process may host every role of a run or only some.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

from broker.client.mqtt import connect
from broker.door.bounds import Bounds
from broker.door.quarantine import Quarantine
from broker.messages import Step, StepName
from broker.node import Node, offline_will, serve
from cosim.control.clock import Clock
from cosim.control.pacing import Pacing, Schedule
from cosim.feeder.service import FeederService
from cosim.feeder.thread import FeederOwner
from cosim.population.noise import generator
from cosim.population.portfolios import LiveEnvironment, ProfileCache, TelemetryPortfolio, VirtualPortfolio
from cosim.recording.recorder import Recorder
from cosim.results import RunWriter
from cosim.results.ledger import Ledger
from cosim.world.bounds import bounds_of
from cosim.world.names import (
    AUDITOR,
    CLOCK,
    DEVICE_HOST,
    EMULATORS,
    FEEDER,
    GATEWAY,
    LIVE_HOST,
    RECORDER,
    WAM,
    Role,
)
from cosim.world.world import World
from devices.emulation.fault_injector import Injector
from devices.emulation.fleet import EmulatedProsumer, Fleet
from devices.emulation.meter import Accuracy
from devices.emulation.service import DeviceHostService
from devices.faults.fault import on_the_line
from devices.gateway.claims import claimed
from devices.gateway.gateway import Gateway
from devices.gateway.plausibility import Plausibility
from devices.gateway.service import GatewayService
from devices.mqtt.run_discovery import presented, run_discovery
from devices.physics.grid_support import GridSupport
from market.participants.audit.auditor import Auditor
from market.participants.lam.host import LamHost
from market.participants.prosumers.live_host import LiveHost
from market.participants.prosumers.population_host import PopulationHost
from market.participants.wam.operator import WamOperator
from sharegrid.errors import SharegridError

Job = Callable[[], Coroutine[Any, Any, None]]


class NoEmulators(SharegridError):
    """Emulators beside the run that its scenario does not ask for, or asks for elsewhere."""


# How long a service may stay away or a step may take when nothing paces the run [s].
STEP_LIMIT_S = 60.0


@dataclass(frozen=True)
class RunSetup:
    """One process of a run: the world, the bus, and the feeder's thread where this process owns it.

    ``arm`` lets its gateway command hardware that the scenario arms; with ``observe`` it commands nothing.
    Messages that a service failed on are kept in the file ``quarantine``, if there is one. ``stop_record`` is
    where its gateway writes an emergency stop down; ``gateways`` are those that it runs.
    """

    world: World
    run_id: str
    url: str
    owner: FeederOwner | None = None
    arm: bool = False
    observe: bool = False
    quarantine: Path | None = None
    stop_record: Path | None = None
    gateways: list[GatewayService] = field(default_factory=list)

    @cached_property
    def bounds(self) -> Bounds:
        """What the run's messages are held against."""
        return bounds_of(self.world)

    @asynccontextmanager
    async def node(self, name: str) -> AsyncIterator[Node]:
        """Participant ``name`` on a connection of its own, which says so when it is lost."""
        nodes: list[Node] = []
        will = offline_will(self.run_id, name)
        async with connect(self.url, name, will, on_reconnect=lambda: nodes[0].reconnected()) as bus:
            kept = Quarantine(self.quarantine)
            nodes.append(Node(bus, self.run_id, name, self.world.digest, self.bounds, kept))
            yield nodes[0]


@asynccontextmanager
async def services(setup: RunSetup, roles: Sequence[str]) -> AsyncIterator[list[Job]]:
    """Services of some roles, connected and ready to run.

    Parameters
    ----------
    roles
        Of market, feeder, devices and emulators, those that this process hosts.
    """
    async with AsyncExitStack() as stack:
        jobs: list[Job] = []
        if Role.MARKET in roles:
            jobs += await _market(setup, stack)
        if Role.FEEDER in roles:
            jobs += await _feeder(setup, stack)
        if Role.DEVICES in roles and setup.world.has_live:
            jobs += await _devices(setup, stack)
        if Role.EMULATORS in roles:
            jobs += await _emulators(setup, stack)
        yield jobs


async def perform(jobs: Sequence[Job]) -> None:
    """Run services until the clock ends the run; the first that fails ends them all."""
    async with asyncio.TaskGroup() as group:
        for job in jobs:
            group.create_task(job())


@asynccontextmanager
async def control(
    setup: RunSetup, writer: RunWriter, ledger: Ledger, pacing: Pacing, on_interval: Callable[[int], None]
) -> AsyncIterator[tuple[Clock, Recorder]]:
    """Clock and recorder, for the one process that owns them; both have a ``run`` to perform."""
    async with setup.node(RECORDER) as recorder_node, setup.node(CLOCK) as clock_node:
        clock = Clock(
            clock_node,
            Schedule(
                intervals=setup.world.timeline.intervals,
                interval_s=setup.world.timeline.interval_h * 3600.0,
                pacing=pacing,
                step_limit_s=STEP_LIMIT_S,
            ),
            required=reporters(setup.world),
            services=setup.world.services,
            on_interval=on_interval,
        )
        yield clock, Recorder(recorder_node, setup.world, writer, ledger)


class _Service(Protocol):
    async def on_step(self, step: Step) -> None: ...


def _job(node: Node, service: _Service) -> Job:
    return partial(serve, node, service.on_step)


async def _market(setup: RunSetup, stack: AsyncExitStack) -> list[Job]:
    world, roster, rules = setup.world, setup.world.roster, setup.world.rules
    cache = ProfileCache(world.profiles, world.expectation())
    jobs: list[Job] = []
    for host, members in roster.hosts.items():
        node = await stack.enter_async_context(setup.node(host))
        portfolio = VirtualPortfolio(cache, members, world.reactive_ratio)
        jobs.append(_job(node, PopulationHost(node, roster, rules, portfolio, world.conduct())))
    if world.has_live:
        node = await stack.enter_async_context(setup.node(LIVE_HOST))
        live = TelemetryPortfolio(
            cache,
            roster.live_members,
            world.reactive_ratio,
            metered_reactive=world.scenario.live.emulation.volt_var,
        )
        valid_s = world.scenario.live.command_validity_intervals * world.timeline.interval_h * 3600.0
        jobs.append(_job(node, LiveHost(node, roster, rules, live, world.conduct(), valid_s=valid_s)))
    for host in roster.lam_hosts:
        node = await stack.enter_async_context(setup.node(host))
        jobs.append(_job(node, LamHost(node, roster, rules)))
    node = await stack.enter_async_context(setup.node(WAM))
    rounds = world.scenario.feeder.confirm_rounds
    jobs.append(_job(node, WamOperator(node, roster, rules, rounds=rounds)))
    node = await stack.enter_async_context(setup.node(AUDITOR))
    jobs.append(_job(node, Auditor(node, roster, rules, world.position_hosts)))
    return jobs


async def _feeder(setup: RunSetup, stack: AsyncExitStack) -> list[Job]:
    assert setup.owner is not None
    world = setup.world
    node = await stack.enter_async_context(setup.node(FEEDER))
    service = FeederService(node, setup.owner, world.roster, world.operating_rules())
    return [_job(node, service)]


async def _devices(setup: RunSetup, stack: AsyncExitStack) -> list[Job]:
    world = setup.world
    fleet = emulated_fleet(world)
    injector = Injector(fleet, world.faults) if world.faults else None
    first = world.scenario.live.modbus_port
    live = await fleet.start(
        ports=range(first, first + len(fleet.prosumers)) if first else (), apart=on_the_line(world.faults)
    )
    stack.push_async_callback(fleet.stop)
    gate = await stack.enter_async_context(setup.node(GATEWAY))
    gateway = Gateway(
        [world.placement.connect(each, arm=setup.arm, observe=setup.observe) for each in live.values()],
        interval_s=world.timeline.interval_h * 3600.0,
        timeout_s=world.scenario.live.poll_timeout_s,
        # A meter is read twice in an interval.
        hold_polls=2 * world.scenario.live.hold_intervals,
        poll_limit_s=world.scenario.live.poll_limit_s,
        profiles=world.placement.profiles,
    )
    stack.push_async_callback(gateway.close)
    if world.scenario.live.home_assistant:
        discovery = run_discovery(gate.topics, GATEWAY, gateway.prosumers)
        await stack.enter_async_context(presented(setup.url, discovery))
    for actuator in gateway.actuators:
        if actuator.limits.real and actuator.limits.armed:
            endpoint = actuator.inverter.unit.endpoint
            await stack.enter_async_context(claimed(setup.url, setup.run_id, endpoint))
    service = GatewayService(gate, gateway, plausibility(world), setup.stop_record)
    setup.gateways.append(service)
    return [await _device_host(setup, stack, DEVICE_HOST, fleet, injector), service.run]


async def _emulators(setup: RunSetup, stack: AsyncExitStack) -> list[Job]:
    """Emulated devices beside the run, at the addresses that its scenario names, on the run's clock.

    The fleet is the whole one, so that every prosumer draws what it draws inside the run.
    """
    followers = setup.world.placement.followers
    if not followers:
        raise NoEmulators('no [[devices]] of this scenario has clock = "run"; there is nothing to emulate')
    fleet = emulated_fleet(setup.world)
    stack.push_async_callback(fleet.stop)
    for name, kinds in followers.items():
        link = kinds["meter"].endpoint.link
        served = (await fleet.start(link.place, [link.port], only=[name]))[name]
        for kind, each in kinds.items():
            if getattr(served, kind) != each.endpoint:
                raise NoEmulators(
                    f"[[devices]] of {name}: {kind} would be {getattr(served, kind)} "
                    f"as {getattr(served, kind).profile}; correct connect and profile"
                )
    return [await _device_host(setup, stack, EMULATORS, fleet)]


async def _device_host(
    setup: RunSetup, stack: AsyncExitStack, name: str, fleet: Fleet, injector: Injector | None = None
) -> Job:
    world = setup.world
    members = world.roster.live_members
    environment = LiveEnvironment(ProfileCache(world.profiles), members, world.reactive_ratio)
    node = await stack.enter_async_context(setup.node(name))
    lams = tuple(int(lam) for lam in world.roster.lam[members])
    service = DeviceHostService(node, fleet, environment, lams, injector=injector, members=members.tolist())
    return _job(node, service)


def plausibility(world: World) -> Plausibility:
    """Judge of what live prosumers' devices say."""
    roster = world.roster
    rating_kw = {roster.prosumers[m]: float(roster.rating_kw[m]) for m in roster.live_members}
    return Plausibility(rating_kw, world.timeline.interval_h)


def emulated_fleet(world: World) -> Fleet:
    """Emulated devices of the live prosumers, as the scenario wants them."""
    emulation = world.scenario.live.emulation
    return Fleet(
        emulated_prosumers(world),
        support=GridSupport(
            volt_var=emulation.volt_var, volt_watt=emulation.volt_watt, trips=emulation.trips
        ),
        accuracy=Accuracy(class_pct=emulation.meter_class_percent, noise_pct=emulation.meter_noise_percent),
        rng=generator(world.scenario.run.seed, "meters"),
    )


def emulated_prosumers(world: World) -> list[EmulatedProsumer]:
    """Emulated devices of the live prosumers: what each owns, on its bus's phases."""
    people, emulation = world.population, world.scenario.live.emulation
    return [
        EmulatedProsumer(
            id=people.id[member],
            phases=world.layout.lam_phases[people.lam[member]],
            nominal_v=emulation.nominal_voltage_v,
            import_kwh=emulation.counter_start_kwh,
            export_kwh=0.5 * emulation.counter_start_kwh,
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
        "settle": [RECORDER, AUDITOR, *device_hosts],
    }
