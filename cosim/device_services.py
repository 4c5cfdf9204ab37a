"""The services of devices, built: gateway and emulated devices, inside a run and beside it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial

from cosim.population.live_environment import LiveEnvironment
from cosim.population.noise import generator
from cosim.population.portfolios import ProfileCache
from cosim.run_setup import Job, RunningGateway, RunSetup, job_of
from cosim.world.names import (
    DEVICE_HOST,
    EMULATORS,
    GATEWAY,
)
from cosim.world.world import World
from devices.emulation.fault_injector import Injector
from devices.emulation.fleet import EmulatedProsumer, Fleet
from devices.emulation.meter import Accuracy
from devices.emulation.service import DeviceHostService
from devices.endpoint import LiveProsumer
from devices.faults.fault import on_the_line
from devices.gateway.claims import claimed
from devices.gateway.gateway import Gateway
from devices.gateway.hardware_record import HardwareRecord
from devices.gateway.locks import Holder, locked
from devices.gateway.plausibility import Plausibility
from devices.gateway.service import GatewayService
from devices.gateway.thread import GatewayThread
from devices.mqtt.run_discovery import presented, run_discovery
from devices.physics.grid_support import GridSupport
from sharegrid.errors import SharegridError


class NoEmulators(SharegridError):
    """Emulators beside the run that its scenario does not ask for, or asks for elsewhere."""


async def device_services(setup: RunSetup, stack: AsyncExitStack) -> list[Job]:
    """Gateway and emulated devices of a run; ``stack`` closes them."""
    world = setup.world
    fleet = emulated_fleet(world)
    injector = Injector(fleet, world.faults) if world.faults else None
    first = world.scenario.live.modbus_port
    live = await fleet.start(
        ports=range(first, first + len(fleet.prosumers)) if first else (), apart=on_the_line(world.faults)
    )
    stack.push_async_callback(fleet.stop)
    make = partial(_gateway, setup, list(live.values()))
    gateway: RunningGateway
    if setup.arm and any(each.entry.armed for each in world.placement.hardware):
        gateway = await stack.enter_async_context(GatewayThread(make))
    else:
        gateway = await make(stack)
    setup.gateways.append(gateway)
    return [await _device_host(setup, stack, DEVICE_HOST, fleet, injector), gateway.run]


async def _gateway(
    setup: RunSetup, emulated: Sequence[LiveProsumer], stack: AsyncExitStack
) -> GatewayService:
    """Gateway to emulated devices and to those outside; ``stack`` closes what it opens."""
    world = setup.world
    gate = await stack.enter_async_context(setup.node(GATEWAY))
    gateway = Gateway(
        [world.placement.connect(each, arm=setup.arm, observe=setup.observe) for each in emulated],
        interval_s=world.timeline.interval_h * 3600.0,
        timeout_s=world.scenario.live.poll_timeout_s,
        # A meter is read twice in an interval.
        hold_polls=2 * world.scenario.live.hold_intervals,
        poll_limit_s=world.scenario.live.poll_limit_s,
        profiles=world.placement.profiles,
        record=HardwareRecord(setup.hardware_record, gate.flag) if setup.hardware_record else None,
    )
    armed = [
        actuator.inverter.port.endpoint
        for actuator in gateway.actuators
        if actuator.limits.real and actuator.limits.armed
    ]
    # Before anything else, and given back after all else: no other run of this computer may command them.
    await stack.enter_async_context(locked(armed, _holder(setup)))
    stack.push_async_callback(gateway.close)
    await gateway.open()
    if world.scenario.live.home_assistant:
        discovery = run_discovery(gate.topics, GATEWAY, gateway.prosumers)
        await stack.enter_async_context(presented(setup.url, discovery, identity=GATEWAY))
    for endpoint in armed:
        await stack.enter_async_context(claimed(setup.url, setup.run_id, endpoint, identity=GATEWAY))
    service = GatewayService(
        gate, gateway, plausibility(world), setup.stop_record, setup.commands, world.device_hosts
    )
    stack.push_async_callback(service.leave)
    return service


def _holder(setup: RunSetup) -> Holder:
    """Name the run to others on this computer that want its hardware."""
    record = setup.hardware_record
    directory = "" if record is None else str(record.parent.absolute())
    return Holder(setup.run_id, directory, os.getpid(), setup.stop_by)


async def emulator_services(setup: RunSetup, stack: AsyncExitStack) -> list[Job]:
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
            found = getattr(served, kind)
            if found is None or (str(found), found.profile) != (str(each.endpoint), each.endpoint.profile):
                raise NoEmulators(
                    f"[[devices]] of {name}: {kind} would be {found} "
                    f"as {found and found.profile}; correct connect and profile"
                )
    return [await _device_host(setup, stack, EMULATORS, fleet)]


async def _device_host(
    setup: RunSetup, stack: AsyncExitStack, name: str, fleet: Fleet, injector: Injector | None = None
) -> Job:
    world = setup.world
    members = world.roster.live_members
    environment = LiveEnvironment(
        ProfileCache(world.profiles), members, world.reactive_ratio, world.voltage_response()
    )
    node = await stack.enter_async_context(setup.node(name))
    lams = tuple(int(lam) for lam in world.roster.lam[members])
    service = DeviceHostService(
        node,
        fleet,
        environment,
        lams,
        injector=injector,
        members=members.tolist(),
        gateways=(GATEWAY,),
        stores=world.live_stores.conditions,
    )
    return job_of(node, service)


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
    rated = world.live_stores.rating_and_energy
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
            battery_self_discharge=world.scenario.population.battery.self_discharge,
            battery_soc=float(people.soc_start[member]),
            battery_ramp_pct_s=emulation.ramp_percent_per_s,
            ev_kw=rated("ev", member)[0],
            ev_kwh=rated("ev", member)[1],
            flexible_kw=rated("load", member)[0],
            flexible_kwh=rated("load", member)[1],
        )
        for member in world.roster.live_members
    ]
