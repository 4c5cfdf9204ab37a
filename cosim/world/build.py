"""The world of a scenario, built; all processes of a run build the same, so messages carry no master data."""

from __future__ import annotations

import hashlib
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np

from cosim.feeder.circuit import FeederLayout
from cosim.feeder.limits import limits_of
from cosim.feeder_setup.schedule import schedule
from cosim.population.build import build_population
from cosim.population.fault_plan import plan_faults
from cosim.population.fleet import fleet_of
from cosim.population.live_stores import LiveStores
from cosim.population.members import LamSites
from cosim.population.placement import place_devices, profile_of
from cosim.population.profiles import build_profiles
from cosim.population.stays import no_stays, read_stays
from cosim.scenario import Extension, Scenario
from cosim.scenario.timeline import timeline_of
from cosim.world.extensions import source_hash
from cosim.world.market import market_roster, market_rules
from cosim.world.told_prices import ToldPrices
from cosim.world.world import World


def build_world(scenario: Scenario, layout: FeederLayout) -> World:
    """World of a scenario on a feeder.

    Raises
    ------
    ScenarioError
        Prosumers, profiles or tables do not fit the feeder.
    """
    sites = LamSites(layout.lams, layout.spot_kw, layout.tan_phi)
    population = build_population(scenario, sites)
    timeline = timeline_of(scenario.run)
    placement = place_devices(scenario, population)
    table = scenario.tables.vehicles
    stays = read_stays(scenario, population, timeline, placement.external) if table else no_stays()
    emulated = population.live & np.array([name not in placement.external for name in population.id])
    fleet = fleet_of(scenario, population, stays, ~population.live)
    live_fleet = fleet_of(scenario, population, stays, emulated, one_load=True)
    told = ToldPrices()
    return World(
        scenario=scenario,
        digest=digest_of(scenario, layout),
        inputs=inputs_of(scenario, layout),
        layout=layout,
        limits=limits_of(scenario.feeder, layout),
        timeline=timeline,
        population=population,
        profiles=build_profiles(scenario, population, len(layout.lams)),
        roster=market_roster(layout, population, placement, (fleet, live_fleet), scenario.market.lam_shares),
        rules=market_rules(scenario, timeline, population, layout.lams, told),
        told_prices=told,
        reactive_ratio=layout.tan_phi[population.lam],
        events=schedule(scenario.events, layout, timeline),
        placement=placement,
        fleet=fleet,
        live_stores=LiveStores(live_fleet),
        faults=plan_faults(scenario, population, timeline.intervals, placement.external),
    )


def digest_of(scenario: Scenario, layout: FeederLayout) -> str:
    """Hash of a scenario and the files that it names, wherever they lie; broker and alarms do not matter."""
    values = msgspec.to_builtins(scenario, builtin_types=(datetime,))
    del values["broker"], values["alarms"]
    values["feeder"]["master"] = layout.digest
    for table, name in values["tables"].items():
        values["tables"][table] = _hash(name)
    for section, key in (("market", "strategy"), ("population", "forecast")):
        named: Extension = getattr(getattr(scenario, section), key)
        values[section][key]["folder"] = source_hash(named, f"{section}.{key}")
    folder = Path(scenario.live.profiles) if scenario.live.profiles else None
    values["live"]["profiles"] = [msgspec.to_builtins(profile_of(each, folder)) for each in scenario.devices]
    return hashlib.sha256(repr((version("sharegrid"), values)).encode()).hexdigest()[:16]


def inputs_of(scenario: Scenario, layout: FeederLayout) -> dict[str, str]:
    """SHA-256 of each file that a scenario names, by its key; of a feeder, of all files that describe it."""
    found = {"feeder.master": layout.digest} if layout.digest else {}
    tables = msgspec.to_builtins(scenario.tables)
    return found | {f"tables.{table}": _hash(name) for table, name in tables.items() if name}


def _hash(name: str) -> str:
    """SHA-256 of a file's content; empty without a file."""
    return hashlib.sha256(Path(name).read_bytes()).hexdigest() if name else ""
