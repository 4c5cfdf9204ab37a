"""One store in one interval: what it charges at each value of its energy, given the local price.

At a marginal value ``nu`` of power at its meter a member's other resources would trade ``N(nu)``, and the
trade that fits the price is ``q(nu)``, the inverse of (2.4). What is between the two is the store's power
``P(nu) = N(nu) - q(nu)``, + discharges, which never rises with ``nu``. A store that discharges has
``nu = value / discharge_efficiency + wear``, one that charges ``nu = value charge_efficiency - wear``.
"""

from __future__ import annotations

import numpy as np

from market.horizon.compiled import compiled
from market.model.arrays import Floats

BEYOND = 8
"""Vertices that a store's response may have more than its member's curve over the marginal value."""


@compiled
def trade_at(nu: float, price: float, slope: float, fee: float) -> float:
    """Trade at which (2.4) holds for a marginal value [kW]."""
    if nu > price + fee:
        return (nu - price - fee) / slope
    if nu < price - fee:
        return (nu - price + fee) / slope
    return 0.0


@compiled
def free_power(
    value: Floats, kw: Floats, price: float, slope: float, fee: float, least: float, most: float, nu: Floats,
    power: Floats,
) -> int:  # fmt: skip
    """Vertices of P(nu) from power ``most`` down to ``least``, or beyond.

    Parameters
    ----------
    value, kw
        Vertices of N(nu), ``(V,)``.
    price, slope, fee
        The member's local price, slope > 0 and fee.
    least, most
        Range of power that must be covered [kW].
    nu, power
        Filled with the vertices, ascending in nu.

    Returns
    -------
    int
        How many there are, at most V + 4.
    """
    count, at, low_band, high_band = 1, 0, price - fee, price + fee
    left_low = True
    left_high = fee > 0.0
    while at < value.size or left_low or left_high:
        here = np.inf
        which = 0
        if at < value.size:
            here = value[at]
        if left_low and low_band < here:
            here, which = low_band, 1
        if left_high and not left_low and high_band < here:
            here, which = high_band, 2
        if which == 0:
            static = kw[at]
            at += 1
        else:
            left_low = left_low and which != 1
            left_high = left_high and which != 2
            if at == 0:
                static = kw[0]
            elif at == value.size:
                static = kw[at - 1]
            else:
                part = (here - value[at - 1]) / (value[at] - value[at - 1])
                static = kw[at - 1] + part * (kw[at] - kw[at - 1])
        nu[count] = here
        power[count] = static - trade_at(here, price, slope, fee)
        if count > 1 and power[count] > power[count - 1]:
            power[count] = power[count - 1]
        count += 1
    # Beyond all vertices only the trade moves.
    nu[0] = nu[1] - slope * max(most - power[1], 0.0)
    power[0] = max(most, power[1])
    nu[count] = nu[count - 1] + slope * max(power[count - 1] - least, 0.0)
    power[count] = min(least, power[count - 1])
    return count + 1


@compiled
def last_at(nu: Floats, power: Floats, count: int, level: float) -> float:
    """Last marginal value at which the power is ``level``."""
    for i in range(count - 2, -1, -1):
        if power[i] >= level:
            drop = power[i] - power[i + 1]
            if drop <= 0.0:
                return nu[i + 1]
            return nu[i] + (power[i] - level) / drop * (nu[i + 1] - nu[i])
    return nu[0]


@compiled
def first_at(nu: Floats, power: Floats, count: int, level: float) -> float:
    """First marginal value at which the power is ``level``."""
    for i in range(1, count):
        if power[i] <= level:
            drop = power[i - 1] - power[i]
            if drop <= 0.0:
                return nu[i - 1]
            return nu[i - 1] + (power[i - 1] - level) / drop * (nu[i] - nu[i - 1])
    return nu[count - 1]


@compiled
def steepness_at(nu: Floats, power: Floats, count: int, level: float) -> float:
    """How steeply the power falls where it first is ``level``; infinite within a jump."""
    for i in range(1, count):
        if power[i] <= level:
            width = nu[i] - nu[i - 1]
            if width <= 0.0:
                return np.inf
            return (power[i - 1] - power[i]) / width
    return 0.0


@compiled
def energy_response(
    nu: Floats, power: Floats, count: int, charge_kw: float, discharge_kw: float, into: float, out: float,
    charge_wear: float, discharge_wear: float, least: float, worth: Floats, energy: Floats,
) -> int:  # fmt: skip
    """Vertices of the energy gained per hour over the value of stored energy, both ascending.

    Below the least value both ways would be used at once: where these overlap, the response begins there.

    Parameters
    ----------
    nu, power, count
        As `free_power` gave them.
    charge_kw, discharge_kw, into, out, charge_wear, discharge_wear, least
        The store's limits, efficiencies, wear and least value of energy.
    worth, energy
        Filled with the vertices: value [$/kWh], energy per hour [kW].

    Returns
    -------
    int
        How many there are: none for a store that can do nothing.
    """
    found = 0
    if discharge_kw > 0.0:
        worth[0] = out * (last_at(nu, power, count, discharge_kw) - discharge_wear)
        energy[0] = -discharge_kw / out
        found = 1
        for i in range(count):
            if 0.0 < power[i] < discharge_kw:
                worth[found], energy[found] = out * (nu[i] - discharge_wear), -power[i] / out
                found += 1
        worth[found] = out * (first_at(nu, power, count, 0.0) - discharge_wear)
        energy[found] = 0.0
        found += 1
    first = found
    if charge_kw > 0.0:
        worth[found] = (last_at(nu, power, count, 0.0) + charge_wear) / into
        energy[found] = 0.0
        found += 1
        for i in range(count):
            if -charge_kw < power[i] < 0.0:
                worth[found], energy[found] = (nu[i] + charge_wear) / into, -power[i] * into
                found += 1
        worth[found] = (first_at(nu, power, count, -charge_kw) + charge_wear) / into
        energy[found] = charge_kw * into
        found += 1
    if 0 < first < found and worth[first] < worth[first - 1] and worth[first] < least:
        found = begin_at(least, worth, energy, first, found)
    # Rounding must not turn the order.
    for i in range(1, found):
        if worth[i] < worth[i - 1]:
            worth[i] = worth[i - 1]
    return found


@compiled
def begin_at(least: float, worth: Floats, energy: Floats, first: int, count: int) -> int:
    """Let the vertices from ``first`` on begin at a value, without those before; how many are left."""
    i = first
    while i < count and worth[i] < least:
        i += 1
    at = energy[count - 1]
    if i < count:
        part = (least - worth[i - 1]) / (worth[i] - worth[i - 1])
        at = energy[i - 1] + part * (energy[i] - energy[i - 1])
    worth[0], energy[0] = least, at
    for k in range(i, count):
        worth[1 + k - i], energy[1 + k - i] = worth[k], energy[k]
    return 1 + count - i
