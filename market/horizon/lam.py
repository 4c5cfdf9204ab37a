"""One LAM over the horizon at given locational prices: Newton's method on its local prices alone.

A LAM wants a net purchase for what its local price stands above the locational one, and its members answer
the local price with another; where both agree in all intervals, it is at its equilibrium. Both are slopes of
one concave function, along which each step goes until its slope has fallen.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from market.horizon.compiled import compiled, inlined
from market.horizon.home_model import Homes
from market.horizon.homes import homes_reply
from market.horizon.line import NEAR, TRIES, narrowed, ridge_behind
from market.horizon.linear import solve
from market.horizon.replies import PlanColumns, PriceTerms, StoreColumns, Vertices, reply
from market.model.arrays import Floats, Ints
from market.model.curves import NARROWEST

STEPS = 20
"""Steps after which a LAM is left as it is."""

CHANGES = 12
"""Changes of who buys, sells or rests in one model."""

RESTING = 1e-10
"""Fall that is added where a LAM rests, as a part of the most that its members' trades may fall by: where
hardly anybody answers, rounding alone would make the fall, of either sign."""

FIRST_RIDGE, LEAST_RIDGE = 1e-3, 1e-5
"""Slope added to the model after a cut step, in terms of the members' whole power over the prices."""


class LamMembers(NamedTuple):
    """Members of LAM number ``lam`` of ``lams``.

    Attributes
    ----------
    plain
        Summed curves over the local price of those without a store, interval by interval those of all LAMs.
    mine, own, columns
        Positions of the stores whose members have one; their members' curves, and columns of all, as
        `market.horizon.replies` takes them.
    several, homes
        Positions of its members that have several stores; all such, as `market.horizon.homes` takes them.
    hours
        Length of an interval [h].
    offset
        Added to the price for its members, ``(T,)`` [$/kWh].
    swing
        All its members' power over the prices [kW per $/kWh].
    weight
        How many members with stores each of them stands for.
    resting
        Fall that is added where it rests [kW per $/kWh].
    held
        Added to the price for the owner of each store alone, ``(S, T)`` [$/kWh]; of no rows where nothing is.
    """

    lam: int
    lams: int
    plain: Vertices
    mine: Ints
    own: Vertices
    columns: StoreColumns
    several: Ints
    homes: Homes
    hours: float
    offset: Floats
    swing: float
    weight: float
    resting: float
    held: Floats


class WamTerms(NamedTuple):
    """What a LAM's local price is beside its locational one: fee sign(Q) + slope Q + offset.

    Attributes
    ----------
    slope
        Of the price with the net purchase, > 0; ``(T,)`` of one LAM, or ``(M, T)`` of all [$/kWh per kW].
    fee, offset
        The WAM's fees, and a term that moves the centre of the slope, as large each [$/kWh].
    """

    slope: Floats
    fee: Floats
    offset: Floats


class Found(NamedTuple):
    """What a LAM's search writes.

    Attributes
    ----------
    price, side, kw, fall
        Its prices, sides and net purchases ``(T,)``, and their fall ``(T, T)``.
    within
        How far off any member is within its home, ``(1,)`` [kW].
    """

    price: Floats
    side: Ints
    kw: Floats
    fall: Floats
    within: Floats


@inlined
def plain_answer(curve: int, plain: Vertices, at: float) -> tuple[float, float]:
    """Power of a curve at a price, and how steeply it falls just above."""
    begin, end = plain.first[curve], plain.first[curve + 1]
    low, high = begin, end
    while low < high:
        middle = (low + high) // 2
        if plain.value[middle] <= at:
            low = middle + 1
        else:
            high = middle
    if low == begin:
        return plain.kw[begin], 0.0
    if low == end:
        return plain.kw[end - 1], 0.0
    width, drop = plain.value[low] - plain.value[low - 1], plain.kw[low - 1] - plain.kw[low]
    kw = plain.kw[low - 1] - drop * ((at - plain.value[low - 1]) / width)
    return kw, drop / width if width > NARROWEST else 0.0


@compiled
def held_replies(members: LamMembers, terms: PriceTerms, found: Found, plans: PlanColumns) -> None:
    """Replies of those with stores one by one, each at a price of its own; ``terms`` stay as they were."""
    price, worst = terms.price.copy(), 0.0
    for k in range(members.mine.size):
        terms.price[:] = price + members.held[members.mine[k]]
        reply(members.mine[k : k + 1], members.own, terms, members.hours, members.columns, plans, found.fall)
    for k in range(members.several.size):
        h = members.several[k]
        terms.price[:] = price + members.held[members.homes.store[members.homes.first[h]]]
        home = members.several[k : k + 1]
        off = homes_reply(home, members.homes, terms, members.hours, members.columns, plans, found.fall)
        worst = max(worst, off)
    terms.price[:] = price
    found.within[0] = worst


@compiled
def answer(members: LamMembers, terms: PriceTerms, found: Found, plans: PlanColumns) -> None:
    """Fill in net purchases and their fall at the prices found; those of ``terms`` are written over."""
    T, weight = found.kw.size, members.weight
    for t in range(T):
        terms.price[t] = found.price[t] + members.offset[t]
    found.kw[:], found.fall[:] = 0.0, 0.0
    if members.held.shape[0]:
        held_replies(members, terms, found, plans)
    else:
        reply(members.mine, members.own, terms, members.hours, members.columns, plans, found.fall)
        found.within[0] = homes_reply(
            members.several, members.homes, terms, members.hours, members.columns, plans, found.fall
        )
    for s in members.mine:
        for t in range(T):
            found.kw[t] += plans.trade_kw[s, t]
    for h in members.several:
        s = members.homes.store[members.homes.first[h]]
        for t in range(T):
            found.kw[t] += plans.trade_kw[s, t]
    if weight != 1.0:
        found.kw[:] *= weight
        found.fall[:] *= weight
    for t in range(T):
        kw, fall = plain_answer(t * members.lams + members.lam, members.plain, terms.price[t])
        found.kw[t] += kw
        found.fall[t, t] += fall


@inlined
def wanted(wide: WamTerms, t: int, gap: float) -> float:
    """Net purchase at which the local price stands by ``gap`` above the locational one [kW]."""
    over, fee = float(gap - wide.offset[t]), float(wide.fee[t])
    if abs(over) <= fee:
        return 0.0
    return (over - fee if over > 0.0 else over + fee) / float(wide.slope[t])


@compiled
def is_off(wide: WamTerms, wam_price: Floats, found: Found, allowed: Floats, off: Floats) -> bool:
    """Fill in how far answers are from what is wanted, ``(T,)`` [kW]; whether any is beyond ``allowed``.

    How far members are off within their homes counts for all intervals.
    """
    some = False
    for t in range(found.kw.size):
        off[t] = max(found.within[0], abs(wanted(wide, t, found.price[t] - wam_price[t]) - found.kw[t]))
        some = some or not off[t] <= allowed[t]
    return some


@compiled
def slope_along(wide: WamTerms, wam_price: Floats, step: Floats, found: Found) -> float:
    """Slope of the negative dual along a step of prices, which never falls on the way [kW $/kWh]."""
    total = 0.0
    for t in range(step.size):
        total += step[t] * (wanted(wide, t, found.price[t] - wam_price[t]) - found.kw[t])
    return total


@compiled
def model_step(
    wide: WamTerms, wam_price: Floats, ridge: float, resting: float, allowed: Floats, found: Found,
    step: Floats,
) -> None:  # fmt: skip
    """Fill in the step of prices to where answers, taken as linear, are what is wanted; sides follow."""
    kw, fall, side, price = found.kw, found.fall, found.side, found.price
    T = kw.size
    system = np.empty((T, T))
    for _ in range(CHANGES):
        for t in range(T):
            system[t, t:] = fall[t, t:]
            system[t, t] += ridge
            step[t] = kw[t]
            if side[t] != 0 or wide.fee[t] == 0.0:
                asked = side[t] * wide.fee[t] + wide.offset[t] + wam_price[t] - price[t]
                system[t, t] += 1.0 / wide.slope[t]
                step[t] += asked / wide.slope[t]
            else:
                system[t, t] += resting
        solve(system, step)
        changed = False
        for t in range(T):
            net = kw[t] - ridge * step[t]
            for u in range(T):
                net -= fall[t, u] * step[u]
            gap = price[t] + step[t] - wam_price[t] - wide.offset[t]
            if side[t] != 0 and side[t] * net < -0.1 * allowed[t] and wide.fee[t] > 0.0:
                side[t], changed = 0, True
            elif side[t] == 0 and abs(gap) > wide.fee[t] * (1.0 + 1e-12):
                side[t], changed = (1 if gap > 0.0 else -1), True
        if not changed:
            break


@compiled
def go(
    members: LamMembers, terms: PriceTerms, wide: WamTerms, wam_price: Floats, step: Floats, found: Found,
    plans: PlanColumns,
) -> float:  # fmt: skip
    """Go along a step until the slope has fallen, and answer there; the part that was gone."""
    begin = found.price.copy()
    first = slope_along(wide, wam_price, step, found)
    enough, part = NEAR * abs(first), 1.0
    low, low_value, high, high_value = 0.0, first, 1.0, 0.0
    for k in range(TRIES):
        found.price[:] = begin + part * step
        answer(members, terms, found, plans)
        value = slope_along(wide, wam_price, step, found)
        if first >= 0.0 or (value <= enough and (k == 0 or value >= -enough)):
            break
        part, low, low_value, high, high_value = narrowed(k, part, value, low, low_value, high, high_value)
    return part


@compiled
def settle(
    members: LamMembers, terms: PriceTerms, wide: WamTerms, wam_price: Floats, allowed: Floats,
    found: Found, plans: PlanColumns, off: Floats,
) -> None:  # fmt: skip
    """Bring a LAM to its equilibrium at locational prices ``(T,)``.

    Parameters
    ----------
    members, terms, wide
        Its members, what they and what the LAM face; prices of ``terms`` are written over.
    allowed
        How far answers may be off, ``(T,)`` [kW].
    found
        Prices and sides to begin with; all are filled with those found.
    plans
        Filled with the plans of its stores.
    off
        Filled with how far answers are off, ``(T,)`` [kW].
    """
    answer(members, terms, found, plans)
    step, ridge = np.empty(found.kw.size), 0.0
    for _ in range(STEPS):
        if not is_off(wide, wam_price, found, allowed, off):
            return
        model_step(wide, wam_price, ridge * members.swing, members.resting, allowed, found, step)
        part = go(members, terms, wide, wam_price, step, found, plans)
        ridge = ridge_behind(ridge, part, FIRST_RIDGE, LEAST_RIDGE)
    is_off(wide, wam_price, found, allowed, off)
