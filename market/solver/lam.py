"""The local-area market: its equilibrium for a net purchase."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market.errors import Infeasible
from market.model.arrays import Floats, Ints
from market.model.curves import (
    Curves,
    answer,
    answer_of,
    respond_range,
)
from market.model.inverse import price_range, price_range_near
from market.model.pieces import has_jumps

EXACT = 1e-12
"""Sum of trades against net purchase, relative to the LAM's turnover."""

ROUNDED_PRICE = 1e-9
"""Prices that differ by no more than this part of them are as good as the same."""

ROUNDED_KW = 1e-9
"""Part of a net purchase that the clearing of the wide area may leave it beside a flat part of a response."""

ROUNDS = 60


@dataclass(frozen=True)
class LamClearing:
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


def clear_lams(
    curves: Curves, group: Ints, total: Curves, net_kw: Floats, near: Floats, names: tuple[str, ...] = ()
) -> LamClearing:
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
        Wide-area price: where a LAM has a range of prices, the nearest to it is taken, ``(M,)`` [$/kWh].
    names
        Names of the LAMs for messages; numbers when left out.

    Returns
    -------
    LamClearing
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
    price = _nearest(total, net_kw, near, 4.0 * tolerance + ROUNDED_KW * np.abs(net_kw))
    jumps = has_jumps(curves)
    price, trade, weight = _balance(curves, group, price, net_kw, tolerance, hold=jumps)
    if jumps:
        trade = _share_jumps(curves, group, price, trade, net_kw)
    missing = net_kw - _total(trade, group, lams)
    # A lone member takes all there is; elsewhere those on a slope take what rounding leaves.
    weight = np.where(np.bincount(group, minlength=lams)[group] == 1, 1.0, weight)
    whole = _total(weight, group, lams)
    part = np.divide(missing, whole, out=np.zeros(lams), where=whole > 0)
    trade = np.minimum(np.maximum(trade + part[group] * weight, curves.lowest_kw), curves.highest_kw)
    return LamClearing(price, trade)


def _nearest(total: Curves, net_kw: Floats, near: Floats, slack_kw: Floats) -> Floats:
    """Price nearest ``near`` at which each LAM takes its net purchase, or misses it by rounding alone.

    A net purchase that rounding left beside a flat part of the curve has a price of its own, far from those
    of the flat part. Within ``slack_kw`` of it, and only where it makes a difference, these count as well.
    """
    low, high = price_range(total, net_kw)
    price = np.minimum(np.maximum(near, low), high)
    far = np.flatnonzero(np.abs(price - near) > ROUNDED_PRICE * (np.abs(price) + np.abs(near)))
    if far.size:
        low, high = price_range_near(total, net_kw[far], slack_kw[far], far)
        price[far] = np.minimum(np.maximum(near[far], low), high)
    return price


def _total(values: Floats, group: Ints, lams: int) -> Floats:
    """Sum per LAM in members' order, so that it depends on its own members only."""
    return np.asarray(np.bincount(group, values, minlength=lams), dtype=np.float64)


def _turnover(curves: Curves, group: Ints, lams: int) -> Floats:
    """Largest power that each LAM's members could move, ``(M,)`` [kW]."""
    return _total(np.maximum(np.abs(curves.highest_kw), np.abs(curves.lowest_kw)), group, lams)


def _balance(
    curves: Curves, group: Ints, price: Floats, net_kw: Floats, tolerance: Floats, *, hold: bool
) -> tuple[Floats, Floats, Floats]:
    """Move each LAM's price until its members' trades add up: Newton steps inside a bracket.

    With ``hold``, a LAM whose members jump across the wanted sum at its price stays there.

    Returns
    -------
    price, trade, slope
        Of the LAMs ``(M,)``, and what their members answer there, as `answer` has it, ``(n,)`` each.
    """
    lams = price.size
    done = np.bincount(group, minlength=lams) <= 1
    if hold:
        least, most = respond_range(curves, price[group])
        done |= (_total(least, group, lams) <= net_kw) & (net_kw <= _total(most, group, lams))
    below, above = np.full(lams, -np.inf), np.full(lams, np.inf)
    trade, slope = answer(curves, price[group])
    for _ in range(ROUNDS):
        missing = net_kw - _total(trade, group, lams)
        misses = (np.abs(missing) > tolerance) & ~done
        if not misses.any():
            break
        steepness = _total(slope, group, lams)
        # Where more is wanted the price must fall.
        above = np.where(misses & (missing > 0), np.minimum(above, price), above)
        below = np.where(misses & (missing < 0), np.maximum(below, price), below)
        newton = price - np.divide(missing, steepness, out=np.zeros(lams), where=steepness > 0)
        is_between = np.isfinite(below) & np.isfinite(above)
        # Minus infinity and infinity have no middle, not even one that is thrown away.
        middle = 0.5 * (np.where(is_between, below, price) + np.where(is_between, above, price))
        safe = (newton > below) & (newton < above)
        moved = np.where(misses, np.where(safe, newton, middle), price)
        if (moved == price).all():
            break
        price = moved
        some = np.flatnonzero(misses[group])
        trade[some], slope[some] = answer_of(curves, some, price[group[some]])
    return price, trade, slope


def _share_jumps(curves: Curves, group: Ints, price: Floats, trade_kw: Floats, net_kw: Floats) -> Floats:
    """Members that jump at the price share what is missing in proportion to their jumps."""
    missing = net_kw - _total(trade_kw, group, price.size)
    _, high = respond_range(curves, price[group])
    room = _total(high - trade_kw, group, price.size)
    fraction = np.divide(missing, room, out=np.zeros_like(room), where=room > 0)
    return np.asarray(trade_kw + np.clip(fraction, 0.0, 1.0)[group] * (high - trade_kw))
