"""What prosumers expect of the intervals to come, and what their batteries can do (market.md, section 8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from broker.messages import DeviceState
from broker.messages.fields import StoreKind
from cosim.population.prices import error_ahead
from cosim.population.profiles import Forecast, Profiles
from cosim.scenario.arrays import Floats, Indices
from cosim.scenario.checks import hourly
from market.horizon.stores import Stores
from market.participants.horizon_bids import Prospect


class Expected(Protocol):
    """Means of load and PV by tick, and what is expected of the present one."""

    profiles: Profiles

    def mean(self, tick: int) -> tuple[Floats, Floats]:
        """Mean load and available PV of a tick [kW], ``(n,)`` each."""
        ...

    def forecast(self, tick: int) -> Forecast:
        """Load and PV that prosumers expect of the present tick."""
        ...


def expected(cache: Expected, tick: int, intervals: int) -> list[Forecast]:
    """Load and available PV of so many intervals from a tick on, or of fewer where the data end before.

    The present interval is expected as ever, each later one as it will be times an error that all share
    (``market.ahead`` of the scenario).
    """
    profiles = cache.profiles
    return [cache.forecast(tick)] + [
        _later(cache, profiles, tick, ahead) for ahead in range(1, min(intervals, profiles.ticks - tick))
    ]


def _later(cache: Expected, profiles: Profiles, tick: int, ahead: int) -> Forecast:
    load_kw, pv_kw = cache.mean(tick + ahead)
    errors, seed = profiles.scenario.market.ahead, profiles.scenario.run.seed
    load = error_ahead(errors.load_error, profiles.timeline, seed, "load", tick, ahead)
    sun = error_ahead(errors.sun_error, profiles.timeline, seed, "sun", tick, ahead)
    return Forecast(load * load_kw, np.minimum(sun * pv_kw, profiles.population.pv_kwp))


def prospect_of(profiles: Profiles, members: Indices, forecasts: Sequence[Forecast], soc: Floats) -> Prospect:
    """What ``members``, indices of the population, expect of T intervals: load, PV, shedding and batteries.

    Parameters
    ----------
    forecasts
        Load and PV of the whole population in each interval.
    soc
        State of charge of the whole population now [0..1], ``(n,)``.
    """
    people, T = profiles.population, len(forecasts)
    load_kw = np.stack([each.load_kw[members] for each in forecasts], axis=1)
    pv_kw = np.stack([each.pv_kw[members] for each in forecasts], axis=1)
    sun = np.flatnonzero(people.pv_kwp[members] > 0.0)
    sheds = np.flatnonzero(people.flexible_fraction[members] > 0.0)
    shed_kw = people.flexible_fraction[members[sheds], None] * np.maximum(load_kw[sheds], 0.0)
    none = np.zeros(sun.size)
    stores = battery_stores(profiles, members, soc, T)
    battery: StoreKind = "battery"
    return Prospect(
        demand_kw=load_kw,
        owner=np.concatenate([sun, sheds]),
        max_kw=np.concatenate([pv_kw[sun], shed_kw]),
        cost_linear=np.concatenate([none, people.flexible_cost_linear[members[sheds]]]),
        cost_quadratic=np.concatenate([none, people.flexible_cost_quadratic[members[sheds]]]),
        stores=stores,
        kind=(battery,) * len(stores),
    )


def battery_stores(profiles: Profiles, members: Indices, soc: Floats, intervals: int) -> Stores:
    """Batteries of ``members`` over T intervals; owners are counted by their place among them."""
    people, scenario = profiles.population, profiles.scenario
    owner = owners(profiles, members)
    who = members[owner]
    kwh, S = people.battery_kwh[who], who.size
    over = np.ones(intervals)
    lower = np.zeros((S, intervals + 1))
    if scenario.market.ahead.end == "cyclic":
        lower[:, -1] = people.soc_start[who] * kwh
    wear = np.full(S, scenario.population.battery.wear_price)
    return Stores(
        owner=owner,
        initial_kwh=soc[who] * kwh,
        lower_kwh=lower,
        upper_kwh=np.repeat(kwh[:, None], intervals + 1, axis=1),
        charge_kw=np.outer(people.battery_kw[who], over),
        discharge_kw=np.outer(people.battery_kw[who], over),
        charge_efficiency=np.outer(people.battery_efficiency[who], over),
        discharge_efficiency=np.outer(people.battery_efficiency[who], over),
        retention=np.full(S, profiles.battery_retention),
        drift_kwh=np.zeros((S, intervals)),
        charge_wear=wear,
        discharge_wear=wear,
        end_value=np.full(S, float(np.mean(hourly(scenario.market.grid.import_price)))),
    )


def owners(profiles: Profiles, members: Indices) -> Indices:
    """Places among ``members`` of those with a battery."""
    return np.flatnonzero(profiles.population.has_battery[members])


def energy_values(profiles: Profiles, members: Indices, worth: Floats) -> Floats:
    """What stored energy is worth to everybody, ``(n,)`` [$/kWh], from the members' stores ``(S,)``."""
    value = np.zeros(profiles.population.size)
    value[members[owners(profiles, members)]] = worth
    return value


def as_seen(prospect: Prospect, states: Sequence[Mapping[str, DeviceState]]) -> Prospect:
    """A prospect in which only those devices can be commanded whose state is known.

    Parameters
    ----------
    prospect
        Of ``n`` prosumers.
    states
        Devices of each that can be counted on, by kind. PV of others counts as inflexible generation, their
        batteries rest. Limits of power that a battery tells hold for the present interval.
    """
    demand_kw, max_kw, stores = prospect.demand_kw.copy(), prospect.max_kw.copy(), prospect.stores
    for r, owner in enumerate(prospect.owner):
        if prospect.cost_quadratic[r] == 0.0 and "pv" not in states[owner]:
            demand_kw[owner] -= max_kw[r]
            max_kw[r] = 0.0
    charge_kw, discharge_kw = stores.charge_kw.copy(), stores.discharge_kw.copy()
    for s, owner in enumerate(stores.owner):
        battery = states[owner].get("battery")
        if battery is None:
            charge_kw[s] = discharge_kw[s] = 0.0
            continue
        if battery.min_kw is not None:
            charge_kw[s, 0] = min(charge_kw[s, 0], max(-battery.min_kw, 0.0))
        if battery.max_kw is not None:
            discharge_kw[s, 0] = min(discharge_kw[s, 0], max(battery.max_kw, 0.0))
    stores = replace(stores, charge_kw=charge_kw, discharge_kw=discharge_kw)
    return replace(prospect, demand_kw=demand_kw, max_kw=max_kw, stores=stores)
