"""What prosumers can offer the market in an interval: PV, batteries and flexible load as flat columns.

Limits of batteries come from the same physics as the devices, and their costs from the value of stored
energy, so a bid never offers what the device would refuse.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from cosim.population.members import Population
from cosim.population.profiles import Forecast, Profiles
from cosim.scenario.arrays import Floats, Indices
from devices.physics.battery import limits_kw


class Kind(IntEnum):
    """Kinds of resources, as codes of a column."""

    PV = 0
    CHARGE = 1
    DISCHARGE = 2
    FLEXIBLE = 3
    EV = 4
    LOAD = 5


@dataclass(frozen=True, slots=True)
class Inventory:
    """Which resources there are, ``(r,)`` each, by prosumer and then kind; the same in every interval."""

    prosumer: Indices
    kind: NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Resources:
    """Offers for one interval, columns of ``r`` resources (market.md, section 1).

    Attributes
    ----------
    prosumer, kind
        Owner's index and `Kind`, sorted by owner.
    min_kw, max_kw
        Range of output, + generates, discharges or sheds [kW].
    cost_linear, cost_quadratic
        Cost ``c x^2 / 2 + e x`` with e [$/kWh] and c [$/kWh per kW].
    demand_kw
        Inflexible demand of each prosumer [kW], ``(n,)``.
    """

    prosumer: Indices
    kind: NDArray[np.int8]
    min_kw: Floats
    max_kw: Floats
    cost_linear: Floats
    cost_quadratic: Floats
    demand_kw: Floats


def inventory_of(population: Population) -> Inventory:
    """Resources that a population owns."""
    owners = {
        Kind.PV: population.pv_kwp > 0.0,
        Kind.CHARGE: population.has_battery,
        Kind.DISCHARGE: population.has_battery,
        Kind.FLEXIBLE: population.flexible_fraction > 0.0,
    }
    prosumer = np.concatenate([np.flatnonzero(owns) for owns in owners.values()])
    kind = np.concatenate([np.full(owns.sum(), code, dtype=np.int8) for code, owns in owners.items()])
    order = np.lexsort((kind, prosumer))
    return Inventory(prosumer[order], kind[order])


def resources_at(
    profiles: Profiles,
    inventory: Inventory,
    tick: int,
    soc: Floats,
    forecast: Forecast,
    value: Floats | None = None,
) -> Resources:
    """Offers of all prosumers for one tick.

    Parameters
    ----------
    profiles
        Values stored energy.
    inventory
        From `inventory_of`.
    tick
        The interval bid for.
    soc
        State of charge at its start [0..1], ``(n,)``.
    forecast
        Load and PV that prosumers expect.
    value
        What a kWh more is worth at the end of the tick, ``(n,)`` [$/kWh]; by owners' own outlook without, and
        where it is infinite.

    Returns
    -------
    Resources
        PV may be curtailed for nothing. Discharging costs ``value / efficiency + wear``; charging, an output
        below 0, is worth ``value efficiency - wear``, never more. Shedding costs what its owner says.
    """
    people = profiles.population
    who, kind = inventory.prosumer, inventory.kind
    wear = profiles.scenario.population.battery.wear_price
    if value is None:
        value = profiles.stored_energy_value(tick, soc)
    elif not np.isfinite(value).all():
        value = np.where(np.isfinite(value), value, profiles.stored_energy_value(tick, soc))
    efficiency = people.battery_efficiency
    charge_kw, discharge_kw = limits_kw(
        soc * profiles.battery_retention,
        people.battery_kwh,
        people.battery_kw,
        efficiency,
        profiles.timeline.interval_h,
    )
    flexible_kw = people.flexible_fraction * np.maximum(forecast.load_kw, 0.0)
    zero = np.zeros(people.size)
    low = np.stack([zero, -charge_kw, zero, zero])
    high = np.stack([forecast.pv_kw, zero, discharge_kw, flexible_kw])
    linear = np.stack(
        [zero, value * efficiency - wear, value / efficiency + wear, people.flexible_cost_linear]
    )
    quadratic = np.stack([zero, zero, zero, people.flexible_cost_quadratic])
    return Resources(
        prosumer=who,
        kind=kind,
        min_kw=low[kind, who],
        max_kw=high[kind, who],
        cost_linear=linear[kind, who],
        cost_quadratic=quadratic[kind, who],
        demand_kw=forecast.load_kw,
    )
