"""Cases of the studies: random communities, and intervals of scenarios over the feeder's linear model."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cosim.feeder.circuit import FeederLayout, Floats
from cosim.feeder.judgement import Judgement, check
from cosim.feeder.linear import Limits, Linearisation
from cosim.feeder.network_rows import network_rows
from cosim.feeder.opendss import Feeder
from cosim.population.portfolios import ProfileCache, VirtualPortfolio
from cosim.scenario import load_scenario
from cosim.scenario.changes import Changes
from cosim.scenario.examples import example as example_file
from cosim.scenario.people import PopulationSection
from cosim.world.build import build_world
from market.model.case import Case, Grid, Network, Resources, Tariff
from market.model.rule import Anchor, QuantityBidding
from market.solver.clearing import clear

RESOURCES = 3
"""Per prosumer, of random ones."""

AN_HOUR_S = 3600.0

IMPORT_PRICE, EXPORT_PRICE = 0.30, 0.06
"""Of communities; the utility's prices are the same [$/kWh]."""


def random_prosumers(rng: np.random.Generator, lam_of: np.ndarray, lams: int, size_kw: float = 1.0) -> Case:
    """Prosumers with load or generation, and three resources of all kinds, in a market without a network.

    Parameters
    ----------
    rng
        Source of all draws.
    lam_of
        LAM of each prosumer, ``(n,)``.
    lams
        Number of LAMs.
    size_kw
        Scale of all powers [kW].
    """
    n = lam_of.size
    count = RESOURCES * n
    step = rng.random(count) < 0.2
    linear = rng.uniform(0.05, 0.25, count)
    linear[step & (rng.random(count) < 0.5)] = 0.0
    return Case(
        prosumer_id=tuple(f"p{j}" for j in range(n)),
        lam_id=tuple(f"lam{i}" for i in range(lams)),
        lam_of=lam_of,
        demand_kw=size_kw * rng.uniform(-3.0, 5.0, n),
        resources=Resources(
            owner=np.repeat(np.arange(n), RESOURCES),
            min_kw=-size_kw * rng.uniform(0.0, 2.0, count) * (rng.random(count) < 0.5),
            max_kw=size_kw * rng.uniform(0.2, 2.0, count),
            cost_linear=linear,
            cost_quadratic=np.where(step, 0.0, rng.uniform(0.01, 0.2, count) / size_kw),
        ),
        sensitivity=np.full(lams, 10.0 * size_kw),
        fee=np.full(lams, 0.01),
        wam_sensitivity=200.0,
        wam_fee=np.full(lams, 0.005),
        balance=1.0 + rng.normal(0.0, 0.02, lams),
        offset_kw=3.0,
        network=None,
        grid=Grid(0.25, 0.05, 1e6, 1e6),
        tariff=Tariff(0.30, 0.04),
    )


@dataclass(frozen=True)
class Interval:
    """One interval of a scenario: its case over the linear model, the feeder itself and its limits."""

    case: Case
    feeder: Feeder
    limits: Limits

    def violations(self, net_kw: Floats) -> Judgement:
        """What AC power flow says of LAMs' net powers ``(M,)`` [kW]."""
        layout = self.feeder.layout
        state = self.feeder.solve(net_kw, layout.spot_kw * layout.tan_phi)
        return check(state, None, self.limits)


def interval(
    start: str,
    *,
    example: str = "",
    changes: Changes | None = None,
    feeder: Feeder | None = None,
    point: Linearisation | None = None,
    controls_act: bool = True,
) -> Interval:
    """A scenario's prosumers in the interval that starts at a local time, batteries as they begin.

    Parameters
    ----------
    start
        Local time, ``HH:MM``.
    example
        Name of an example scenario; the default one where it is empty.
    changes
        Keys of the scenario that differ, by dotted key.
    feeder
        A feeder that is open already; the IEEE 123-node one where it is left out.
    point
        Where the linear model is taken; by default where a first clearing without limits puts the feeder.
    controls_act
        Whether regulators and capacitors act on that clearing before the linear model is taken.
    """
    feeder = feeder or Feeder()
    file = example_file(example) if example else None
    world = build_world(load_scenario(file, start=start, intervals=1, changes=changes), feeder.layout)
    everyone = np.arange(world.population.size)
    position = VirtualPortfolio(
        ProfileCache(world.profiles), everyone, world.reactive_ratio, world.voltage_response()
    ).position(0)
    terms = world.rules.terms(0)
    case = replace(
        world.rules.case,
        demand_kw=position.demand_kw,
        resources=position.resources,
        grid=terms.grid,
        tariff=terms.tariff,
    )
    if point is None:
        at_spot = with_model(case, world.limits, around(feeder, feeder.layout.spot_kw))
        free_kw = clear(replace(at_spot, network=None)).wam.flow_kw
        if controls_act:
            let_controls_act(feeder, free_kw)
        point = around(feeder, free_kw)
    return Interval(with_model(case, world.limits, point), feeder, world.limits)


def sized(prosumers: int) -> dict[str, object]:
    """Changes of a scenario so that so many prosumers load the feeder as the default 11,250 do."""
    people = PopulationSection()
    ratio = people.prosumers / prosumers
    return {
        "population.prosumers": prosumers,
        "population.annual_kwh_median": ratio * people.annual_kwh_median,
        "population.pv.kwp_min": ratio * people.pv.kwp_min,
        "population.pv.kwp_max": ratio * people.pv.kwp_max,
        "population.battery.kwh_min": ratio * people.battery.kwh_min,
        "population.battery.kwh_max": ratio * people.battery.kwh_max,
    }


def default_day_case(feeder: Feeder, start: str) -> tuple[Case, Limits]:
    """The default scenario's interval at a local time, linearised where a clearing within limits puts it."""
    first = interval(start, feeder=feeder, point=around(feeder, feeder.layout.spot_kw))
    there = interval(start, feeder=feeder, point=around(feeder, clear(first.case).wam.net_kw))
    return there.case, there.limits


def communities(
    seed: int, lams: int, members: int, *, unlike: float = 0.5, pv_share: float = 0.36, size_kw: float = 1.0
) -> Case:
    """Households at noon in communities of which every other one has more PV; no network.

    Parameters
    ----------
    seed
        Of all draws.
    lams, members
        Communities, and households in each.
    unlike
        By which part the share of roofs with PV is higher, or lower, than the mean.
    pv_share
        Mean part of the households that have PV.
    size_kw
        Scale of all powers [kW].
    """
    rng = np.random.default_rng(seed)
    lam_of = np.repeat(np.arange(lams), members)
    n = lam_of.size
    load_kw = size_kw * rng.uniform(0.3, 1.5, n)
    share = pv_share * (1.0 + unlike * np.where(lam_of % 2 == 0, 1.0, -1.0))
    parts = []
    for chance, low, high, price, rise in (
        (share, 0.0, 2.5, (0.0, 0.0), 0.001),  # PV, by the sun that there is
        (np.full(n, 0.2), -1.0, 1.0, (0.10, 0.20), 0.03),  # batteries, both ways
        (np.full(n, 0.6), 0.0, 0.3, (0.08, 0.30), 0.15),  # flexible load
    ):
        owner = np.flatnonzero(rng.random(n) < chance)
        kw = size_kw * rng.uniform(0.5, 1.5, owner.size)
        parts.append((owner, low * kw, high * kw, rng.uniform(*price, owner.size), rise / kw))
    # Wide, but of the members' own size: an independent solver must bear it.
    wide_kw = 10.0 * n * size_kw
    grid = Grid(IMPORT_PRICE, EXPORT_PRICE, wide_kw, wide_kw)
    return Case(
        prosumer_id=tuple(f"p{j}" for j in range(n)),
        lam_id=tuple(f"lam{i}" for i in range(lams)),
        lam_of=lam_of,
        demand_kw=load_kw,
        resources=Resources(*(np.concatenate(column) for column in zip(*parts, strict=True))),
        sensitivity=np.full(lams, 5.0),
        fee=np.zeros(lams),
        wam_sensitivity=200.0 * lams,
        wam_fee=np.zeros(lams),
        balance=np.ones(lams),
        offset_kw=0.0,
        network=None,
        grid=grid,
        tariff=Tariff(grid.import_price, grid.export_price),
    )


def by_quantity(case: Case, price_span: float, anchor: Anchor = "price") -> Case:
    """The same members under quantity bidding, with the grid's prices as the utility's and no fees."""
    grid, none = case.grid, np.zeros(len(case.lam_id))
    return replace(
        case,
        fee=none,
        wam_fee=none,
        tariff=Tariff(grid.import_price, grid.export_price),
        rule=QuantityBidding(price_span / case.members, anchor),
    )


def let_controls_act(feeder: Feeder, net_kw: Floats) -> None:
    """Let regulators and capacitors act on LAMs' net powers ``(M,)`` [kW] for an hour, and stay."""
    net_kvar = feeder.layout.spot_kw * feeder.layout.tan_phi
    feeder.act(lambda: feeder.solve(net_kw, net_kvar), AN_HOUR_S)


def usual_limits(layout: FeederLayout) -> Limits:
    """Voltages within 5 % and the feeder's own ratings."""
    return Limits(0.95, 1.05, layout.rating_a)


def around(feeder: Feeder, net_kw: Floats) -> Linearisation:
    """The feeder's linear model around LAMs' net powers ``(M,)`` [kW], with the spot loads' power factors."""
    return feeder.linearise(net_kw, feeder.layout.spot_kw * feeder.layout.tan_phi)


def with_model(
    case: Case, limits: Limits, point: Linearisation, reach_kw: tuple[Floats, Floats] | None = None
) -> Case:
    """The case over a linear model of its feeder.

    Parameters
    ----------
    reach_kw
        Least and most that each LAM may draw, ``(M,)`` each: rows that nothing in between brings to a limit
        are left out, as the feeder's service does. All rows by default.
    """
    everything = np.full(len(case.lam_id), 1e6)
    rows = network_rows(point, limits, *(reach_kw or (-everything, everything)))
    balance, offset_kw = point.balance
    is_voltage = np.array([kind == "voltage" for kind in rows.kind])
    network = Network(rows.matrix, rows.base, rows.lower, rows.upper, is_voltage, rows.name)
    return replace(case, balance=balance, offset_kw=offset_kw, network=network)
