"""What LAMs of a pool answer to prices of shared energy and of limits, member by member ((7.7))."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market.model.arrays import Floats, Ints
from market.model.curves import Curves, shift
from market.solver.followed import Followed
from market.solver.pool_members import PoolMembers

SAME_LOCAL_PRICE = 1e-15
"""A local price that a step moves by less than this part of it stands."""

LOCAL_STEPS = 60


class PoolAnswers:
    """`market.solver.dual_function.Answers` of LAMs in a pool, three variables each.

    The first M variables are what members trade with each other only: it moves with the price of shared
    energy and with the charge alike. The second M are trades of those who also deal with the utility, which
    move with the price of shared energy alone; the third M their flows, which move with the charge alone.

    Parameters
    ----------
    members
        The members.
    supply
        Their flow over marginal value, n curves; without jumps at any price of the utility.
    fixed
        Part of the charges that does not change, ``(M,)`` [$/kWh].
    """

    def __init__(self, members: PoolMembers, supply: Curves, fixed: Floats) -> None:
        self._members, self._fixed = members, fixed
        inner = shift(supply, members.slope[members.lam_of])
        self._inner, self._supply = Followed(inner), Followed(supply)
        span = np.maximum(inner.price[inner.start[1:] - 1] - inner.price[inner.start[:-1]], 1e-6)
        own = members.sums((inner.highest_kw - inner.lowest_kw) / span)
        self.whole_slope = np.concatenate([own, np.zeros(own.size), own])
        size = self.whole_slope.size
        self.lowest_kw, self.highest_kw = np.full(size, -np.inf), np.full(size, np.inf)

    def at(self, price: Floats) -> tuple[Floats, Floats]:
        """See `Answers.at`; prices of each LAM's three variables, ``(3 M,)``."""
        members, lams = self._members, self._members.lams
        there, whole = self._at(price), np.zeros((4, self._members.lams))
        trade_kw, trade_slope = there.trade_kw, there.trade_slope
        if there.outside.size:
            lam = members.lam_of[there.outside]
            outside = (there.trade_kw[there.outside], there.flow_kw, there.flow_slope, None)
            for place, values in enumerate(outside):
                whole[place] = np.bincount(lam, values, minlength=lams)
            trade_kw = trade_kw.copy()
            trade_kw[there.outside] = 0.0
        traded, drawn, drawn_slope, count = whole
        own, own_slope = members.sums_of(trade_kw, trade_slope)
        traded_slope = count / members.slope
        rises = 1.0 + members.lam_slope * (own_slope + traded_slope)
        slope = np.empty(3 * lams)
        slope[:lams], slope[lams : 2 * lams] = own_slope / rises, traded_slope / rises
        slope[2 * lams :] = drawn_slope + members.lam_slope * own_slope * traded_slope / rises
        return np.concatenate([own, traded, drawn]), slope

    def powers(self, price: Floats) -> Floats:
        """See `Answers.powers`."""
        members, lams = self._members, self._members.lams
        there = self._at(price)
        lam, trade_kw = members.lam_of[there.outside], there.trade_kw
        traded = np.bincount(lam, trade_kw[there.outside], minlength=lams)
        drawn = np.bincount(lam, there.flow_kw, minlength=lams)
        if there.outside.size:
            trade_kw = trade_kw.copy()
            trade_kw[there.outside] = 0.0
        return np.concatenate([*members.sums_of(trade_kw), traded, drawn])

    def flows(self, price: Floats) -> Floats:
        """Members' flows at these prices, ``(n,)`` [kW]."""
        there = self._at(price)
        flow_kw = there.trade_kw.copy()
        flow_kw[there.outside] = there.flow_kw
        return flow_kw

    def _at(self, price: Floats) -> _Answered:
        """Members' answers to prices of each LAM's three variables, ``(3 M,)``."""
        lams = self._members.lams
        charge = price[2 * lams :] + self._fixed
        local = self._local_price(price[lams : 2 * lams] + charge, charge)
        return self._members_at(local, charge)

    def _members_at(self, local: Floats, charge: Floats) -> _Answered:
        """Members' answers to local prices and charges, ``(M,)`` each."""
        members, lam, tariff = self._members, self._members.lam_of, self._members.tariff
        trade, trade_slope = self._inner.at(local[lam])
        low, high = tariff.with_charge(charge)
        least, most = ((low - local) / members.slope)[lam], ((high - local) / members.slope)[lam]
        buys = trade > most
        outside = np.flatnonzero(buys | (trade < least))
        if not outside.size:
            return _Answered(trade, trade_slope, outside, np.zeros(0), np.zeros(0))
        at = np.where(buys[outside], tariff.retail, tariff.feed_in) + charge[lam[outside]]
        flow_kw, flow_slope = self._supply.some_at(outside, at)
        trade_slope = trade_slope.copy()
        trade_slope[outside] = 0.0
        return _Answered(
            np.minimum(np.maximum(trade, least), most), trade_slope, outside, flow_kw, flow_slope
        )

    def _local_price(self, locational: Floats, charge: Floats) -> Floats:
        """Local prices whose LAMs buy what lifts them there from locational ones, ``(M,)`` [$/kWh]."""
        members, K = self._members, self._members.lam_slope
        if not K.any():
            return locational
        price, low, high = locational.copy(), np.full(K.size, -np.inf), np.full(K.size, np.inf)
        for _ in range(LOCAL_STEPS):
            there = self._members_at(price, charge)
            net_kw, fall = members.sums_of(there.trade_kw, there.trade_slope)
            outside = np.bincount(members.lam_of[there.outside], minlength=members.lams)
            off = price - K * net_kw - locational
            low = np.where(off < 0, np.maximum(low, price), low)
            high = np.where(off > 0, np.minimum(high, price), high)
            newton = price - off / (1.0 + K * (fall + outside / members.slope))
            both = np.isfinite(low) & np.isfinite(high)
            middle = 0.5 * (np.where(both, low, price) + np.where(both, high, price))
            moved = np.where((newton > low) & (newton < high), newton, middle)
            stands = np.abs(newton - price) <= SAME_LOCAL_PRICE * np.abs(price)
            if stands.all() or (moved == price).all():
                break
            price = np.where(stands, price, moved)
        return price


@dataclass(frozen=True)
class _Answered:
    """What members answer: trades [kW] and how they fall, ``(n,)``, and ``m`` who deal with the utility.

    Attributes
    ----------
    outside
        Who they are, ``(m,)``.
    flow_kw, flow_slope
        Their flows and how these fall, ``(m,)``; those of others are their trades.
    """

    trade_kw: Floats
    trade_slope: Floats
    outside: Ints
    flow_kw: Floats
    flow_slope: Floats
