"""The command ``sharegrid check``: what a scenario comes to, before anything runs.

Everything that a run builds is built, so that whatever a run would refuse is refused here; nothing is started
and nothing is written, neither a file nor a device.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import click
import numpy as np

from cosim.extras import remedy
from cosim.feeder_setup.lam_table import feeder_of
from cosim.feeder_setup.schedule import after_the_end
from cosim.population.placement import DevicePlacement
from cosim.population.profiles import Actual
from cosim.population.sun import clear_sky_kw_per_kwp
from cosim.scenario import Scenario, load_scenario
from cosim.scenario.arrays import Indices
from cosim.scenario.changes import Changes
from cosim.world.build import build_world
from cosim.world.world import World
from devices.errors import DeviceError
from devices.gateway.links import Links
from devices.registers.rating_trust import rating_doubt
from sharegrid.text import entry, some_of

_SAMPLED = 96
_NAMED = 12
# At the edge of a cloud PV gives up to a quarter more than its rating.
_MOST_OF_PV = 1.5
# So little of its rating may be the noise of a meter.
_PV_BY_NIGHT = 0.01
# A battery that is empty sooner than in six minutes is none of a house [1/h].
_FASTEST_PER_H = 10.0


@dataclass
class Findings:
    """Lines to print: what stands where, and what is likely not meant so."""

    lines: list[tuple[str, str]] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    def say(self, what: str, line: str) -> None:
        """Add a line."""
        self.lines.append((what, line))


def check_command(path: Path | None, changes: Changes | None = None, timeout_s: float | None = None) -> int:
    """Print what a scenario comes to; returns 1 where something is doubtful.

    Parameters
    ----------
    path
        The scenario; ``None`` for the shipped one.
    changes
        Values of other keys, as `cosim.scenario.load_scenario` takes them.
    timeout_s
        How long a device may take to answer [s]; ``None`` asks none.

    Raises
    ------
    SharegridError
        A run would refuse the scenario.
    """
    scenario = load_scenario(path, changes=changes)
    world = build_world(scenario, feeder_of(scenario).widest.layout)
    found = look_at(world)
    if timeout_s is not None:
        answers = asyncio.run(ask_devices(world.placement, timeout_s))
        found.lines += [("answer", f"{each.whose}: {each.line}") for each in answers]
        found.doubts += [f"{each.whose} {each.doubt}" for each in answers if each.doubt]
        if not answers:
            found.doubts.append("--devices: the scenario names no hardware")
    width = max(len(what) for what, _ in found.lines)
    last = ""
    for what, line in found.lines:
        click.echo(f"{what if what != last else '':{width}}  {line}")
        last = what
    for doubt in found.doubts:
        click.echo(f"DOUBTFUL: {doubt}")
    return int(bool(found.doubts))


def look_at(world: World) -> Findings:
    """Who lives where, how much they draw, who is live, and what is to happen."""
    found = Findings()
    found.say("run", _span(world))
    found.say("feeder", _feeder(world))
    _prosumers(world, found)
    _magnitudes(world, found)
    _live(world, found)
    for line in _happenings(world, found):
        found.say("event", line)
    return found


@dataclass(frozen=True)
class Answer:
    """Whose a piece of hardware is, what it tells now or why it does not, and what is doubtful of that."""

    whose: str
    line: str
    doubt: str = ""


async def ask_devices(placement: DevicePlacement, timeout_s: float) -> list[Answer]:
    """What each piece of hardware tells; nothing is written to it."""
    links = Links(timeout_s, 0.0, placement.profiles)
    answers = []
    try:
        ports = [
            (f"{each.kind} of {name}", each, links.inverter(each.endpoint, real=True))
            for name, kinds in placement.external.items()
            for each in kinds.values()
            if each.is_real
        ]
        await links.open()
        for whose, each, port in ports:
            try:
                known = await port.state()
                ratings = None if each.kind == "meter" else await port.ratings()
            except DeviceError as error:
                answers.append(Answer(whose, f"no answer: {error}", "does not answer"))
                continue
            read = [f"{quantity} = {value:g}" for quantity, value in known.items() if value is not None]
            doubt = "" if ratings is None else rating_doubt(ratings, each.rated_kw, known.get("p_kw"))
            soc = known.get("soc")
            if soc is not None and not 0.0 <= soc <= 1.0:
                doubt = doubt or f"tells a state of charge of {soc:g}: check its scale"
            answers.append(Answer(whose, f"{port.endpoint}: {', '.join(read) or 'nothing now'}", doubt))
    finally:
        await links.close()
    return answers


def _span(world: World) -> str:
    time = world.timeline
    first, end = time.local(0), time.local(time.intervals)
    span = f"{first:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} {time.zone.key}"
    return f"{span}, {time.intervals} intervals of {time.interval_min} min"


def _feeder(world: World) -> str:
    layout, feeder = world.layout, world.scenario.feeder
    kw = float(layout.spot_kw.sum())
    return (
        f"{feeder.master or 'IEEE 123 nodes'}: {len(layout.nodes)} nodes, {len(layout.lams)} LAMs, "
        f"{kw:,.4g} kW of loads in the file"
    )


def _prosumers(world: World, found: Findings) -> None:
    people = world.population
    each = np.bincount(people.lam, minlength=len(world.layout.lams))
    pv, battery = people.pv_kwp > 0.0, people.has_battery
    found.say(
        "prosumers",
        f"{people.size:,}, {each.min()} to {each.max()} in a LAM; "
        f"{people.annual_kwh.sum() / 1000:,.4g} MWh a year",
    )
    found.say(
        "resources",
        f"PV {people.pv_kwp.sum():,.4g} kWp at {pv.sum():,}, "
        f"batteries {people.battery_kwh.sum():,.4g} kWh and {people.battery_kw.sum():,.4g} kW "
        f"at {battery.sum():,}",
    )
    fleets = (world.fleet, world.live_stores.fleet)
    if any(each.size for each in fleets):
        vehicles = sum(each.vehicles.kw.size + each.stays.kw.size for each in fleets)
        found.say(
            "stores",
            f"{vehicles:,} vehicles, {sum(each.pumps.kw.size for each in fleets):,} heat pumps, "
            f"{sum(each.appliances.kw.size for each in fleets):,} appliances that can wait: "
            f"up to {sum(float(each.most_kw.sum()) for each in fleets):,.4g} kW",
        )
    for fleet in fleets:
        found.doubts += fleet.doubts()
    if world.rules.horizon is not None and find_spec("numba") is None:
        found.doubts.append(f"market.horizon = {world.rules.horizon.intervals}: {remedy('numba')}")
    alone = [world.layout.lams[k] for k in np.flatnonzero(each == 1)]
    if alone:
        found.doubts.append(
            f"one prosumer alone shares with nobody in {some_of(alone, _NAMED)}: put more there, or accept it"
        )


def _magnitudes(world: World, found: Findings) -> None:
    """Load and PV over the run, beside what consumption and ratings make usual."""
    time, people = world.timeline, world.population
    ticks = np.unique(np.linspace(0, time.intervals - 1, min(_SAMPLED, time.intervals)).astype(int))
    samples = [world.profiles.sample(int(tick)) for tick in ticks]
    load_kw = np.array([float(each.load_kw.mean(axis=0).sum()) for each in samples])
    pv_kw = np.array([float(each.pv_kw.mean(axis=0).sum()) for each in samples])
    most_pv_kw = np.max([each.pv_kw.max(axis=0) for each in samples], axis=0)
    usual_kw = float(people.annual_kwh.sum()) / 8760.0
    found.say(
        "load",
        f"{load_kw.min():,.4g} to {load_kw.max():,.4g} kW in all, where {usual_kw:,.4g} kW is a year's mean",
    )
    found.say("sun", f"up to {pv_kw.max():,.4g} kW in all of {people.pv_kwp.sum():,.4g} kWp")
    largest = float(load_kw.max())
    feeder_kw = float(world.layout.spot_kw.sum())
    beyond = np.flatnonzero(most_pv_kw > _MOST_OF_PV * people.pv_kwp)
    if beyond.size:
        k = beyond[0]
        found.doubts.append(
            f"PV of {some_of([people.id[k] for k in beyond], _NAMED)} gives more than its pv_kwp, "
            f"{people.id[k]} {most_pv_kw[k]:,.4g} kW of {people.pv_kwp[k]:,.4g} kWp: check both"
        )
    if world.scenario.tables.profiles:
        _by_night(world, found, ticks, samples)
    _ratings(world, found)
    if usual_kw and not usual_kw / 20.0 < load_kw.mean() < 20.0 * usual_kw:
        found.doubts.append(
            f"load is {load_kw.mean() / usual_kw:.3g} times the year's mean: check its unit and year"
        )
    if feeder_kw and not feeder_kw / 20.0 < largest < 20.0 * feeder_kw:
        found.doubts.append(f"load is {largest / feeder_kw:.3g} times that of the feeder's file: check both")


def _by_night(world: World, found: Findings, ticks: Indices, samples: Sequence[Actual]) -> None:
    """PV of a table in ticks in which the sun is down, one line for the first of them."""
    people, time, scenario = world.population, world.timeline, world.scenario
    for tick, sample in zip(ticks.tolist(), samples, strict=True):
        pv_kw = sample.pv_kw.mean(axis=0)
        shines = np.flatnonzero(pv_kw > _PV_BY_NIGHT * people.pv_kwp)
        if not shines.size:
            continue
        middles_min = time.substep_epoch_min(tick)
        if clear_sky_kw_per_kwp(scenario.site, scenario.population.pv, middles_min).any():
            continue
        k = shines[0]
        found.doubts.append(
            f"tables.profiles: PV of {some_of([people.id[k] for k in shines], _NAMED)} gives power by night, "
            f"{people.id[k]} {pv_kw[k]:,.4g} kW at {time.local(tick):%Y-%m-%dT%H:%M}: are load and "
            "PV swapped, is the UTC offset another one, or is [site] elsewhere?"
        )
        return


def _ratings(world: World, found: Findings) -> None:
    """Ratings of PV and batteries, beside the feeder's loads and the batteries' capacities."""
    people, feeder_kw = world.population, float(world.layout.spot_kw.sum())
    for what, each_kw in (("PV", people.pv_kwp), ("battery power", people.battery_kw)):
        if feeder_kw and each_kw.sum() > 20.0 * feeder_kw:
            found.doubts.append(
                f"{what} is {each_kw.sum() / feeder_kw:.3g} times the loads of the feeder's file: "
                "are these watts? Check both"
            )
    fast = np.flatnonzero(people.has_battery & (people.battery_kw > _FASTEST_PER_H * people.battery_kwh))
    if fast.size:
        found.doubts.append(
            f"battery_kw is more than {_FASTEST_PER_H:g} times battery_kwh of "
            f"{some_of([people.id[k] for k in fast], _NAMED)}: are these watts?"
        )


def _live(world: World, found: Findings) -> None:
    people, placement = world.population, world.placement
    live = [people.id[k] for k in np.flatnonzero(people.live)]
    found.say("live", f"{len(live)}: {some_of(live, _NAMED)}" if live else "nobody")
    for name, kinds in placement.external.items():
        for each in kinds.values():
            found.say(
                "device",
                f"{each.kind} of {name}: {each.endpoint} as {each.endpoint.profile}, {each.authority}",
            )
    found.doubts += [doubt.line for doubt in world.envelope_doubts]


def _happenings(world: World, found: Findings) -> Iterator[str]:
    time, scenario = world.timeline, world.scenario
    for tick in sorted(world.events):
        if tick < time.intervals:
            for event in world.events[tick]:
                what = event.element or event.lam
                yield f"{time.local(tick):%Y-%m-%d %H:%M}, interval {tick}: {event.kind} {what}".rstrip()
    found.doubts += after_the_end(scenario.events, time)
    found.doubts += _faults_that_never_begin(scenario, time.intervals)
    if world.faults:
        first = min(fault.first for fault in world.faults)
        yield f"{len(world.faults)} faults of devices, the first in interval {first}"


def _faults_that_never_begin(scenario: Scenario, intervals: int) -> Iterator[str]:
    for place, order in enumerate(scenario.faults):
        if order.first_interval >= intervals:
            first = f"would begin in interval {order.first_interval}"
            yield f"{entry('faults', place)}: {first}, but the run has {intervals}"
