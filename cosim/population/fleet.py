"""Vehicles, heat pumps and appliances of prosumers: who owns which, and their paths.

Each kind is drawn from the scenario's seed with streams of its own, so that owning one changes nothing else.
Vehicles may also be those of a user's table, beside the others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from broker.messages.fields import StoreKind
from cosim.population.members import Bools, Population
from cosim.population.noise import generator
from cosim.population.stays import Stays
from cosim.scenario import Scenario
from cosim.scenario.arrays import Floats, Indices
from cosim.scenario.timeline import Timeline, timeline_of
from devices.physics.daily import appliance_path, heated_path, vehicle_path
from devices.physics.storage import StorePath


@dataclass(frozen=True)
class Vehicles:
    """Vehicles: columns as `devices.physics.daily.vehicle_path` has them, ``(S,)`` each."""

    leaves_h: Floats
    comes_h: Floats
    kwh: Floats
    kw: Floats
    trip_kwh: Floats
    reserve_kwh: Floats
    efficiency: Floats
    gives: Floats


@dataclass(frozen=True)
class HeatPumps:
    """Heated houses: columns as `devices.physics.daily.heated_path` has them, ``(S,)`` each."""

    low_c: Floats
    high_c: Floats
    kwh_per_k: Floats
    w_per_k: Floats
    performance: Floats
    kw: Floats


@dataclass(frozen=True)
class Appliances:
    """Appliances: columns as `devices.physics.daily.appliance_path` has them, ``(S,)`` each."""

    begins_h: Floats
    ends_h: Floats
    kwh: Floats
    kw: Floats


@dataclass(frozen=True)
class Fleet:
    """Stores of prosumers but batteries, one kind after the other.

    Vehicles come first, then heat pumps, then appliances, then vehicles of a user's table.

    Attributes
    ----------
    names
        Ids of all prosumers, ``(n,)``.
    owner
        Index of each one's owner in the population, ``(S,)``; who may have one of each kind.
    start_kwh
        Energy at the start of the run, ``(S,)``.
    worth_left
        What energy that is left at the end of a horizon is worth, in terms of the mean price, ``(S,)``.
    """

    scenario: Scenario
    timeline: Timeline
    names: tuple[str, ...]
    owner: Indices
    vehicles: Vehicles
    pumps: HeatPumps
    appliances: Appliances
    stays: Stays
    start_kwh: Floats
    worth_left: Floats

    @property
    def size(self) -> int:
        """Number of stores."""
        return self.owner.size

    @property
    def kind(self) -> tuple[StoreKind, ...]:
        """What each is."""
        parts: list[tuple[StoreKind, int]] = [
            ("vehicle", self.vehicles.kw.size),
            ("heat pump", self.pumps.kw.size),
            ("appliance", self.appliances.kw.size),
            ("vehicle", self.stays.owner.size),
        ]
        return tuple(kind for kind, size in parts for _ in range(size))

    @property
    def most_kw(self) -> Floats:
        """Most that each can draw, ``(S,)`` [kW]."""
        return np.concatenate([self.vehicles.kw, self.pumps.kw, self.appliances.kw, self.stays.kw])

    def path(self, tick: int, intervals: int) -> StorePath:
        """What they may do in so many intervals from a tick on."""
        dt_h = self.timeline.interval_h
        # With the intervals before and behind, for the clock may be set between two of them.
        hour = np.array([self.timeline.hour(each) for each in range(tick - 1, tick + intervals + 1)])
        heat = self.scenario.population.heat_pump
        # Coldest at five in the morning, warmest at five in the afternoon.
        outside_c = heat.outside_c - heat.outside_swing_c * np.cos(2.0 * np.pi * (hour - 5.0) / 24.0)
        daily = joined(
            vehicle_path(hour, dt_h, **vars(self.vehicles)),
            heated_path(outside_c, dt_h, **vars(self.pumps)),
            appliance_path(hour, dt_h, **vars(self.appliances)),
        )
        return joined(_within(daily), self.stays.path(tick, intervals))

    def doubts(self) -> list[str]:
        """Lines on what devices can do on no usual day: vehicles' trips, and houses kept warm."""
        return [*self.stays.lacking(self.names), *self._trips(), *self._cold_houses()]

    def _trips(self) -> list[str]:
        """A line on vehicles that lose more on a day's trip than they can charge from one to the next."""
        each, dt_h = self.vehicles, self.timeline.interval_h
        day = vehicle_path(np.arange(0.0, 24.0, dt_h), dt_h, **vars(each))
        lacks = np.maximum(each.trip_kwh - dt_h * each.efficiency * day.draw_kw.sum(axis=1), 0.0)
        short = np.flatnonzero(lacks > 1e-9)
        if not short.size:
            return []
        most = int(np.argmax(lacks))
        line = (
            f"population.ev: {lacks.sum():.4g} of {each.trip_kwh.sum():.4g} kWh that a day's trips take "
            f"cannot be charged from one to the next, at {short.size} of {lacks.size} vehicles; most, "
            f"{lacks[most]:.4g} kWh, is missing at {self.names[int(self.owner[most])]}: give a stronger "
            "charger (kw), shorter trips, or more time at home"
        )
        return [line]

    def _cold_houses(self) -> list[str]:
        """A line on houses that their heat pumps cannot keep warm at the mean outside temperature."""
        each, outside_c = self.pumps, self.scenario.population.heat_pump.outside_c
        needs_kw = each.w_per_k * (each.low_c - outside_c) / (1000.0 * each.performance)
        short = np.flatnonzero(needs_kw > each.kw)
        if not short.size:
            return []
        most = int(np.argmax(needs_kw - each.kw))
        who = self.names[int(self.owner[self.vehicles.kw.size + most])]
        line = (
            f"population.heat_pump: {short.size} of {needs_kw.size} houses need more than their heat pumps' "
            f"{each.kw[most]:g} kW to stay at {each.low_c[most]:g} degC with {outside_c:g} degC outside, "
            f"most {who} with {needs_kw[most]:.3g} kW: raise kw, or lower the losses"
        )
        return [line]

    def lacking(self, tick: int, energy_kwh: Floats) -> Floats:
        """What each store lacks of the energy that it wants at the end of a tick, ``(S,)`` [kWh]."""
        lacks = np.maximum(self.path(tick, 1).lower_kwh[:, 0] - energy_kwh, 0.0)
        return np.asarray(lacks + self.beyond(tick))

    def beyond(self, tick: int) -> Floats:
        """What each store wants at the end of a tick and could not be given in time, ``(S,)`` [kWh]."""
        beyond = np.zeros(self.size)
        beyond[self.size - self.stays.owner.size :] = self.stays.lacking_at(tick + 1)
        return beyond


def _within(path: StorePath) -> StorePath:
    """A path without its first and last interval."""
    return replace(path, **{name: column[:, 1:-1] for name, column in vars(path).items() if column.ndim == 2})


def joined(*paths: StorePath) -> StorePath:
    """Paths of all stores, one kind after the other."""
    names = StorePath.__dataclass_fields__
    return StorePath(**{name: np.concatenate([getattr(path, name) for path in paths]) for name in names})


def fleet_of(
    scenario: Scenario, population: Population, stays: Stays, who: Bools, *, one_load: bool = False
) -> Fleet:
    """Stores that a scenario's shares and table give to some prosumers.

    Parameters
    ----------
    stays
        Vehicles of the table; their owners have no others.
    who
        Prosumers that may have some, ``(n,)``.
    one_load
        Whether who has a heat pump has no appliance besides.
    """
    named, stays = stays.owner, stays.of(who)
    section, seed, n = scenario.population, scenario.run.seed, population.size
    ev, heat, wash = section.ev, section.heat_pump, section.appliance

    def owners(name: str, share: float) -> Indices:
        draw = generator(seed, f"population.{name}.owner").random(n)
        return np.flatnonzero((draw < share) & who)

    def drawn(name: str, owner: Indices, low: float, high: float) -> Floats:
        return generator(seed, f"population.{name}").uniform(low, high, n)[owner]

    driver, heated, washing = (
        np.setdiff1d(owners("ev", ev.share), named),
        owners("heat_pump", heat.share),
        owners("appliance", wash.share),
    )
    if one_load:
        washing = np.setdiff1d(washing, heated)
    shift = np.clip(generator(seed, "population.ev.hours").standard_normal((2, n)), -2.0, 2.0)[:, driver]
    ones, warm = np.ones(driver.size), np.ones(heated.size)
    kwh = drawn("ev.kwh", driver, ev.kwh_min, ev.kwh_max)
    trip = drawn("ev.trip", driver, ev.trip_kwh_min, ev.trip_kwh_max)
    vehicles = Vehicles(
        leaves_h=ev.leaves_h + ev.hours_sigma * shift[0],
        comes_h=ev.comes_h + ev.hours_sigma * shift[1],
        kwh=kwh,
        kw=ev.kw * ones,
        trip_kwh=trip,
        reserve_kwh=ev.reserve * kwh,
        efficiency=ev.efficiency * ones,
        gives=float(ev.gives_back) * ones,
    )
    losses = drawn("heat_pump.losses", heated, heat.w_per_k_min, heat.w_per_k_max)
    pumps = HeatPumps(
        low_c=heat.low_c * warm,
        high_c=heat.high_c * warm,
        kwh_per_k=losses / 1000.0 * heat.time_constant_h,
        w_per_k=losses,
        performance=heat.performance * warm,
        kw=heat.kw * warm,
    )
    work = drawn("appliance.kwh", washing, wash.kwh_min, wash.kwh_max)
    appliances = Appliances(
        begins_h=wash.begins_h * np.ones(work.size),
        ends_h=wash.ends_h * np.ones(work.size),
        kwh=work,
        kw=wash.kw * np.ones(work.size),
    )
    half = 0.5 * pumps.kwh_per_k * (pumps.high_c - pumps.low_c)
    return Fleet(
        scenario=scenario,
        timeline=timeline_of(scenario.run),
        names=population.id,
        owner=np.concatenate([driver, heated, washing, stays.owner]),
        vehicles=vehicles,
        pumps=pumps,
        appliances=appliances,
        stays=stays,
        start_kwh=np.concatenate(
            [np.maximum(kwh - trip, 0.5 * kwh), half, np.zeros(work.size + stays.owner.size)]
        ),
        worth_left=np.concatenate(
            [ones, warm / heat.performance, np.zeros(work.size), np.ones(stays.owner.size)]
        ),
    )
