"""Prosumers as the market services see them: positions before an interval, and what then happens.

The population without hardware is advanced here with the same physics as the emulated devices; live
prosumers are known by telemetry alone and act through set-points.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from broker.snapshot import Values, array_of, part
from cosim.population.ahead import energy_values, expected, owners, prospect_of
from cosim.population.expectation import Expectation, ForecastView
from cosim.population.fleet import Fleet
from cosim.population.fleet_state import FleetState
from cosim.population.profiles import Actual, Forecast, Profiles
from cosim.population.resources import Inventory, Kind, inventory_of, resources_at
from cosim.population.voltage_response import VoltageResponse
from cosim.scenario.arrays import Floats, Indices
from devices.physics.battery import advance
from market.horizon.stores import joined_stores
from market.model.case import Resources, joined_resources
from market.participants.horizon_bids import Prospect
from market.participants.prosumers.portfolio import Metered, Position

# A PV allocation this close to what was expected is no curtailment: the inverter's limit is lifted [kW].
CURTAILED_KW = 1e-6

HISTORY_DAYS = 2
"""Days of which the means are kept at hand for forecasts; older ones are drawn anew."""


class ProfileCache:
    """Samples and forecasts of the profiles, computed once per tick for all who ask.

    Parameters
    ----------
    profiles
        What really happens, and the built-in forecast.
    expectation
        A forecast of the user's own, if there is one.
    """

    def __init__(self, profiles: Profiles, expectation: Expectation | None = None) -> None:
        self.profiles = profiles
        self.expectation = expectation
        self.sample = lru_cache(maxsize=2)(profiles.sample)
        self.expect = lru_cache(maxsize=2)(self._expect)
        day = round(24.0 / profiles.timeline.interval_h)
        most = max(HISTORY_DAYS * day, profiles.scenario.market.horizon + 1)
        self.mean = lru_cache(maxsize=most)(self._mean_of)

    def forecast(self, tick: int) -> Forecast:
        """Expected load and available PV of all prosumers."""
        return self.expect(tick)[0]

    def notes(self, tick: int) -> tuple[str, ...]:
        """What went wrong in the forecast of a tick."""
        note = self.expect(tick)[1]
        return (note,) if note else ()

    def _expect(self, tick: int) -> tuple[Forecast, str]:
        usual = self.profiles.forecast(tick, self.sample(tick))
        if self.expectation is None:
            return usual, ""
        timeline, people = self.profiles.timeline, self.profiles.population
        return self.expectation.of(
            ForecastView(
                tick=tick,
                starts=timeline.local(tick),
                interval_h=timeline.interval_h,
                prosumer=people.id,
                pv_kwp=people.pv_kwp,
                built_in=usual,
                history=lambda count: self._history(tick, count),
            )
        )

    def _history(self, tick: int, count: int) -> tuple[Floats, Floats]:
        """Mean load and available PV of up to ``count`` ticks before ``tick``, oldest first."""
        means = [self.mean(before) for before in range(max(0, tick - count), tick)]
        none = np.zeros((0, self.profiles.population.size))
        load_kw, pv_kw = zip(*means, strict=True) if means else ((), ())
        return np.vstack([none, *load_kw]), np.vstack([none, *pv_kw])

    def _mean_of(self, tick: int) -> tuple[Floats, Floats]:
        """Mean load and available PV of a tick [kW], ``(n,)`` each."""
        actual = self.profiles.sample(tick)
        return actual.load_kw.mean(axis=0), actual.pv_kw.mean(axis=0)


@dataclass(frozen=True)
class Offers:
    """Resources of a group of prosumers in one tick: which they are, and as the market takes them."""

    kind: npt.NDArray[np.int8]
    owner: Indices
    resources: Resources

    def total(self, output_kw: Floats, size: int, *kinds: Kind) -> Floats:
        """Output of the given kinds by owner, ``(size,)`` [kW]."""
        some = np.isin(self.kind, kinds)
        return np.bincount(self.owner[some], output_kw[some], minlength=size).astype(np.float64)

    def planned(self, by_kind: Mapping[Kind, Floats]) -> Floats:
        """What a plan wants of each resource, ``(r,)`` [kW], from that of its kind by owner, ``(n,)``.

        NaN where there is no plan.
        """
        wanted_kw = np.full(self.owner.size, np.nan)
        for kind, power_kw in by_kind.items():
            mine = self.kind == kind
            wanted_kw[mine] = power_kw[self.owner[mine]]
        return wanted_kw


def offers_of(
    profiles: Profiles,
    inventory: Inventory,
    members: Indices,
    tick: int,
    soc: Floats,
    forecast: Forecast,
    value: Floats | None = None,
) -> Offers:
    """Offers of ``members`` alone, owners counted by their place among them.

    ``value`` is what stored energy is worth, ``(n,)``; by owners' own outlook without.
    """
    everything = resources_at(profiles, inventory, tick, soc, forecast, value)
    place = np.full(profiles.population.size, -1, dtype=np.intp)
    place[members] = np.arange(members.size)
    mine = place[everything.prosumer] >= 0
    owner = place[everything.prosumer[mine]]
    resources = Resources(
        owner=owner,
        min_kw=everything.min_kw[mine],
        max_kw=everything.max_kw[mine],
        cost_linear=everything.cost_linear[mine],
        cost_quadratic=everything.cost_quadratic[mine],
    )
    return Offers(everything.kind[mine], owner, resources)


def battery_plan(profiles: Profiles, members: Indices, planned_kw: Floats) -> dict[Kind, Floats]:
    """Planned charging and discharging of all members, ``(n,)`` each [kW], from that of batteries."""
    power_kw = np.full(members.size, np.nan)
    power_kw[owners(profiles, members)] = planned_kw
    return {Kind.CHARGE: np.minimum(power_kw, 0.0), Kind.DISCHARGE: np.maximum(power_kw, 0.0)}


class VirtualPortfolio:
    """Prosumers without hardware (see `market.participants.prosumers.portfolio.Portfolio`).

    Parameters
    ----------
    cache
        Samples and forecasts of the whole population.
    members
        Indices of the prosumers, ascending.
    tan_phi
        Reactive over active power of each prosumer's load, ``(n,)`` over the whole population.
    response
        How their demand follows the voltage.
    fleet
        Vehicles, heat pumps and appliances of theirs.
    """

    def __init__(
        self,
        cache: ProfileCache,
        members: Indices,
        tan_phi: Floats,
        response: VoltageResponse,
        fleet: Fleet | None = None,
    ) -> None:
        self.cache = cache
        self.members = members
        self.tan_phi = tan_phi[members]
        self.response = response
        self.inventory = inventory_of(cache.profiles.population)
        self.soc = cache.profiles.population.soc_start.copy()
        self.fleet = FleetState(fleet, members) if fleet is not None and fleet.size else None

    def position(self, tick: int, worth: Floats | None = None, planned_kw: Floats | None = None) -> Position:
        """Expected position from the forecast and each battery's state of charge."""
        forecast = self.response.expected(self.cache.forecast(tick))
        profiles = self.cache.profiles
        batteries = owners(profiles, self.members).size
        value = None if worth is None else energy_values(profiles, self.members, worth[:batteries])
        self.offers = offers_of(profiles, self.inventory, self.members, tick, self.soc, forecast, value)
        resources = self.offers.resources
        if self.fleet is not None:
            more = self.fleet.offers(tick, None if worth is None else worth[batteries:])
            resources = joined_resources(resources, more)
        wanted_kw = None
        if planned_kw is not None:
            wanted_kw = self.offers.planned(battery_plan(profiles, self.members, planned_kw[:batteries]))
            more_kw = planned_kw[batteries:]
            wanted_kw = np.concatenate([wanted_kw, np.minimum(more_kw, 0.0), np.maximum(more_kw, 0.0)])
        load_kw = forecast.load_kw[self.members]
        notes = self.cache.notes(tick) + (() if self.fleet is None else self.fleet.notes())
        return Position(load_kw, self.tan_phi * load_kw, resources, notes, wanted_kw)

    def prospect(self, tick: int, intervals: int) -> Prospect:
        """What is expected of its prosumers from a tick on."""
        days = [self.response.expected(each) for each in expected(self.cache, tick, intervals)]
        prospect = prospect_of(self.cache.profiles, self.members, days, self.soc)
        if self.fleet is None:
            return prospect
        stores = joined_stores([prospect.stores, self.fleet.stores(tick, prospect.intervals)])
        return replace(prospect, stores=stores, kind=prospect.kind + self.fleet.fleet.kind)

    def act(self, tick: int, output_kw: Floats) -> Metered:
        """Hold the set-points through the interval: curtailment is a limit, the sun decides below it."""
        members, size = self.members, self.members.size
        people, dt_h = self.cache.profiles.population, self.cache.profiles.timeline.interval_h
        actual: Actual = self.cache.sample(tick)
        own = self.offers.kind.size
        output_kw, more_kw = output_kw[:own], output_kw[own:]
        pv_kw = self.offers.total(output_kw, size, Kind.PV)
        curtailed = pv_kw < self.cache.forecast(tick).pv_kw[members] - CURTAILED_KW
        pv_limit_kw = np.where(curtailed, pv_kw, np.inf)
        battery_kw = self.offers.total(output_kw, size, Kind.CHARGE, Kind.DISCHARGE)
        shed_kw = self.offers.total(output_kw, size, Kind.FLEXIBLE)

        load_kw = np.maximum(self.response.drawn(actual.load_kw)[:, members] - shed_kw, 0.0)
        net_kw = load_kw - np.minimum(actual.pv_kw[:, members], pv_limit_kw) - battery_kw
        if self.fleet is not None:
            net_kw = net_kw + self.fleet.act(tick, more_kw)
        self.soc[members] = advance(
            self.soc[members] * self.cache.profiles.battery_retention,
            battery_kw,
            people.battery_kwh[members],
            people.battery_efficiency[members],
            dt_h,
        )
        reactive_kvar = self.tan_phi * load_kw.mean(axis=0)
        return Metered(net_kw.mean(axis=0) * dt_h, reactive_kvar * dt_h)

    def snapshot(self) -> Values:
        """States of charge, and the voltages that demand goes by."""
        fleet = {} if self.fleet is None else {"fleet": self.fleet.snapshot()}
        return {"soc": self.soc, "response": self.response.snapshot(), **fleet}

    def restore(self, values: Values) -> None:
        """Put the batteries and all else that stores where they were, and go by the voltages of then."""
        if self.fleet is not None:
            self.fleet.restore(part(values, "fleet"))
        self.soc = array_of(values, "soc", self.soc)
        self.response.restore(part(values, "response"))
