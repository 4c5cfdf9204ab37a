"""What a scenario describes, built: feeder sites, prosumers, profiles, and the market's roster and rules.

Every process of a run builds the same world from the same scenario, so messages carry no master data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from cosim.extensions import make, source_hash
from cosim.feeder.circuit import FeederLayout
from cosim.feeder.dispatch import OperatingRules
from cosim.feeder.limits import limits_of
from cosim.feeder.linear import Limits
from cosim.feeder.settings import Event
from cosim.feeder_setup.schedule import schedule
from cosim.population.build import build_population
from cosim.population.expectation import Expectation
from cosim.population.fault_plan import plan_faults
from cosim.population.members import LamSites, Population
from cosim.population.noise import generator
from cosim.population.placement import Wiring, wire
from cosim.population.prices import prices_at
from cosim.population.profiles import Profiles, build_profiles
from cosim.scenario import Extension, Scenario
from cosim.scenario.timeline import Timeline, timeline_of
from devices.faults.fault import Fault
from devices.registers.profiles import as_builtins, load_profile
from market.model.case import Case, Grid, Resources, Tariff
from market.model.strategy import Conduct, Truthful
from market.participants.roster import Roster, Rules, Terms

POPULATION_HOST = "population-0"
LIVE_HOST = "live-0"
LAM_HOST = "lams-0"
WAM = "wam"
FEEDER = "feeder"
DEVICE_HOST = "devices-0"
EMULATORS = "emulators-0"
GATEWAY = "gateway-0"
AUDITOR = "auditor"
RECORDER = "recorder"

# A connection carries at least this much, whatever its owner's devices and consumption are [kW].
_LEAST_CONNECTION_KW = 10.0


@dataclass(frozen=True)
class World:
    """Everything about a run that does not change while it runs.

    Attributes
    ----------
    digest
        Short hash of everything that the world is built from: processes of one run must have the same.
    reactive_ratio
        Reactive over active power of each prosumer's load, ``(n,)``.
    events
        What happens to the feeder, by tick.
    wiring
        Devices outside the run.
    faults
        What goes wrong at emulated devices, and when.
    """

    scenario: Scenario
    digest: str
    layout: FeederLayout
    limits: Limits
    timeline: Timeline
    population: Population
    profiles: Profiles
    roster: Roster
    rules: Rules
    reactive_ratio: npt.NDArray[np.float64]
    wiring: Wiring
    events: Mapping[int, tuple[Event, ...]] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()

    def operating_rules(self) -> OperatingRules:
        """What binds the feeder's operation."""
        feeder, people = self.scenario.feeder, self.population
        # A live inverter does what its own settings say; the feeder speaks for the others.
        rated_kw = np.where(people.live, 0.0, people.pv_kwp + people.battery_kw)
        return OperatingRules(
            limits=self.limits,
            interval_s=self.timeline.interval_h * 3600.0,
            limit_kvar=feeder.inverter_kvar_share
            * np.bincount(people.lam, rated_kw, minlength=len(self.layout.lams)).astype(np.float64),
            controls_act=feeder.regulators == "free",
            network=self.scenario.market.network,
            reactive=feeder.reactive,
            curve_pu=feeder.volt_var_pu,
            events=self.events,
        )

    @property
    def has_live(self) -> bool:
        """Whether any prosumer has devices of its own."""
        return bool(self.population.live.any())

    def conduct(self) -> Conduct:
        """How prosumers bid, with a strategy of its own for each host that asks.

        Raises
        ------
        ScenarioError
            The strategy that the scenario names cannot be made.
        """
        named = self.scenario.market.strategy
        if not named.use:
            return Conduct(Truthful())
        return Conduct(make(named, "market.strategy", "bid"), self._drawn("strategy", named))

    def expectation(self) -> Expectation | None:
        """The forecast that the scenario names, if it does; raises as `conduct`."""
        named = self.scenario.population.forecast
        if not named.use:
            return None
        return Expectation(make(named, "population.forecast", "expect"), self._drawn("forecaster", named))

    def _drawn(self, purpose: str, named: Extension) -> npt.NDArray[np.bool_]:
        """Who goes by an extension, ``(n,)``."""
        draw = generator(self.scenario.run.seed, purpose).random(self.population.size)
        drawn: npt.NDArray[np.bool_] = draw < named.share
        return drawn

    @property
    def device_hosts(self) -> list[str]:
        """Names of the services that let emulated devices act."""
        apart = [EMULATORS] if self.wiring.followers else []
        return [DEVICE_HOST, *apart] if self.has_live else []

    @property
    def position_hosts(self) -> list[str]:
        """Names of the services that publish prosumers' true positions."""
        return [*self.roster.hosts, *([LIVE_HOST] if self.has_live else [])]

    @property
    def services(self) -> list[str]:
        """Names of all services of the run but the clock."""
        live = [LIVE_HOST, GATEWAY, *self.device_hosts] if self.has_live else []
        return [*self.roster.hosts, *self.roster.lam_hosts, WAM, AUDITOR, FEEDER, RECORDER, *live]


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
    wiring = wire(scenario, population)
    return World(
        scenario=scenario,
        digest=digest_of(scenario),
        layout=layout,
        limits=limits_of(scenario.feeder, layout),
        timeline=timeline,
        population=population,
        profiles=build_profiles(scenario, population, len(layout.lams)),
        roster=_roster(layout, population),
        rules=_rules(scenario, timeline, population, layout.lams),
        reactive_ratio=layout.tan_phi[population.lam],
        events=schedule(scenario.events, layout, timeline),
        wiring=wiring,
        faults=plan_faults(scenario, population, timeline.intervals, wiring.externals),
    )


def digest_of(scenario: Scenario) -> str:
    """Hash of a scenario and the files that it names, wherever they lie; the broker does not matter."""
    values = msgspec.to_builtins(scenario, builtin_types=(datetime,))
    del values["broker"]
    for section, key in (
        ("feeder", "master"),
        ("tables", "lams"),
        ("tables", "prosumers"),
        ("tables", "profiles"),
    ):
        if values[section][key]:
            values[section][key] = hashlib.sha256(Path(values[section][key]).read_bytes()).hexdigest()
    for section, key in (("market", "strategy"), ("population", "forecast")):
        named: Extension = getattr(getattr(scenario, section), key)
        values[section][key]["folder"] = source_hash(named, f"{section}.{key}")
    folder = Path(scenario.live.profiles) if scenario.live.profiles else None
    values["live"]["profiles"] = [
        as_builtins(load_profile(each.profile, folder)) for each in scenario.devices
    ]
    return hashlib.sha256(repr((version("sharegrid"), values)).encode()).hexdigest()[:16]


def _roster(layout: FeederLayout, population: Population) -> Roster:
    virtual = np.flatnonzero(~population.live)
    return Roster(
        prosumers=population.id,
        lams=layout.lams,
        lam=population.lam,
        live=population.live,
        rating_kw=np.maximum(
            _LEAST_CONNECTION_KW,
            2.0 * (population.pv_kwp + population.battery_kw) + population.annual_kwh / 200.0,
        ),
        hosts={POPULATION_HOST: virtual} if virtual.size else {},
        lam_hosts={LAM_HOST: np.arange(len(layout.lams))},
    )


def _rules(scenario: Scenario, timeline: Timeline, population: Population, lams: tuple[str, ...]) -> Rules:
    market = scenario.market
    ones = np.ones(len(lams))

    def terms(tick: int) -> Terms:
        prices = prices_at(market, timeline, tick)
        return Terms(
            Grid(
                prices.import_price,
                prices.export_price,
                market.grid.import_limit_kw,
                market.grid.export_limit_kw,
            ),
            Tariff(prices.retail_price, prices.feed_in_price),
        )

    nothing = np.zeros(0)
    case = Case(
        prosumer_id=population.id,
        lam_id=lams,
        lam_of=population.lam,
        demand_kw=np.zeros(population.size),
        resources=Resources(np.zeros(0, dtype=np.intp), nothing, nothing, nothing, nothing),
        sensitivity=market.lam_sensitivity * ones,
        fee=market.lam_fee * ones,
        wam_sensitivity=market.wam_sensitivity,
        wam_fee=market.wam_fee * ones,
        balance=ones,
        offset_kw=0.0,
        network=None,
        grid=terms(0).grid,
        tariff=terms(0).tariff,
        conjecture=market.conjecture,
    )
    return Rules(case, terms, market.bidding)
