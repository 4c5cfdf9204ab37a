"""Best replies of the members of one LAM that have stores, to a path of its local price, and their slopes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from market.horizon.compiled import compiled, inlined
from market.horizon.energy import gains
from market.horizon.plan import values_of_energy
from market.horizon.power import BEYOND, energy_response, first_at, free_power, steady_at, trade_at
from market.model.arrays import Floats, Ints

INSIDE = 1e-12
"""Part of a limit within which a power counts as at the limit."""

ROUNDING = 16.0 * float(np.finfo(np.float64).eps)
"""Part of a price that its sums may lose."""


class StoreColumns(NamedTuple):
    """Columns of `market.horizon.stores.Stores`, as compiled functions take them."""

    charge_kw: Floats
    discharge_kw: Floats
    into: Floats
    out: Floats
    charge_wear: Floats
    discharge_wear: Floats
    retention: Floats
    initial: Floats
    lower: Floats
    upper: Floats
    drift: Floats
    least: Floats
    end_value: Floats


class PlanColumns(NamedTuple):
    """Plans of S stores over T intervals, ``(S, T)`` each.

    Trades of their members and powers [kW]; values of energy [$/kWh]; energy at the end of intervals, and
    spilled [kWh].
    """

    trade_kw: Floats
    power_kw: Floats
    value: Floats
    state_kwh: Floats
    spilled_kwh: Floats


class Vertices(NamedTuple):
    """Members' curves over the marginal value without their stores.

    Store s in interval t has the vertices from ``first[s T + t]`` up to the next.
    """

    first: Ints
    value: Floats
    kw: Floats


class PriceTerms(NamedTuple):
    """What the members of one LAM face: prices, price slopes > 0 and fees, ``(T,)`` each."""

    price: Floats
    slope: Floats
    fee: Floats


class Points(NamedTuple):
    """Power of one store over the marginal value, interval t's vertices from ``first[t]`` up to the next."""

    first: Ints
    nu: Floats
    power: Floats


@inlined
def responses(
    s: int, own: Vertices, terms: PriceTerms, hours: float, stores: StoreColumns, points: Points,
    start: Ints, worth: Floats, gain: Floats,
) -> None:  # fmt: skip
    """Fill in a store's power and responses of energy in all intervals, the latter in scaled units."""
    T = terms.price.size
    kept = 1.0
    points.first[0] = 0
    for t in range(T):
        kept *= stores.retention[s]
        begin, here = points.first[t], start[t]
        charge_kw, discharge_kw = stores.charge_kw[s, t], stores.discharge_kw[s, t]
        end = begin + free_power(
            own.value, own.kw, own.first[s * T + t], own.first[s * T + t + 1], terms.price[t],
            terms.slope[t], terms.fee[t], -charge_kw, discharge_kw, points.nu, points.power, begin,
        )  # fmt: skip
        points.first[t + 1], start[t + 1] = end, here
        if charge_kw > 0.0 or discharge_kw > 0.0:
            start[t + 1] += energy_response(
                points.nu, points.power, begin, end, charge_kw, discharge_kw, stores.into[s, t],
                stores.out[s, t], stores.charge_wear[s], stores.discharge_wear[s], stores.least[s, t],
                worth, gain, here,
            )  # fmt: skip
        for i in range(here, start[t + 1]):
            worth[i] *= kept
            gain[i] *= hours / kept


@inlined
def settle(
    s: int, t: int, gained: float, own: Vertices, points: Points, terms: PriceTerms, stores: StoreColumns,
    plans: PlanColumns,
) -> tuple[float, float]:  # fmt: skip
    """Fill in a store's power and its member's trade in one interval, where energy is worth what it is.

    Returns
    -------
    fall, pull
        How the trade falls with the price while energy's worth stays, and how it rises with that where the
        store's power is free, zero where it is at a limit [kW per $/kWh].
    """
    slope, fee, price, T = terms.slope[t], terms.fee[t], terms.price[t], terms.price.size
    if gained >= 0.0:
        most, factor = stores.charge_kw[s, t], stores.into[s, t]
        moved = min(gained / factor, most)
        at = factor * plans.value[s, t] - stores.charge_wear[s]
        plans.power_kw[s, t] = -moved
    else:
        most, factor = stores.discharge_kw[s, t], 1.0 / stores.out[s, t]
        moved = min(-gained / factor, most)
        at = factor * plans.value[s, t] + stores.discharge_wear[s]
        plans.power_kw[s, t] = moved
    steep = 0.0
    is_free = INSIDE * most < moved < (1.0 - INSIDE) * most
    if not is_free:
        at, steep = first_at(
            points.nu, points.power, points.first[t], points.first[t + 1], plans.power_kw[s, t]
        )
    trade_kw = trade_at(at, price, slope, fee)
    if price - fee <= at <= price + fee:
        plans.trade_kw[s, t] = 0.0
        return 0.0, 0.0
    # Over a small slope a price's last digits are many of a trade, by which no resource is to run.
    begin, end = own.first[s * T + t], own.first[s * T + t + 1]
    exact_kw = steady_at(own.value, own.kw, begin, end, at) - plans.power_kw[s, t]
    rounding_kw = ROUNDING * (abs(price) + fee + abs(at)) / slope
    plans.trade_kw[s, t] = exact_kw if abs(exact_kw - trade_kw) <= rounding_kw else trade_kw
    if is_free:
        return 1.0 / slope, factor / slope
    # Of what falls with the marginal value, the trade itself is 1 / slope.
    return max(1.0 - 1.0 / (slope * max(steep, 1.0 / slope)), 0.0) / slope, 0.0


@inlined
def couple(u: Floats, end: float, split: Ints, rise: Floats, pull: Floats, fall: Floats) -> None:
    """Take from the fall of trades what intervals give to each other.

    Between two bounds all intervals share one value of energy: what one gains others lose. Where the value is
    pinned, by the end's or by a response within a jump, they do not.

    Parameters
    ----------
    u, end
        Values of energy ``(T,)`` and at the end, scaled.
    split
        1 where a response stands within a jump, ``(T,)``.
    rise, pull
        How energy gained, and the trade, rise with the value, ``(T,)`` each; zero where power is at a limit.
    fall
        Of trades with prices, ``(T, T)``.
    """
    T = u.size
    t = 0
    while t < T:
        last = t
        while last + 1 < T and u[last + 1] == u[t]:
            last += 1
        pinned = u[t] == end and last == T - 1
        total = 0.0
        for i in range(t, last + 1):
            pinned = pinned or split[i] == 1
            total += rise[i]
        if total > 0.0 and not pinned:
            for i in range(t, last + 1):
                if pull[i] != 0.0:
                    part = pull[i] / total
                    for k in range(t, last + 1):
                        fall[i, k] -= part * pull[k]
        t = last + 1


@compiled
def reply(
    mine: Ints, own: Vertices, terms: PriceTerms, hours: float, stores: StoreColumns, plans: PlanColumns,
    fall: Floats,
) -> None:  # fmt: skip
    """Plans of some stores at one path of prices.

    Parameters
    ----------
    mine
        Positions of the stores, all of one LAM.
    own, terms
        Their members' curves, and what the LAM's members face.
    hours, stores
        Length of an interval [h], and all stores' columns.
    plans
        Filled for these stores.
    fall
        How these members' trades fall with the prices is added, ``(T, T)`` [kW per $/kWh].
    """
    T = terms.price.size
    longest = 0
    for s in mine:
        longest = max(longest, own.first[s * T + T] - own.first[s * T])
    room = longest + (BEYOND + 2) * T + 16
    points = Points(np.zeros(T + 1, dtype=np.intp), np.empty(room), np.empty(room))
    worth, gain = np.empty(room), np.empty(room)
    buffer = np.empty((4, room + 4 * T))
    start = np.zeros(T + 1, dtype=np.intp)
    scale, low, high, drift, least = np.empty(T), np.empty(T), np.empty(T), np.empty(T), np.empty(T)
    u, gained, rise, gone, state = np.empty(T), np.empty(T), np.empty(T), np.empty(T), np.empty(T)
    split, pull = np.empty(T, dtype=np.intp), np.empty(T)
    for s in mine:
        responses(s, own, terms, hours, stores, points, start, worth, gain)
        kept = 1.0
        for t in range(T):
            kept *= stores.retention[s]
            scale[t] = kept
            low[t], high[t] = stores.lower[s, t + 1] / kept, stores.upper[s, t + 1] / kept
            drift[t], least[t] = stores.drift[s, t] / kept, stores.least[s, t] * kept
        initial, end = stores.initial[s], stores.end_value[s] * kept
        values_of_energy(start, worth, gain, drift, initial, low, high, least, end, buffer, u)
        gains(
            start, worth, gain, drift, initial, low, high, least, end, u, gained, rise, gone, state, split
        )  # fmt: skip
        for t in range(T):
            plans.value[s, t] = u[t] / scale[t]
            plans.state_kwh[s, t], plans.spilled_kwh[s, t] = state[t] * scale[t], gone[t] * scale[t]
            own_fall, pull[t] = settle(s, t, gained[t] * scale[t] / hours, own, points, terms, stores, plans)
            fall[t, t] += own_fall
            # Per hour, and per value at the beginning.
            rise[t] /= hours
            if pull[t] == 0.0 and rise[t] > 0.0 and not has_room(s, t, stores, plans):
                rise[t] = 0.0
            pull[t] /= scale[t]
        couple(u, end, split, rise, pull, fall)


@inlined
def has_room(s: int, t: int, stores: StoreColumns, plans: PlanColumns) -> bool:
    """Whether a store's power is neither none nor at its limit."""
    power = plans.power_kw[s, t]
    most = stores.discharge_kw[s, t] if power > 0.0 else stores.charge_kw[s, t]
    return INSIDE * most < abs(power) < (1.0 - INSIDE) * most
