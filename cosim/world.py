"""What a scenario describes, built: feeder sites, prosumers, profiles, and the market's roster and rules.

Every process of a run builds the same world from the same scenario, so messages carry no master data.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cosim.circuit import FeederLayout
from cosim.linear import Limits
from cosim.population import LamSites, Population, build_population
from cosim.prices import prices_at
from cosim.profiles import Profiles, build_profiles
from cosim.scenario import Scenario
from cosim.timeline import Timeline, timeline_of
from market.services.roster import Roster, Rules, Terms

POPULATION_HOST = "population-0"
LAM_HOST = "lams-0"

# A connection carries at least this much, whatever its owner's devices and consumption are [kW].
_LEAST_CONNECTION_KW = 10.0


@dataclass(frozen=True)
class World:
    """Everything about a run that does not change while it runs.

    Attributes
    ----------
    reactive_ratio
        Reactive over active power of each prosumer's load, ``(n,)``.
    """

    scenario: Scenario
    layout: FeederLayout
    limits: Limits
    timeline: Timeline
    population: Population
    profiles: Profiles
    roster: Roster
    rules: Rules
    reactive_ratio: npt.NDArray[np.float64]


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
    feeder = scenario.feeder
    return World(
        scenario=scenario,
        layout=layout,
        limits=Limits(
            voltage_min_pu=feeder.voltage_min_pu,
            voltage_max_pu=feeder.voltage_max_pu,
            rating_a=layout.rating_a * feeder.rating_factor
            if feeder.current_limits
            else np.full_like(layout.rating_a, np.inf),
        ),
        timeline=timeline,
        population=population,
        profiles=build_profiles(scenario, population, len(layout.lams)),
        roster=_roster(layout, population),
        rules=_rules(scenario, timeline, population, len(layout.lams)),
        reactive_ratio=layout.tan_phi[population.lam],
    )


def feeder_master(scenario: Scenario) -> Path | None:
    """OpenDSS master file that the scenario names; ``None`` for the shipped feeder."""
    return Path(scenario.feeder.master) if scenario.feeder.master else None


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


def _rules(scenario: Scenario, timeline: Timeline, population: Population, lams: int) -> Rules:
    market = scenario.market
    members = np.bincount(population.lam, minlength=lams)
    others = np.maximum(members - 1, 1)
    is_sharing = market.conjecture == "sharing" and lams > 1

    def terms(tick: int) -> Terms:
        prices = prices_at(market, timeline, tick)
        return Terms(
            import_price=prices.import_price,
            export_price=prices.export_price,
            import_limit_kw=market.grid.import_limit_kw,
            export_limit_kw=market.grid.export_limit_kw,
            retail=prices.retail_price,
            feed_in=prices.feed_in_price,
        )

    return Rules(
        # A lone member takes the price as given (docs/market.md).
        slope=np.where(members > 1, 1.0 / (market.lam_sensitivity * others), 0.0),
        fee=np.full(lams, market.lam_fee),
        wam_fee=np.full(lams, market.wam_fee),
        conjecture=1.0 / (market.wam_sensitivity * (lams - 1)) if is_sharing else 0.0,
        terms=terms,
    )
