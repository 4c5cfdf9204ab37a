"""One store in one interval: what it charges at each value of its energy, given the local price.

At a marginal value ``nu`` of power at its meter a member's other resources would trade ``N(nu)``, and the
trade that fits the price is ``q(nu)``, the inverse of (2.4). What is between the two is the store's power
``P(nu) = N(nu) - q(nu)``, + discharges, which never rises with ``nu``. A store that discharges has
``nu = value / discharge_efficiency + wear``, one that charges ``nu = value charge_efficiency - wear``.
"""

from __future__ import annotations

import numpy as np

from market.horizon.compiled import inlined
from market.model.arrays import Floats

BEYOND = 8
"""Vertices that a store's response may have more than its member's curve over the marginal value."""


@inlined
def trade_at(nu: float, price: float, slope: float, fee: float) -> float:
    """Trade at which (2.4) holds for a marginal value [kW]."""
    if nu > price + fee:
        return (nu - price - fee) / slope
    if nu < price - fee:
        return (nu - price + fee) / slope
    return 0.0


@inlined
def steady_at(value: Floats, kw: Floats, first: int, last: int, nu: float) -> float:
    """What N(nu) is where it does not change around a marginal value [kW]; not a number where it does.

    Vertices of N(nu) are those from ``first`` up to ``last``.
    """
    i = first
    while i < last and value[i] < nu:
        i += 1
    if i == last:
        return kw[last - 1]
    if value[i] == nu or (i > first and kw[i - 1] != kw[i]):
        return np.nan
    return kw[i]


@inlined
def free_power(
    value: Floats, kw: Floats, first: int, last: int, price: float, slope: float, fee: float, least: float,
    most: float, nu: Floats, power: Floats, begin: int,
) -> int:  # fmt: skip
    """Vertices of P(nu) from power ``most`` down to ``least``, or beyond.

    Parameters
    ----------
    value, kw
        Vertices of N(nu), those from ``first`` up to ``last``.
    price, slope, fee
        The member's local price, slope > 0 and fee.
    least, most
        Range of power that must be covered [kW].
    nu, power
        Filled with the vertices from ``begin`` on, ascending in nu.

    Returns
    -------
    int
        How many there are, at most V + 4.
    """
    to, at, low_band, high_band = begin + 1, first, price - fee, price + fee
    left_low = True
    left_high = fee > 0.0
    while at < last or left_low or left_high:
        here = np.inf
        which = 0
        if at < last:
            here = value[at]
        if left_low and low_band < here:
            here, which = low_band, 1
        if left_high and not left_low and high_band < here:
            here, which = high_band, 2
        if which == 0:
            if at == last:
                break  # No price is finite.
            static = kw[at]
            at += 1
        else:
            left_low = left_low and which != 1
            left_high = left_high and which != 2
            if at == first:
                static = kw[first]
            elif at == last:
                static = kw[last - 1]
            else:
                part = (here - value[at - 1]) / (value[at] - value[at - 1])
                static = kw[at - 1] + part * (kw[at] - kw[at - 1])
        nu[to] = here
        power[to] = static - trade_at(here, price, slope, fee)
        if to > begin + 1 and power[to] > power[to - 1]:
            power[to] = power[to - 1]
        to += 1
    # Beyond all vertices only the trade moves.
    nu[begin] = nu[begin + 1] - slope * max(most - power[begin + 1], 0.0)
    power[begin] = max(most, power[begin + 1])
    nu[to] = nu[to - 1] + slope * max(power[to - 1] - least, 0.0)
    power[to] = min(least, power[to - 1])
    return to + 1 - begin


@inlined
def last_at(nu: Floats, power: Floats, begin: int, end: int, level: float) -> float:
    """Last marginal value at which the power is ``level``, over the vertices ``begin`` up to ``end``."""
    for i in range(end - 2, begin - 1, -1):
        if power[i] >= level:
            drop = power[i] - power[i + 1]
            if drop <= 0.0:
                return nu[i + 1]
            return nu[i] + (power[i] - level) / drop * (nu[i + 1] - nu[i])
    return nu[begin]


@inlined
def first_at(nu: Floats, power: Floats, begin: int, end: int, level: float) -> tuple[float, float]:
    """First marginal value at which the power is ``level``, and how steeply it falls to there.

    Infinitely steep within a jump; over the vertices ``begin`` up to ``end``.
    """
    for i in range(begin + 1, end):
        if power[i] <= level:
            drop, width = power[i - 1] - power[i], nu[i] - nu[i - 1]
            steep = drop / width if width > 0.0 else np.inf
            if drop <= 0.0:
                return nu[i - 1], steep
            return nu[i - 1] + (power[i - 1] - level) / drop * width, steep
    return nu[end - 1], 0.0


@inlined
def energy_response(
    nu: Floats, power: Floats, begin: int, end: int, charge_kw: float, discharge_kw: float, into: float,
    out: float, charge_wear: float, discharge_wear: float, least: float, worth: Floats, energy: Floats,
    here: int,
) -> int:  # fmt: skip
    """Vertices of the energy gained per hour over the value of stored energy, both ascending.

    Below the least value both ways would be used at once: where these overlap, the response begins there.

    Parameters
    ----------
    nu, power, begin, end
        Vertices, as `free_power` gave them.
    charge_kw, discharge_kw, into, out, charge_wear, discharge_wear, least
        The store's limits, efficiencies, wear and least value of energy.
    worth, energy
        Filled with the vertices from ``here`` on: value [$/kWh], energy per hour [kW].

    Returns
    -------
    int
        How many there are: none for a store that can do nothing.
    """
    found = here
    if discharge_kw > 0.0:
        worth[found] = out * (last_at(nu, power, begin, end, discharge_kw) - discharge_wear)
        energy[found] = -discharge_kw / out
        found += 1
        for i in range(begin, end):
            if 0.0 < power[i] < discharge_kw:
                worth[found], energy[found] = out * (nu[i] - discharge_wear), -power[i] / out
                found += 1
        worth[found] = out * (first_at(nu, power, begin, end, 0.0)[0] - discharge_wear)
        energy[found] = 0.0
        found += 1
    first = found
    if charge_kw > 0.0:
        worth[found] = (last_at(nu, power, begin, end, 0.0) + charge_wear) / into
        energy[found] = 0.0
        found += 1
        for i in range(begin, end):
            if -charge_kw < power[i] < 0.0:
                worth[found], energy[found] = (nu[i] + charge_wear) / into, -power[i] * into
                found += 1
        worth[found] = (first_at(nu, power, begin, end, -charge_kw)[0] + charge_wear) / into
        energy[found] = charge_kw * into
        found += 1
    return in_order(least, worth, energy, here, first, found)


@inlined
def in_order(least: float, worth: Floats, energy: Floats, here: int, first: int, found: int) -> int:
    """Bring vertices from ``here`` on into order, of which those that charge begin at ``first``; how many."""
    if here < first < found and worth[first] < worth[first - 1] and worth[first] < least:
        found = begin_at(least, worth, energy, here, first, found)
    # Rounding must not turn the order.
    for i in range(here + 1, found):
        if worth[i] < worth[i - 1]:
            worth[i] = worth[i - 1]
    return found - here


@inlined
def begin_at(least: float, worth: Floats, energy: Floats, here: int, first: int, end: int) -> int:
    """Let vertices ``first`` up to ``end`` begin at a value and stand at ``here``; where they end then."""
    i = first
    while i < end and worth[i] < least:
        i += 1
    at = energy[end - 1]
    if i < end:
        part = (least - worth[i - 1]) / (worth[i] - worth[i - 1])
        at = energy[i - 1] + part * (energy[i] - energy[i - 1])
    worth[here], energy[here] = least, at
    for k in range(i, end):
        worth[here + 1 + k - i], energy[here + 1 + k - i] = worth[k], energy[k]
    return here + 1 + end - i
