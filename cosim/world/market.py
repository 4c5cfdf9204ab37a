"""The market of a world: who takes part, and by which rules and prices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cosim.feeder.circuit import FeederLayout
from cosim.population.bidding_rule import bidding_rule
from cosim.population.fleet import Fleet
from cosim.population.members import Population
from cosim.population.placement import DevicePlacement
from cosim.population.prices import prices_ahead, prices_at
from cosim.scenario import Scenario
from cosim.scenario.timeline import Timeline
from cosim.world.names import LAM_HOSTS, POPULATION_HOST
from cosim.world.told_prices import ToldPrices
from market.model.case import Case, Grid, Resources, Tariff
from market.participants.roster import HorizonRules, Roster, Rules, Terms

# A connection carries at least this much, whatever its owner's devices and consumption are [kW].
_LEAST_CONNECTION_KW = 10.0


def market_roster(
    layout: FeederLayout,
    population: Population,
    placement: DevicePlacement,
    fleets: Sequence[Fleet],
    shares: int,
) -> Roster:
    """Prosumers and LAMs of a feeder, their connections' ratings, and the services that act for them.

    LAMs are in so many ``shares``, or in one where that is zero; none is empty.
    """
    lams = np.arange(len(layout.lams))
    parts = np.array_split(lams, max(1, min(shares, lams.size)))
    virtual = np.flatnonzero(~population.live)
    return Roster(
        prosumers=population.id,
        lams=layout.lams,
        lam=population.lam,
        live=population.live,
        rating_kw=np.maximum(
            _LEAST_CONNECTION_KW,
            2.0 * (population.pv_kwp + population.battery_kw) + population.annual_kwh / 200.0,
        )
        + np.array([placement.drawn_kw(name) for name in population.id])
        + sum(np.bincount(each.owner, each.most_kw, minlength=population.size) for each in fleets),
        hosts={POPULATION_HOST: virtual} if virtual.size else {},
        lam_hosts={f"{LAM_HOSTS}-{place}": part for place, part in enumerate(parts)},
    )


def market_rules(
    scenario: Scenario, timeline: Timeline, population: Population, lams: tuple[str, ...], told: ToldPrices
) -> Rules:
    """Rules of a scenario's market, and its prices by tick, those that were ``told`` for it included."""
    market = scenario.market
    ones = np.ones(len(lams))
    members = np.maximum(np.bincount(population.lam, minlength=len(lams)), 1)

    def terms(tick: int) -> Terms:
        prices = prices_at(market, timeline, tick)
        grid = Grid(
            prices.import_price,
            prices.export_price,
            market.grid.import_limit_kw,
            market.grid.export_limit_kw,
        )
        return Terms(told.over(tick, grid), Tariff(prices.retail_price, prices.feed_in_price))

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
        rule=bidding_rule(market, members),
    )

    def expected(tick: int, ahead: int) -> Terms:
        prices = prices_ahead(market, timeline, scenario.run.seed, tick, ahead)
        now = terms(tick + ahead)
        grid = replace(now.grid, import_price=prices.import_price, export_price=prices.export_price)
        return Terms(told.over(tick + ahead, grid), now.tariff)

    horizon = HorizonRules(market.horizon, timeline.interval_h, expected) if market.horizon else None
    return Rules(case, terms, market.bidding, horizon)
