"""Best replies of members with several stores to a path of the local price: all plans of one together.

Behind one meter stores trade with each other and with the rest of their home at an *inner price*, what a kW
more at the meter is worth to the member: each store plans for it as if alone, and the rest, the other
resources and the market with the member's one price slope and fee, wants of the stores what `power.py` has
as ``P(nu)``. The inner prices at which both agree are found by Newton's method. A store alone would jump
where its energy is worth the inner price: every power has a small slope around a centre, which the caller
moves until it makes no difference (market.md, (8.7) to (8.9)).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from market.horizon.compiled import compiled, inlined
from market.horizon.home_model import Homes, Rest, Sums, spread, step_of, stores_at, wanted
from market.horizon.line import NEAR, TRIES, narrowed, ridge_behind
from market.horizon.power import BEYOND, free_power, steady_at, trade_at
from market.horizon.replies import (
    ROUNDING,
    PlanColumns,
    Points,
    PriceTerms,
    Room,
    StoreColumns,
    room_for,
)
from market.model.arrays import Floats, Ints

STEPS = 40
"""Steps after which a home is left as it is."""

FIRST_RIDGE, LEAST_RIDGE = 1e-3, 1e-6
"""Slope added after a cut step, in terms of the response of a power with its small slope alone."""


class Workspace(NamedTuple):
    """Room for one home after the other: prices and plans of its stores, and what they come to.

    Attributes
    ----------
    face
        Prices that a store faces, ``(T,)`` [$/kWh].
    room, sums
        Room for their plans, and what they answer together.
    rest
        What the rest wants.
    system, W
        Room of `market.horizon.home_model.spread`.
    inner
        Inner prices, ``(T,)``.
    """

    face: Floats
    room: Room
    sums: Sums
    rest: Rest
    system: Floats
    W: Floats
    inner: Floats


@inlined
def workspace_for(mine: Ints, homes: Homes, T: int) -> Workspace:
    """Room for some homes, at least one, over T intervals."""
    most_stores = longest = 0
    for h in mine:
        most_stores = max(most_stores, homes.first[h + 1] - homes.first[h])
        longest = max(longest, homes.own.first[h * T + T] - homes.own.first[h * T])
    many, K = longest + BEYOND * T, most_stores * T
    return Workspace(
        np.empty(T),
        room_for(4 * T, T),
        Sums(
            np.empty(T), np.empty(T), np.empty(K, dtype=np.intp), np.empty(K, dtype=np.intp), np.empty(K),
            np.empty((K, T)),
        ),
        Rest(Points(np.zeros(T + 1, dtype=np.intp), np.empty(many), np.empty(many)), np.empty(T)),
        np.empty((K, K)), np.empty((K, T)), np.empty(T),
    )  # fmt: skip


@compiled
def missed_at(
    h: int, inner: Floats, homes: Homes, rest: Rest, terms: PriceTerms, sums: Sums, missed: Floats
) -> float:
    """Fill in what the rest of a home wants more than its stores make ``(T,)``; the most of it [kW]."""
    most = 0.0
    for t in range(inner.size):
        kw, _, _, _, _ = wanted(t, inner[t], homes.slope[h], rest, terms)
        missed[t] = kw - sums.made_kw[t]
        most = max(most, abs(missed[t]))
    return most


@compiled
def agree(
    h: int, homes: Homes, terms: PriceTerms, hours: float, stores: StoreColumns, plans: PlanColumns,
    work: Workspace,
) -> tuple[int, float]:  # fmt: skip
    """Bring a home's inner prices to where its stores make what the rest wants.

    Returns
    -------
    stretches, missed_kw
        How many stretches its stores have there, and how far they are off beyond rounding [kW].
    """
    face, room, sums, rest, system, W, inner = work
    T, most_kw = inner.size, 0.0
    for i in range(rest.points.first[T]):
        most_kw = max(most_kw, abs(rest.points.power[i]))
    missed, step, begin = np.empty(T), np.empty(T), np.empty(T)
    K = stores_at(h, inner, homes, face, hours, stores, plans, room, sums)
    most, ridge = missed_at(h, inner, homes, rest, terms, sums, missed), 0.0
    for taken in range(STEPS):
        homes.effort[h] = max(homes.effort[h], taken)
        size = 0.0
        for t in range(T):
            size = max(size, abs(inner[t]) + abs(terms.price[t]))
        tolerance = 2.0 * ROUNDING * (size / homes.slope[h] + most_kw)
        if most <= tolerance:
            most = 0.0
            break
        begin[:] = inner
        step_of(h, K, inner, ridge, 0.1 * tolerance, homes, rest, terms, sums, system, W, step)
        first = 0.0
        for t in range(T):
            first -= step[t] * missed[t]
        if not np.isfinite(first):
            break
        enough, part = NEAR * abs(first), 1.0
        low, low_value, high, high_value = 0.0, first, 1.0, 0.0
        for k in range(TRIES):
            for t in range(T):
                inner[t] = begin[t] + part * step[t]
            K = stores_at(h, inner, homes, face, hours, stores, plans, room, sums)
            most = missed_at(h, inner, homes, rest, terms, sums, missed)
            value = 0.0
            for t in range(T):
                value -= step[t] * missed[t]
            if most <= tolerance or first >= 0.0:
                break
            if value <= enough and (k == 0 or value >= -enough):
                break
            part, low, low_value, high, high_value = narrowed(
                k, part, value, low, low_value, high, high_value
            )
        ridge = ridge_behind(ridge, part, FIRST_RIDGE, LEAST_RIDGE)
    for t in range(T):
        homes.inner[h, t] = inner[t] - terms.price[t]
    return K, most


@compiled
def begin_home(h: int, homes: Homes, terms: PriceTerms, stores: StoreColumns, work: Workspace) -> None:
    """Fill in a home's inner prices to begin with and what its rest wants."""
    T, points = terms.price.size, work.rest.points
    for t in range(T):
        work.inner[t] = terms.price[t] + homes.inner[h, t]
        charge = discharge = 0.0
        for k in range(homes.first[h], homes.first[h + 1]):
            s = homes.store[k]
            charge, discharge = charge + stores.charge_kw[s, t], discharge + stores.discharge_kw[s, t]
        begin = points.first[t]
        points.first[t + 1] = begin + free_power(
            homes.own.value, homes.own.kw, homes.own.first[h * T + t], homes.own.first[h * T + t + 1],
            terms.price[t], terms.slope[t], terms.fee[t], -charge, discharge, points.nu, points.power, begin,
        )  # fmt: skip
    centre_rest(h, homes, work)


@compiled
def centre_rest(h: int, homes: Homes, work: Workspace) -> None:
    """Fill in the centre of what a home's rest wants."""
    work.rest.centre_kw[:] = 0.0
    for k in range(homes.first[h], homes.first[h + 1]):
        work.rest.centre_kw[:] += homes.centre_kw[homes.store[k]]


@compiled
def homes_reply(
    mine: Ints, homes: Homes, terms: PriceTerms, hours: float, stores: StoreColumns, plans: PlanColumns,
    fall: Floats,
) -> float:  # fmt: skip
    """Plans of all stores of some homes at one path of prices.

    Parameters
    ----------
    mine
        Positions of the homes, all of one LAM.
    homes, terms
        All homes, and what the LAM's members face.
    hours, stores
        Length of an interval [h], and all stores' columns.
    plans
        Filled for the homes' stores; a home's trade is its first store's, that of others none.
    fall
        How these members' trades fall with the prices is added, ``(T, T)`` [kW per $/kWh].

    Returns
    -------
    float
        How far stores are from what a home wants of them, beyond rounding [kW].
    """
    T, worst = terms.price.size, 0.0
    if mine.size == 0:
        return 0.0
    work, whole = workspace_for(mine, homes, T), np.empty(T)
    for h in mine:
        begin_home(h, homes, terms, stores, work)
        K, missed = agree(h, homes, terms, hours, stores, plans, work)
        worst = max(worst, missed)
        trade(h, K, homes, terms, plans, work, whole, fall)
    return worst


@compiled
def trade(
    h: int, K: int, homes: Homes, terms: PriceTerms, plans: PlanColumns, work: Workspace, whole: Floats,
    fall: Floats,
) -> None:  # fmt: skip
    """Fill in a home's trades at its inner prices, and add how they fall with local ones."""
    sums, rest, system, W, inner = work.sums, work.rest, work.system, work.W, work.inner
    T, slope = inner.size, homes.slope[h]
    own, share = homes.own, np.empty(T)
    for k in range(homes.first[h] + 1, homes.first[h + 1]):
        plans.trade_kw[homes.store[k]] = 0.0
    s = homes.store[homes.first[h]]
    for t in range(T):
        price, fee = terms.price[t], terms.fee[t]
        _, responds, at, part, ease = wanted(t, inner[t], slope, rest, terms)
        whole[t] = responds + sums.fall[t]
        whole[t] = whole[t] if whole[t] > 0.0 else 1.0
        share[t] = responds * part
        fall[t, t] += ease * (1.0 - part) + share[t] * part - share[t] * share[t] / whole[t]
        trade_kw = trade_at(at, price, terms.slope[t], fee)
        if trade_kw != 0.0:
            # As a member with one store: no resource is to run by a price's last digits.
            begin, end = own.first[h * T + t], own.first[h * T + t + 1]
            exact_kw = steady_at(own.value, own.kw, begin, end, at) - sums.made_kw[t]
            rounding_kw = 4.0 * ROUNDING * (abs(price) + fee + abs(at)) / slope
            trade_kw = exact_kw if abs(exact_kw - trade_kw) <= rounding_kw else trade_kw
        plans.trade_kw[s, t] = trade_kw
    spread(K, sums, whole, system, W)
    for k in range(K):
        row = W[k]
        row *= share
        for t in range(T):
            part = row[t]
            if part != 0.0:
                for i in range(T):
                    fall[t, i] -= part * row[i]
