"""The local-area market: members' responses summed to one curve, and its equilibrium for a net purchase."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market.curves import (
    Curves,
    Floats,
    Ints,
    fall,
    last_not_above,
    price_range,
    respond,
    respond_range,
    starts,
    take,
)
from market.errors import Infeasible

EXACT = 1e-12
"""Sum of trades against net purchase, relative to the LAM's turnover."""

ROUNDS = 60


@dataclass(frozen=True)
class LamOutcome:
    """Equilibrium of M local-area markets with n members.

    Attributes
    ----------
    price
        Local price lambda_i, ``(M,)`` [$/kWh].
    trade_kw
        Members' trades q_j, + bought, ``(n,)`` [kW].
    """

    price: Floats
    trade_kw: Floats


def aggregate(curves: Curves, group: Ints, lams: int) -> Curves:
    """Each LAM's response: the sum of its members' responses.

    A LAM's curve depends on its own members and their order only, to the last bit.

    Parameters
    ----------
    curves
        Members' responses to their local price, n curves.
    group
        Each member's LAM, ``(n,)``, in 0..lams-1, in any order.
    lams
        Number of LAMs M.

    Returns
    -------
    Curves
        M curves, net purchase Q_i over lambda_i; zero for a LAM without members.
    """
    members = np.bincount(group, minlength=lams)
    if (np.diff(group) < 0).any():
        order = np.argsort(group, kind="stable")
        curves = take(curves, order)
    first = starts(members)
    vertex = curves.start[first]
    count = np.diff(vertex)
    bucket = np.frexp(np.maximum(count, 1).astype(np.float64))[1]
    slope = fall(curves)
    jump = _jumps(curves)
    left = np.concatenate([np.zeros(1), slope[:-1]])
    left[curves.start[:-1]] = 0.0
    highest = _sums(curves.highest_kw, first)
    pieces: list[tuple[Ints, Curves]] = []
    for size in np.unique(bucket[count > 0]):
        # Padding within a factor of two keeps the arrays dense whatever the LAMs' sizes are.
        some = np.flatnonzero((bucket == size) & (count > 0))
        column = np.arange(count[some].max())
        inside = column < count[some][:, None]
        place = np.where(inside, vertex[some][:, None] + column, 0)
        price = np.where(inside, curves.price[place], np.inf)
        order = np.argsort(price, axis=1, kind="stable")
        place = np.take_along_axis(place, order, axis=1)
        price = np.take_along_axis(price, order, axis=1)
        pieces.append(
            (some, _stack(price, slope[place], left[place], jump[place], highest[some], count[some]))
        )
    return _arrange(pieces, lams)


def _jumps(curves: Curves) -> Floats:
    """Drop of each curve at a vertex that shares its price with the next, ``(V,)`` [kW]."""
    jump = np.zeros_like(curves.kw)
    if jump.size > 1:
        at = np.diff(curves.price) <= 0
        at[curves.start[1:-1] - 1] = False
        jump[:-1][at] = -np.diff(curves.kw)[at]
    return jump


def _sums(values: Floats, first: Ints) -> Floats:
    """Sums of consecutive runs, 0 for an empty one; each depends on its own run only."""
    result = np.zeros(first.size - 1)
    some = np.flatnonzero(np.diff(first) > 0)
    if some.size:
        result[some] = np.add.reduceat(values, first[some])
    return result


def _slope_after(right: Floats, left: Floats) -> Floats:
    """Slope of the sum behind each event, from every member's slope right and left of it, ``(m, W)``.

    Adding and later subtracting slopes of different size would leave the rounding of the largest behind.
    Slopes within a factor of 2^13 are accumulated together, and a sum without terms is exactly zero.
    """
    total = np.zeros_like(right)
    right_class = np.where(right > 0, np.frexp(right)[1] // 13, -9999)
    left_class = np.where(left > 0, np.frexp(left)[1] // 13, -9999)
    for size in np.union1d(right_class, left_class):
        if size == -9999:
            continue
        enters, leaves = right_class == size, left_class == size
        terms = np.cumsum(enters.astype(np.int32) - leaves, axis=1)
        part = np.cumsum(np.where(enters, right, 0.0) - np.where(leaves, left, 0.0), axis=1)
        total += np.where(terms > 0, np.maximum(part, 0.0), 0.0)
    return total


def _stack(price: Floats, right: Floats, left: Floats, jump: Floats, highest: Floats, count: Ints) -> Curves:
    """Sum the members of m LAMs whose vertices are sorted by price along the rows."""
    column = np.arange(price.shape[1])
    inside = column < count[:, None]
    right, left, jump = (np.where(inside, values, 0.0) for values in (right, left, jump))
    width = np.zeros_like(price)
    np.subtract(price[:, 1:], price[:, :-1], out=width[:, :-1], where=inside[:, 1:])
    drop = _slope_after(right, left) * width
    # Two points per event, before and after its jump; the first is left out where nothing jumps.
    kw = np.empty((price.shape[0], price.shape[1], 2))
    kw[:, :, 0] = 0.0
    kw[:, 1:, 0] = drop[:, :-1]
    kw[:, :, 1] = jump
    kw = highest[:, None, None] - np.cumsum(kw.reshape(price.shape[0], -1), axis=1).reshape(kw.shape)
    keep = np.stack([inside & (jump > 0), inside], axis=2)
    both = np.broadcast_to(price[:, :, None], kw.shape)
    return Curves(both[keep], kw[keep], starts(np.count_nonzero(keep, axis=(1, 2)).astype(np.intp)))


def _arrange(pieces: list[tuple[Ints, Curves]], lams: int) -> Curves:
    """Bring the buckets' curves into the LAMs' order; a LAM in no bucket is constantly zero."""
    count = np.ones(lams, dtype=np.intp)
    for some, piece in pieces:
        count[some] = np.diff(piece.start)
    start = starts(count)
    price, kw = np.zeros(start[-1]), np.zeros(start[-1])
    for some, piece in pieces:
        own = np.diff(piece.start)
        place = np.arange(piece.price.size) + np.repeat(start[some] - piece.start[:-1], own)
        price[place], kw[place] = piece.price, piece.kw
    return Curves(price, kw, start)


def clear_lams(
    curves: Curves, group: Ints, total: Curves, net_kw: Floats, near: Floats, names: tuple[str, ...] = ()
) -> LamOutcome:
    """Nash equilibrium of every local-area market for a given net purchase.

    Finds the price at which the members' trades, each its best response to that price, add up to ``net_kw``
    (the convex program V_i(Q_i) of the paper's Prop. 3). Where every member is at a limit or in its dead band
    the price is a range: its point nearest ``near`` is taken. A lone member trades ``net_kw``.

    Parameters
    ----------
    curves
        Members' responses to their local price, n curves.
    group
        Each member's LAM, ``(n,)``.
    total
        ``aggregate(curves, group, M)``.
    net_kw
        Energy drawn from the wide-area market, + shortage, - surplus, ``(M,)`` [kW].
    near
        Price that settles a range, the wide-area price, ``(M,)`` [$/kWh].
    names
        Names of the LAMs for messages; numbers when left out.

    Returns
    -------
    LamOutcome
        Prices ``(M,)`` [$/kWh] and trades ``(n,)`` [kW].

    Raises
    ------
    Infeasible
        A net purchase lies outside what the members can absorb; names the LAM and the excess.
    """
    lams = len(total)
    net_kw = np.asarray(net_kw, dtype=np.float64)
    tolerance = EXACT * (1.0 + _turnover(curves, group, lams))
    excess = np.maximum(net_kw - total.highest_kw, total.lowest_kw - net_kw)
    if (excess > 1e3 * tolerance).any():
        worst = int(np.argmax(excess - 1e3 * tolerance))
        name = names[worst] if names else str(worst)
        raise Infeasible(
            f"net purchase {net_kw[worst]:.6g} kW of LAM {name}", float(excess[worst]), index=worst
        )
    low, high = price_range(total, net_kw)
    price = np.minimum(np.maximum(near, low), high)
    jumps = _jumps(curves)
    price = _balance(curves, group, price, net_kw, tolerance, hold=bool(jumps.any()))
    trade = respond(curves, price[group])
    if jumps.any():
        trade = _share_jumps(curves, group, price, trade, net_kw)
    missing = net_kw - _total(trade, group, lams)
    weight = _steepness(curves, price[group])
    # A lone member takes all there is; elsewhere those on a slope take what rounding leaves.
    weight = np.where(np.bincount(group, minlength=lams)[group] == 1, 1.0, weight)
    whole = _total(weight, group, lams)
    part = np.divide(missing, whole, out=np.zeros(lams), where=whole > 0)
    trade = np.minimum(np.maximum(trade + part[group] * weight, curves.lowest_kw), curves.highest_kw)
    return LamOutcome(price, trade)


def _total(values: Floats, group: Ints, lams: int) -> Floats:
    """Sum per LAM in members' order, so that it depends on its own members only."""
    return np.asarray(np.bincount(group, values, minlength=lams), dtype=np.float64)


def _steepness(curves: Curves, price: Floats) -> Floats:
    """Slope -dq/dprice of each curve at its price, ``(n,)`` [kW per $/kWh]."""
    here = last_not_above(curves.price, curves.start, price)
    inside = curves.price[here] <= price
    return np.asarray(np.where(inside, fall(curves)[here], 0.0))


def _turnover(curves: Curves, group: Ints, lams: int) -> Floats:
    """Largest power that each LAM's members could move, ``(M,)`` [kW]."""
    return _total(np.maximum(np.abs(curves.highest_kw), np.abs(curves.lowest_kw)), group, lams)


def _balance(
    curves: Curves, group: Ints, price: Floats, net_kw: Floats, tolerance: Floats, *, hold: bool
) -> Floats:
    """Move each LAM's price until its members' trades add up: Newton steps inside a bracket.

    With ``hold``, a LAM whose members jump across the wanted sum at its price stays there.
    """
    lams = price.size
    settled = np.bincount(group, minlength=lams) <= 1
    if hold:
        least, most = respond_range(curves, price[group])
        settled |= (_total(least, group, lams) <= net_kw) & (net_kw <= _total(most, group, lams))
    below, above = np.full(lams, -np.inf), np.full(lams, np.inf)
    for _ in range(ROUNDS):
        missing = net_kw - _total(respond(curves, price[group]), group, lams)
        open_ = (np.abs(missing) > tolerance) & ~settled
        if not open_.any():
            break
        steepness = _total(_steepness(curves, price[group]), group, lams)
        # Where more is wanted the price must fall.
        above = np.where(open_ & (missing > 0), np.minimum(above, price), above)
        below = np.where(open_ & (missing < 0), np.maximum(below, price), below)
        newton = price - np.divide(missing, steepness, out=np.zeros(lams), where=steepness > 0)
        middle = np.where(np.isfinite(below) & np.isfinite(above), 0.5 * (below + above), price)
        safe = (newton > below) & (newton < above)
        moved = np.where(open_, np.where(safe, newton, middle), price)
        if (moved == price).all():
            break
        price = moved
    return price


def _share_jumps(curves: Curves, group: Ints, price: Floats, trade_kw: Floats, net_kw: Floats) -> Floats:
    """Members that jump at the price share what is missing in proportion to their jumps."""
    missing = net_kw - _total(trade_kw, group, price.size)
    _, high = respond_range(curves, price[group])
    room = _total(high - trade_kw, group, price.size)
    fraction = np.divide(missing, room, out=np.zeros_like(room), where=room > 0)
    return np.asarray(trade_kw + np.clip(fraction, 0.0, 1.0)[group] * (high - trade_kw))
