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

LEAST_KEPT = 1e-100
"""What is kept of energy, from where a scale began, below which the next one begins: beyond, numbers would
leave the range of floating point."""

LEAST_CARRIED = 1e-250
"""Least part that a scale takes over from the one before: nothing is worth anything there."""

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
    start: Ints, worth: Floats, gain: Floats, scale: Floats,
) -> None:  # fmt: skip
    """Fill in a store's power and responses of energy in all intervals, the latter in scaled units."""
    T = terms.price.size
    points.first[0] = 0
    for t in range(T):
        kept = scale[t]
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


class Room(NamedTuple):
    """Room for the plans of single stores, one after the other.

    Attributes
    ----------
    points, start, worth, gain, buffer
        Powers over the marginal value, and responses of energy over its worth.
    scale, carried
        What is kept of energy up to each interval's end, from where its scale began, and the scaled part of
        energy that comes into it from the interval before, one but where a scale begins; ``(T,)`` as all that
        follow.
    low, high, drift, least
        Bounds of energy, drift and least values, scaled.
    value, gained, gone, state
        Values of energy, energy gained, spilled and at the end of intervals, scaled.
    is_split
        1 where a response stands within a jump.
    fall, pull, rise
        How trades fall with prices while energy's worth stays, and how trades and energy gained rise with
        that, scaled; the last two zero where power is at a limit.
    """

    points: Points
    start: Ints
    worth: Floats
    gain: Floats
    buffer: Floats
    scale: Floats
    carried: Floats
    low: Floats
    high: Floats
    drift: Floats
    least: Floats
    value: Floats
    gained: Floats
    gone: Floats
    state: Floats
    is_split: Ints
    fall: Floats
    pull: Floats
    rise: Floats


@inlined
def room_for(longest: int, T: int) -> Room:
    """Room for the plans over T intervals of stores whose members' curves have so many vertices at most."""
    many = longest + (BEYOND + 2) * T + 16
    return Room(
        Points(np.zeros(T + 1, dtype=np.intp), np.empty(many), np.empty(many)),
        np.zeros(T + 1, dtype=np.intp), np.empty(many), np.empty(many), np.empty((4, many + 4 * T)),
        np.empty(T), np.ones(T), np.empty(T), np.empty(T), np.empty(T), np.empty(T),
        np.empty(T), np.empty(T), np.empty(T), np.empty(T), np.empty(T, dtype=np.intp),
        np.empty(T), np.empty(T), np.empty(T),
    )  # fmt: skip


@inlined
def plan_of(
    s: int, own: Vertices, terms: PriceTerms, hours: float, stores: StoreColumns, plans: PlanColumns,
    room: Room,
) -> float:  # fmt: skip
    """Fill in one store's plan, and in its room how trades and energy answer; the scaled value at the end."""
    scales(s, stores, room)
    responses(s, own, terms, hours, stores, room.points, room.start, room.worth, room.gain, room.scale)
    end = scaled_path(s, stores, plans, room)
    for t in range(terms.price.size):
        scale = room.scale[t]
        room.fall[t], room.pull[t] = settle(
            s, t, room.gained[t] * scale / hours, own, room.points, terms, stores, plans
        )
        # Per hour, and per value at the beginning.
        room.rise[t] /= hours
        if room.pull[t] == 0.0 and room.rise[t] > 0.0 and not has_room(s, t, stores, plans):
            room.rise[t] = 0.0
        room.pull[t] /= scale
    return end


@inlined
def scales(s: int, stores: StoreColumns, room: Room) -> None:
    """Fill in the scales of a store's energy: the next begins where hardly anything is kept of the last."""
    kept = 1.0
    for t in range(room.value.size):
        left = kept * stores.retention[s]
        kept = left if left >= LEAST_KEPT else 1.0
        room.scale[t] = kept
        room.carried[t] = 1.0 if kept == left else max(left, LEAST_CARRIED)


@inlined
def energy_path(s: int, stores: StoreColumns, plans: PlanColumns, room: Room) -> float:
    """As `scaled_path`, of responses that are all of one scale."""
    kept = 1.0
    for t in range(room.value.size):
        kept *= stores.retention[s]
        room.scale[t], room.carried[t] = kept, 1.0
    return scaled_path(s, stores, plans, room)


@inlined
def scaled_path(s: int, stores: StoreColumns, plans: PlanColumns, room: Room) -> float:
    """Fill in values of energy, what is gained, spilled and held by responses; the end's value, scaled."""
    kept = 1.0
    for t in range(room.value.size):
        kept = room.scale[t]
        room.low[t], room.high[t] = stores.lower[s, t + 1] / kept, stores.upper[s, t + 1] / kept
        room.drift[t], room.least[t] = stores.drift[s, t] / kept, stores.least[s, t] * kept
    initial, end = stores.initial[s], stores.end_value[s] * kept
    values_of_energy(
        room.start, room.worth, room.gain, room.carried, room.drift, initial, room.low, room.high,
        room.least, end, room.buffer, room.value,
    )  # fmt: skip
    gains(
        room.start, room.worth, room.gain, room.carried, room.drift, initial, room.low, room.high,
        room.least, end, room.value, room.gained, room.rise, room.gone, room.state, room.is_split,
    )  # fmt: skip
    for t in range(room.value.size):
        scale = room.scale[t]
        plans.value[s, t] = room.value[t] / scale
        plans.state_kwh[s, t], plans.spilled_kwh[s, t] = room.state[t] * scale, room.gone[t] * scale
    return float(end)


@inlined
def stretch(t: int, end: float, room: Room) -> tuple[int, float]:
    """Last of the intervals that share the value of energy of interval t, and how much energy rises with it.

    Between two bounds all intervals share one value of energy: what one gains others lose. Where the value is
    pinned, by the end's or by a response within a jump, they do not: nothing rises then.
    """
    T, u = room.value.size, room.value
    last = t
    while last + 1 < T and u[last + 1] == u[t]:
        last += 1
    pinned = u[t] == end and last == T - 1
    total = 0.0
    for i in range(t, last + 1):
        pinned = pinned or room.is_split[i] == 1
        total += room.rise[i]
    return last, 0.0 if pinned else total


@inlined
def couple(end: float, room: Room, fall: Floats) -> None:
    """Take from the fall of trades with prices, ``(T, T)``, what intervals give to each other."""
    t = 0
    while t < room.value.size:
        last, total = stretch(t, end, room)
        if total > 0.0:
            for i in range(t, last + 1):
                if room.pull[i] != 0.0:
                    part = room.pull[i] / total
                    for k in range(t, last + 1):
                        fall[i, k] -= part * room.pull[k]
        t = last + 1


@compiled
def reply(
    mine: Ints, own: Vertices, terms: PriceTerms, hours: float, stores: StoreColumns, plans: PlanColumns,
    fall: Floats,
) -> None:  # fmt: skip
    """Plans of some stores at one path of prices, each its owner's only one.

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
    T, longest = terms.price.size, 0
    for s in mine:
        longest = max(longest, own.first[s * T + T] - own.first[s * T])
    room = room_for(longest, T)
    for s in mine:
        end = plan_of(s, own, terms, hours, stores, plans, room)
        for t in range(terms.price.size):
            fall[t, t] += room.fall[t]
        couple(end, room, fall)


@inlined
def has_room(s: int, t: int, stores: StoreColumns, plans: PlanColumns) -> bool:
    """Whether a store's power is neither none nor at its limit."""
    power = plans.power_kw[s, t]
    most = stores.discharge_kw[s, t] if power > 0.0 else stores.charge_kw[s, t]
    return INSIDE * most < abs(power) < (1.0 - INSIDE) * most
