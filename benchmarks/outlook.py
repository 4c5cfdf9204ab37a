"""What batteries save without a horizon, beside a clearing of the whole day at once.

    python -m benchmarks.outlook [--prosumers N]

Days of the default scenario with other weather, season and share of PV, without a feeder between the LAMs and
with forecasts that come true. What batteries save is what the day's social cost falls by against batteries
that rest, with energy that is left valued at the mean import price; 100 % is the equilibrium over the day
(`market.horizon`). Owners without a horizon value energy by what they expect of the feeder
(`population.outlook.prices`):

- linear: prices that are linear in the expected net load, of usual weather;
- cleared: the net load itself, with all batteries as one store in a market at one node.

With `--least` it fails where owners who go by the second keep less than that part of the saving.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click
import numpy as np

from cosim.feeder_setup.lam_table import feeder_of
from cosim.population.portfolios import ProfileCache, VirtualPortfolio
from cosim.population.resources import Kind
from cosim.scenario import load_scenario
from cosim.scenario.checks import hourly
from cosim.world.build import build_world
from cosim.world.world import World
from market.horizon.clearing import clear_horizon
from market.horizon.outcome import HorizonOutcome
from market.model.arrays import Floats
from market.model.case import Resources
from market.participants.wam.horizon_case import horizon_case
from market.solver.clearing import clear

T = 96
DAYS: dict[str, dict[str, object]] = {
    "default": {},
    "cloudy": {"weather.cloud_cover": 0.9},
    "little PV": {"population.pv.share": 0.05, "population.battery.share_without_pv": 0.1},
    "winter": {"run.start": "2024-12-10T00:00:00"},
    "much PV": {"population.pv.share": 0.6},
}
TRUE: dict[str, object] = {
    "population.forecast_error": 0.0,
    "population.pv.forecast_error": 0.0,
    "weather.forecast_error": 0.0,
    "live.per_lam": 0,
    "market.horizon": T,
}


def world_of(changes: dict[str, object], prosumers: int) -> World:
    """The default scenario with other keys, over a day."""
    start = str(changes.get("run.start", "2024-06-21T00:00:00"))
    others = {key: value for key, value in changes.items() if key != "run.start"}
    given = {**TRUE, **others, "population.prosumers": prosumers}
    scenario = load_scenario(None, start=start, intervals=T, changes=given)
    return build_world(scenario, feeder_of(scenario).layout)


def people_of(world: World) -> VirtualPortfolio:
    """Everybody, as one host's prosumers."""
    members = np.arange(world.population.size)
    cache = ProfileCache(world.profiles)
    return VirtualPortfolio(cache, members, world.reactive_ratio, world.voltage_response())


def left_value(world: World, kwh: Floats) -> float:
    """What energy that is left in batteries is worth [$]."""
    price = float(np.mean(hourly(world.scenario.market.grid.import_price)))
    return price * float(np.sum(kwh))


def resting(people: VirtualPortfolio, resources: Resources) -> Resources:
    """Resources of which batteries do nothing."""
    moves = ~np.isin(people.offers.kind, (Kind.CHARGE, Kind.DISCHARGE))
    return replace(resources, min_kw=resources.min_kw * moves, max_kw=resources.max_kw * moves)


def without_horizon(
    world: World,
    people: VirtualPortfolio,
    change: Callable[[VirtualPortfolio, Resources], Resources] = lambda _, resources: resources,
) -> float:
    """Cost of the day with energy valued [$], each interval cleared by itself."""
    cost = 0.0
    wear = world.scenario.population.battery.wear_price
    for tick in range(T):
        position = people.position(tick)
        resources = change(people, position.resources)
        terms = world.rules.terms(tick)
        case = replace(
            world.rules.case,
            demand_kw=position.demand_kw,
            resources=resources,
            grid=terms.grid,
            tariff=terms.tariff,
        )
        outcome = clear(case)
        people.act(tick, outcome.output_kw)
        is_battery = np.isin(people.offers.kind, (Kind.CHARGE, Kind.DISCHARGE))
        # A battery's offers are priced by what its energy is worth; what it costs is wear alone.
        output_kw = outcome.output_kw
        cost += 0.25 * float(
            resources.cost(output_kw)[~is_battery].sum() + terms.grid.cost(outcome.wam.grid_kw)
        )
        cost += 0.25 * wear * float(np.abs(output_kw[is_battery]).sum())
    return cost - left_value(world, people.soc * world.population.battery_kwh)


def with_horizon(world: World) -> float:
    """Cost of the day with energy valued [$], cleared at once."""
    rules = world.rules
    assert rules.horizon is not None
    expected = [rules.horizon.expected(0, ahead) for ahead in range(T)]
    prospect = people_of(world).prospect(0, T)
    case = horizon_case(rules, prospect, [None] * T, expected, rules.horizon.hours)
    outcome: HorizonOutcome = clear_horizon(case)
    wear = float(case.stores.wear(outcome.power_kw).sum())
    cost = 0.25 * (sum(one.social_cost for one in outcome.intervals) + wear)
    return cost - left_value(world, outcome.state_kwh[:, -1])


def captured(changes: dict[str, object], prosumers: int) -> dict[str, Any]:
    """What batteries save on a day, and which part of it without a horizon."""
    world = world_of(dict(changes), prosumers)
    idle = without_horizon(world, people_of(world), resting)
    best = with_horizon(world)
    other = world_of({**changes, "population.outlook.prices": "cleared"}, prosumers)
    costs = {
        name: without_horizon(each, people_of(each)) for name, each in (("linear", world), ("cleared", other))
    }
    return {"saving": idle - best} | {name: (idle - cost) / (idle - best) for name, cost in costs.items()}


@click.command()
@click.option("--prosumers", default=5000, show_default=True, help="Size of the population.")
@click.option("--least", default=0.0, help="Least part of the saving, 0 to 1.")
def main(prosumers: int, least: float) -> None:
    """Print a line for each day."""
    click.echo(f"{'day':12}{'saving $':>10}{'linear':>10}{'cleared':>10}")
    for name, changes in DAYS.items():
        row = captured(changes, prosumers)
        click.echo(f"{name:12}{row['saving']:>10.3f}{row['linear']:>10.1%}{row['cleared']:>10.1%}")
        if row["cleared"] < least:
            raise click.ClickException(
                f"{name}: {row['cleared']:.1%} of the saving where {least:.0%} is wanted"
            )


if __name__ == "__main__":
    main()
