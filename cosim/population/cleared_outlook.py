"""Prices that owners may expect: what a market of the whole feeder at one node would come to.

The expected net load is cleared against the grid and the batteries, interval by interval, twice: first their
owners go by prices that are linear in net load, then by what the first pass came to. Either overshoots where
batteries move the price; the mean of both passes does not (`python -m benchmarks.outlook`).
"""

from dataclasses import dataclass

import numpy as np

from cosim.population.members import Population
from cosim.population.stored_value import value_at, value_curves
from cosim.scenario.arrays import Floats
from devices.physics.battery import advance, limits_kw


@dataclass(frozen=True, slots=True)
class Fleets:
    """Batteries of one duration and efficiency each, ``(g,)``: all together like one.

    Attributes
    ----------
    kwh, kw, efficiency, soc
        Capacity [kWh], rating [kW], one-way efficiency, and state of charge at the start [0..1].
    wear
        Cost of wear through the terminals [$/kWh].
    """

    kwh: Floats
    kw: Floats
    efficiency: Floats
    soc: Floats
    wear: float


def fleets_of(population: Population, wear: float) -> Fleets:
    """A population's batteries, those alike in duration (within 20 %) and efficiency as one."""
    owner = np.flatnonzero((population.battery_kwh > 0.0) & (population.battery_kw > 0.0))
    kwh, kw = population.battery_kwh[owner], population.battery_kw[owner]
    efficiency = population.battery_efficiency[owner]
    alike = np.stack([np.rint(4.0 * np.log2(kw / kwh)), np.rint(100.0 * efficiency)])
    groups, group = np.unique(alike, axis=1, return_inverse=True)
    group, size = group.reshape(-1), groups.shape[1]
    total = np.bincount(group, kwh, size).astype(np.float64)
    stored = np.bincount(group, kwh * population.soc_start[owner], size)
    return Fleets(
        kwh=total,
        kw=np.bincount(group, kw, size).astype(np.float64),
        efficiency=np.bincount(group, kwh * efficiency, size) / total,
        soc=stored / total,
        wear=wear,
    )


def cleared_prices(
    linear: Floats, net_kw: Floats, low: Floats, high: Floats, fleets: Fleets, dt_h: float, step: int
) -> Floats:
    """Mean of the prices of two passes, ``(t,)`` [$/kWh].

    Parameters
    ----------
    linear
        What owners expect in the first pass, ``(t,)`` [$/kWh].
    net_kw
        Expected load minus PV of the whole feeder, ``(t,)``.
    low, high
        What the grid pays and asks, ``(t,)`` [$/kWh].
    fleets
        Batteries.
    dt_h
        Length of an interval [h].
    step
        Intervals that owners take together when they value energy.
    """
    first = _pass(linear, net_kw, low, high, fleets, dt_h, step)
    second = _pass(first, net_kw, low, high, fleets, dt_h, step)
    return np.asarray(0.5 * (first + second))


def _pass(
    expected: Floats, net_kw: Floats, low: Floats, high: Floats, fleets: Fleets, dt_h: float, step: int
) -> Floats:
    """Prices where owners go by those expected, ``(t,)`` [$/kWh]."""
    day = max(step, round(24.0 / dt_h))
    # Behind the end a day is like the one before.
    ahead = np.concatenate([expected, np.resize(expected[-day:], day + 1)])
    soc, price = fleets.soc, np.empty_like(expected)
    if not soc.size:
        return np.where(net_kw > 0.0, high, low)
    each = np.arange(fleets.kwh.size)
    blocks = max(1, day // step)
    for t in range(expected.size):
        seen = ahead[t + 1 : t + 1 + blocks * step].reshape(1, blocks, -1).mean(axis=2)
        rate = fleets.kw / fleets.kwh
        alike = np.repeat(seen, each.size, axis=0)
        curves = value_curves(alike, rate, fleets.efficiency, fleets.wear, step * dt_h)
        value = value_at(curves, each, soc)
        price[t], power_kw = _clear(net_kw[t], low[t], high[t], value, soc, fleets, dt_h)
        soc = advance(soc, power_kw, fleets.kwh, fleets.efficiency, dt_h)
    return price


def _clear(
    net_kw: float, low: float, high: float, value: Floats, soc: Floats, fleets: Fleets, dt_h: float
) -> tuple[float, Floats]:
    """Price of one interval, and what batteries discharge at it, ``(g,)`` [kW]."""
    charge_kw, discharge_kw = limits_kw(soc, fleets.kwh, fleets.kw, fleets.efficiency, dt_h)
    # Charging stops above the one price and discharging begins above the other: each lets the demand fall.
    at = np.concatenate([value * fleets.efficiency - fleets.wear, value / fleets.efficiency + fleets.wear])
    falls = np.concatenate([charge_kw, discharge_kw])
    order = np.argsort(at, kind="stable")
    before = net_kw + charge_kw.sum() - np.concatenate([[0.0], np.cumsum(falls[order])])
    crossed = int(np.searchsorted(-before, 0.0))  # as many falls until nothing is drawn any more
    if crossed == 0:
        price = low
    else:
        price = high if crossed > order.size else float(np.clip(at[order[crossed - 1]], low, high))
    done = np.where(at < price, 1.0, 0.0)
    if low < price < high:
        last = order[crossed - 1]
        done[last] = np.clip(before[crossed - 1] / max(float(falls[last]), 1e-12), 0.0, 1.0)
    g = value.size
    return price, done[g:] * discharge_kw - (1.0 - done[:g]) * charge_kw
