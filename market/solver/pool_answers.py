"""What LAMs of a pool answer to prices of shared energy and of limits, member by member ((7.7))."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace

import numpy as np

from market.model.arrays import Bools, Floats, Ints
from market.model.curves import NARROWEST, Curves, shift
from market.model.outside import ROUNDED_PRICE
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
    like
        Answers that were asked at prices near those to come, from curves of as many vertices.
    """

    def __init__(
        self, members: PoolMembers, supply: Curves, fixed: Floats, like: PoolAnswers | None = None
    ) -> None:
        self._members, self._fixed, self._edge = members, fixed, 0.0
        self._last: tuple[Floats, _Answered] | None = None
        inner = members.inner if supply is members.supply else shift(supply, members.spread(members.slope))
        self._inner: Followed = Followed(inner, None if like is None else like._inner)
        self._supply: Followed = Followed(supply, None if like is None else like._supply)
        span = np.maximum(inner.price[inner.start[1:] - 1] - inner.price[inner.start[:-1]], 1e-6)
        own = members.sums((inner.highest_kw - inner.lowest_kw) / span)
        self.whole_slope = np.concatenate([own, np.zeros(own.size), own])
        size = self.whole_slope.size
        self.lowest_kw, self.highest_kw = np.full(size, -np.inf), np.full(size, np.inf)

    @property
    def lams(self) -> int:
        """Number of LAMs M."""
        return self._members.lams

    @property
    def tariff_size(self) -> float:
        """Size of the utility's prices [$/kWh]."""
        return abs(self._members.tariff.retail) + abs(self._members.tariff.feed_in)

    def charge(self, price: Floats) -> Floats:
        """Charges at prices of each LAM's three variables, ``(M,)`` [$/kWh]."""
        return price[2 * self.lams :] + self._fixed

    def with_fixed(self, fixed: Floats, edge: float = 0.0) -> PoolAnswers:
        """The same answers at another part of the charges that does not change, ``(M,)`` [$/kWh].

        By ``edge``, a part of the utility's prices, a member may be inside and still count among those who
        deal with it: where a flow jumps at such a price, rounding does not tell.
        """
        other = copy(self)
        other._fixed, other._edge, other._last = fixed, edge, None
        return other

    def jumps(self, price: Floats) -> tuple[Ints, Floats]:
        """Where members' own flows would jump that these answers have on a slope.

        Returns
        -------
        lam, charge
            LAM of each such member that deals with the utility, and the charge at which its flow jumps,
            ``(j,)`` each.
        """
        there, members = self._at(price), self._members
        supply, here = members.supply, self._supply.behind(there.outside)
        after = np.minimum(here + 1, supply.start[there.outside + 1] - 1)
        jumps = np.flatnonzero(
            (supply.price[after] - supply.price[here] <= NARROWEST)
            & (supply.kw[here] > supply.kw[after])
            & (there.flow_slope > 0.0)
        )
        asked = self._asked(there.buys[jumps], np.zeros(jumps.size))
        return members.lam_of[there.outside[jumps]], supply.price[here[jumps]] - asked

    def price_size(self, price: Floats) -> Floats:
        """Size of the utility's prices with charges, ``(M,)`` [$/kWh]."""
        low, high = self._members.tariff.with_charge(self.charge(price))
        return np.abs(low) + np.abs(high)

    def at(self, price: Floats) -> tuple[Floats, Floats]:
        """See `Answers.at`; prices of each LAM's three variables, ``(3 M,)``."""
        members, lams, there = self._members, self._members.lams, self._at(price)
        own, traded, drawn = self._sums(there)
        own_slope = members.sums(there.trade_slope)
        drawn_slope = members.sums_of(there.outside, there.flow_slope)
        traded_slope = members.sums_of(there.outside, np.ones(there.outside.size)) / members.slope
        rises = 1.0 + members.lam_slope * (own_slope + traded_slope)
        slope = np.empty(3 * lams)
        slope[:lams], slope[lams : 2 * lams] = own_slope / rises, traded_slope / rises
        slope[2 * lams :] = drawn_slope + members.lam_slope * own_slope * traded_slope / rises
        return np.concatenate([own, traded, drawn]), slope

    def powers(self, price: Floats) -> Floats:
        """See `Answers.powers`."""
        return np.concatenate(self._sums(self._at(price)))

    def _sums(self, there: _Answered) -> tuple[Floats, Floats, Floats]:
        """Trades of those inside, trades of those who deal with the utility, their flows, ``(M,)`` each."""
        members, inside_kw = self._members, there.trade_kw
        if there.outside.size:
            inside_kw = inside_kw.copy()
            inside_kw[there.outside] = 0.0
        traded = members.sums_of(there.outside, there.trade_kw[there.outside])
        return members.sums(inside_kw), traded, members.sums_of(there.outside, there.flow_kw)

    def flows(self, price: Floats) -> Floats:
        """Members' flows at these prices, ``(n,)`` [kW]."""
        return self._at(price).whole_kw

    def least_flows(self, price: Floats) -> Floats:
        """`flows` with the least trade of the utility where resources jump at its prices, ``(n,)`` [kW]."""
        there, members, charge = self._at(price), self._members, self.charge(price)
        lam = members.lam_of[there.outside]
        slack = ROUNDED_PRICE * self.price_size(price)[lam]
        flow_kw, _ = self._supply.some_at(
            there.outside, self._asked(there.buys, charge[lam]) + np.where(there.buys, slack, -slack)
        )
        return replace(there, flow_kw=there.kept_kw(flow_kw)).whole_kw

    def _asked(self, buys: Bools, charge: Floats) -> Floats:
        """Prices of the utility, charges included, ``(m,)`` each [$/kWh]."""
        tariff = self._members.tariff
        return np.where(buys, tariff.retail, tariff.feed_in) + charge

    def _at(self, price: Floats) -> _Answered:
        """Members' answers to prices of each LAM's three variables, ``(3 M,)``; the last ones are kept."""
        if self._last is None or not np.array_equal(self._last[0], price):
            lams, charge = self.lams, self.charge(price)
            local = self._local_price(price[lams : 2 * lams] + charge, charge)
            self._last = price, self._members_at(local, charge)
        return self._last[1]

    def _members_at(self, local: Floats, charge: Floats) -> _Answered:
        """Members' answers to local prices and charges, ``(M,)`` each."""
        members, lam, tariff = self._members, self._members.lam_of, self._members.tariff
        trade, trade_slope = self._inner.at(members.spread(local))
        trade_slope = trade_slope.copy()
        low, high = tariff.with_charge(charge)
        least, most = (low - local) / members.slope, (high - local) / members.slope
        least_kw, most_kw = members.spread(least), members.spread(most)
        if self._edge:
            edge = self._edge * (np.abs(low) + np.abs(high)) / members.slope
            buys, sells = trade > members.spread(most - edge), trade < members.spread(least + edge)
        else:
            buys, sells = trade > most_kw, trade < least_kw
        outside = np.flatnonzero(buys | sells)
        if not outside.size:
            none = np.zeros(0)
            return _Answered(trade, trade_slope, outside, np.zeros(0, dtype=bool), none, none)
        buys = buys[outside]
        flow_kw, flow_slope = self._supply.some_at(outside, self._asked(buys, charge[lam[outside]]))
        trade_slope[outside] = 0.0
        trade = np.minimum(np.maximum(trade, least_kw), most_kw)
        there = _Answered(trade, trade_slope, outside, buys, flow_kw, flow_slope)
        return there if not self._edge else replace(there, flow_kw=there.kept_kw(flow_kw))

    def _local_price(self, locational: Floats, charge: Floats) -> Floats:
        """Local prices whose LAMs buy what lifts them there from locational ones, ``(M,)`` [$/kWh]."""
        members, K = self._members, self._members.lam_slope
        if not K.any():
            return locational
        price, low, high = locational.copy(), np.full(K.size, -np.inf), np.full(K.size, np.inf)
        for _ in range(LOCAL_STEPS):
            there = self._members_at(price, charge)
            net_kw, fall = members.sums(there.trade_kw), members.sums(there.trade_slope)
            outside = members.sums_of(there.outside, np.ones(there.outside.size))
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
    outside, buys
        Who they are, and whether each buys of it, ``(m,)`` each.
    flow_kw, flow_slope
        Their flows and how these fall, ``(m,)``; those of others are their trades.
    """

    trade_kw: Floats
    trade_slope: Floats
    outside: Ints
    buys: Bools
    flow_kw: Floats
    flow_slope: Floats

    def kept_kw(self, flow_kw: Floats) -> Floats:
        """Flows ``(m,)`` of those who deal with the utility, none against its trade, as a jump may reach."""
        trade_kw = self.trade_kw[self.outside]
        return np.where(self.buys, np.maximum(flow_kw, trade_kw), np.minimum(flow_kw, trade_kw))

    @property
    def whole_kw(self) -> Floats:
        """Flows of all members, ``(n,)`` [kW]."""
        flow_kw = self.trade_kw.copy()
        flow_kw[self.outside] = self.flow_kw
        return flow_kw
