"""A member with several stores at inner prices: what they make, what its rest wants, and the step to both.

See `market.horizon.homes`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from market.horizon.compiled import compiled, inlined
from market.horizon.line import NEAR, TRIES, narrowed
from market.horizon.linear import LEAST_PIVOT, factor
from market.horizon.replies import (
    INSIDE,
    PlanColumns,
    Points,
    PriceTerms,
    Room,
    StoreColumns,
    Vertices,
    stretch,
)
from market.horizon.tied import tied_plan
from market.model.arrays import Floats, Ints

CHANGES = 12
"""Ways of one step."""

RESTING = 1e-10
"""Response that is added everywhere, in terms of that of a power with its small slope alone."""


class Homes(NamedTuple):
    """Members with several stores.

    Attributes
    ----------
    first, store
        Home h has the stores ``store[first[h] : first[h + 1]]``.
    own
        Its curve over the marginal value without stores, interval t's at ``h T + t``.
    slope
        Small slope of powers, ``(H,)`` [$/kWh per kW].
    centre_kw
        Centres of the stores' powers, ``(S, T)`` [kW].
    inner
        Inner prices to begin with, less local ones; those found are written over, ``(H, T)`` [$/kWh].
    effort
        Most steps that a home took to settle since its centres moved, ``(H,)``.
    whole
        The prices over all power of a home, ``(H,)`` [$/kWh per kW].
    """

    first: Ints
    store: Ints
    own: Vertices
    slope: Floats
    centre_kw: Floats
    inner: Floats
    effort: Ints
    whole: Floats


class Rest(NamedTuple):
    """What one home wants of its stores in each interval: see `wanted`."""

    points: Points
    centre_kw: Floats


class Sums(NamedTuple):
    """What a home's stores answer together.

    Attributes
    ----------
    made_kw
        Their power, ``(T,)`` [kW].
    fall
        How it rises with the inner price while energies' worths stay, ``(T,)`` [kW per $/kWh].
    begin, end, rise
        Stretches of intervals that share one worth of a store's energy, from ``begin`` up to ``end``, and how
        its energy rises with that, ``(K,)``.
    pull
        How its power rises with that, ``(K, T)``, zero outside.
    """

    made_kw: Floats
    fall: Floats
    begin: Ints
    end: Ints
    rise: Floats
    pull: Floats


@inlined
def wanted(
    t: int, inner: float, slope: float, rest: Rest, terms: PriceTerms
) -> tuple[float, float, float, float, float]:
    """What a home wants of its stores in interval t at an inner price.

    Returns
    -------
    kw, fall
        The power, and how it falls with the inner price [kW per $/kWh].
    at
        Marginal value, which the inner price differs from by the small slope.
    part, ease
        Part of a fall of power that the trade has; how the trade falls with the marginal value.
    """
    nu, power = rest.points.nu, rest.points.power
    begin, end, centre = rest.points.first[t], rest.points.first[t + 1], rest.centre_kw[t]
    i = begin
    while i < end and nu[i] - slope * (power[i] - centre) <= inner:
        i += 1
    steep = terms.slope[t]
    if i in (begin, end):
        k = begin if i == begin else end - 1
        beyond = inner - (nu[k] - slope * (power[k] - centre))
        fall = 1.0 / (steep + slope)
        return power[k] - beyond * fall, fall, nu[k] + steep * beyond * fall, 1.0, 1.0 / steep
    width, drop = nu[i] - nu[i - 1], power[i - 1] - power[i]
    far = width + slope * drop
    where = (inner - (nu[i - 1] - slope * (power[i - 1] - centre))) / far
    ease = 1.0 / steep if abs(0.5 * (nu[i - 1] + nu[i]) - terms.price[t]) > terms.fee[t] else 0.0
    part = min(ease * width / drop, 1.0) if drop > 0.0 else 0.0
    return power[i - 1] - where * drop, drop / far, nu[i - 1] + where * width, part, ease


@compiled
def stores_at(
    h: int, inner: Floats, homes: Homes, price: Floats, hours: float, stores: StoreColumns,
    plans: PlanColumns, room: Room, sums: Sums,
) -> int:  # fmt: skip
    """Plans of a home's stores at inner prices; how many stretches they have."""
    T, K = inner.size, 0
    sums.made_kw[:], sums.fall[:] = 0.0, 0.0
    for k in range(homes.first[h], homes.first[h + 1]):
        s = homes.store[k]
        for t in range(T):
            price[t] = inner[t] + homes.slope[h] * homes.centre_kw[s, t]
        end = tied_plan(s, price, homes.slope[h], hours, stores, plans, room)
        t = 0
        while t < T:
            last, total = stretch(t, end, room)
            free = 0
            for i in range(t, last + 1):
                sums.made_kw[i] += plans.power_kw[s, i]
                free += room.pull[i] != 0.0
            for i in range(t, last + 1):
                responds = room.fall[i]
                if total > 0.0 and free == 1 and room.pull[i] != 0.0:
                    # What one interval alone gains it can give to none.
                    responds -= room.pull[i] * room.pull[i] / total
                    responds = responds if responds > INSIDE * room.fall[i] else 0.0
                sums.fall[i] += responds
            if total > 0.0 and free > 1:
                sums.pull[K] = 0.0
                sums.begin[K], sums.end[K], sums.rise[K] = t, last + 1, total
                for i in range(t, last + 1):
                    sums.pull[K, i] = room.pull[i]
                K += 1
            t = last + 1
    return K


@compiled
def spread(K: int, sums: Sums, whole: Floats, system: Floats, W: Floats) -> None:
    """Fill in ``W``, ``(K, T)``, with which ``diag(1 / whole) + W' W`` is the inverse of all responses.

    Parameters
    ----------
    whole
        Responses of stores and the rest to the inner price, while energies' worths stay, ``(T,)``.
    system
        Room, ``(K, K)`` at least.
    """
    for k in range(K):
        system[k, k] = sums.rise[k]
        for t in range(sums.begin[k], sums.end[k]):
            system[k, k] -= sums.pull[k, t] * sums.pull[k, t] / whole[t]
        for i in range(k):
            total = 0.0
            for t in range(max(sums.begin[k], sums.begin[i]), min(sums.end[k], sums.end[i])):
                total -= sums.pull[k, t] * sums.pull[i, t] / whole[t]
            system[k, i] = total
        # Where the rest and other stores do not respond, rounding alone is left of what cancels.
        system[k, k] = max(system[k, k], LEAST_PIVOT * sums.rise[k])
    factor(system[:K, :K])
    for k in range(K):
        row = W[k]
        row[:] = sums.pull[k] / whole
        for i in range(k):
            part = system[k, i]
            if part != 0.0:
                row -= part * W[i]
        row /= system[k, k]


@inlined
def times_inverse(K: int, whole: Floats, W: Floats, right: Floats, found: Floats) -> None:
    """Add the inverse that `spread` made, times a vector, to another."""
    found += right / whole
    for k in range(K):
        total = 0.0
        for t in range(right.size):
            total += W[k, t] * right[t]
        found += total * W[k]


@inlined
def left_by_model(
    K: int, inner: Floats, step: Floats, ridge: float, slope: float, rest: Rest, terms: PriceTerms,
    sums: Sums, left: Floats, whole: Floats,
) -> float:  # fmt: skip
    """Fill in what the rest wants more than stores, taken as linear, make at a step of inner prices.

    Parameters
    ----------
    left, whole
        Filled with the difference [kW], and responses of both to the inner price while energies' worths stay.

    Returns
    -------
    float
        The largest difference [kW].
    """
    most = 0.0
    for t in range(inner.size):
        kw, fall, _, _, _ = wanted(t, inner[t] + step[t], slope, rest, terms)
        left[t] = kw - sums.made_kw[t] - (sums.fall[t] + ridge) * step[t]
        whole[t] = fall + sums.fall[t] + ridge + RESTING / slope
    for k in range(K):
        total = 0.0
        for t in range(sums.begin[k], sums.end[k]):
            total += sums.pull[k, t] * step[t]
        for t in range(sums.begin[k], sums.end[k]):
            left[t] += sums.pull[k, t] * total / sums.rise[k]
    for t in range(inner.size):
        most = max(most, abs(left[t]))
    return most


@compiled
def step_of(
    h: int, K: int, inner: Floats, ridge: float, tolerance: float, homes: Homes, rest: Rest,
    terms: PriceTerms, sums: Sums, system: Floats, W: Floats, step: Floats,
) -> None:  # fmt: skip
    """Fill in the step of inner prices to where the rest wants what stores, taken as linear, make."""
    T, slope = inner.size, homes.slope[h]
    whole, left, more, at = np.empty(T), np.empty(T), np.empty(T), np.empty(T)
    step[:] = 0.0
    most = left_by_model(K, inner, step, ridge / slope, slope, rest, terms, sums, left, whole)
    for _ in range(CHANGES):
        if most <= tolerance:
            break
        spread(K, sums, whole, system, W)
        more[:] = 0.0
        times_inverse(K, whole, W, left, more)
        first = 0.0
        for t in range(T):
            first -= more[t] * left[t]
        enough, part = NEAR * abs(first), 1.0
        low, low_value, high, high_value = 0.0, first, 1.0, 0.0
        for k in range(TRIES):
            for t in range(T):
                at[t] = step[t] + part * more[t]
            most = left_by_model(K, inner, at, ridge / slope, slope, rest, terms, sums, left, whole)
            value = 0.0
            for t in range(T):
                value -= more[t] * left[t]
            if most <= tolerance or (value <= enough and (k == 0 or value >= -enough)):
                break
            part, low, low_value, high, high_value = narrowed(
                k, part, value, low, low_value, high, high_value
            )
        step[:] = at
