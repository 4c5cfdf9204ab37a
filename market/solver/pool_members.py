"""Members of LAMs that share energy in a closed pool, each with the utility as an outside option.

What a LAM answers depends on two prices: that of shared energy, and the charge for what flows over the
feeder, at which its members also deal with the utility (market.md, section 7).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from market.model.arrays import Bools, Floats, Ints
from market.model.case import Tariff
from market.model.curves import Curves, shift
from market.model.outside import Outside, UtilityPrices
from market.solver.aggregation import aggregate, jumps_of
from market.solver.followed import Followed
from market.solver.lam import clear_lams

SAME_LOCAL_PRICE = 1e-15
"""A local price that a step moves by less than this part of it stands."""

LOCAL_STEPS = 60


@dataclass(frozen=True)
class PoolMembers:
    """``n`` members of M LAMs.

    Attributes
    ----------
    supply
        Flow of each over its marginal value of energy, n curves.
    lam_of
        LAM of each, ``(n,)``.
    slope
        Rise k_i of the local price with a member's own trade, ``(M,)`` > 0 [$/kWh per kW].
    lam_slope
        What the local price is above the LAM's locational one per kW bought, K_i, ``(M,)``.
    tariff
        The utility's prices before charges.
    """

    supply: Curves
    lam_of: Ints
    slope: Floats
    lam_slope: Floats
    tariff: Tariff

    @property
    def lams(self) -> int:
        """Number of LAMs M."""
        return self.slope.size

    def sums(self, values: Floats) -> Floats:
        """Sum of members' values by LAM, in members' order, ``(M,)``."""
        return np.asarray(np.bincount(self.lam_of, values, minlength=self.lams), dtype=np.float64)

    def sums_of(self, *values: Floats | Bools) -> list[Floats]:
        """`sums` of several values at once; every LAM has a member, and LAMs' members lie together."""
        if not self._is_sorted:
            return [self.sums(np.asarray(each, dtype=np.float64)) for each in values]
        return [np.add.reduceat(each, self._first, dtype=np.float64) for each in values]

    @cached_property
    def _first(self) -> Ints:
        return np.searchsorted(self.lam_of, np.arange(self.lams))

    @cached_property
    def _is_sorted(self) -> bool:
        filled = np.bincount(self.lam_of, minlength=self.lams) > 0
        return bool(filled.all() and (np.diff(self.lam_of) >= 0).all())

    def charged(self, charge: Floats) -> Charged:
        """The members at charges ``(M,)`` [$/kWh]; those asked for last are kept."""
        if self._last and np.array_equal(self._last[0].charge, charge):
            return self._last[0]
        self._last[:] = [Charged(self, charge)]
        return self._last[0]

    @cached_property
    def _last(self) -> list[Charged]:
        return []

    @cached_property
    def flow_range(self) -> Curves:
        """Each LAM's whole range of flows, without costs: M curves of two points, as limits are checked."""
        ends = np.stack([self.sums(self.supply.highest_kw), self.sums(self.supply.lowest_kw)], axis=1)
        return Curves(np.tile([-1.0, 1.0], self.lams), ends.ravel(), 2 * np.arange(self.lams + 1))

    @cached_property
    def has_jumps(self) -> bool:
        """Whether any flow jumps at a marginal value."""
        return bool(jumps_of(self.supply).any())


class Charged:
    """Members at given charges for what flows over the feeder.

    Parameters
    ----------
    members
        The n members in M LAMs.
    charge
        Charge r_i for each kWh that flows to a LAM, ``(M,)`` [$/kWh].
    """

    def __init__(self, members: PoolMembers, charge: Floats) -> None:
        self._members = members
        self.charge = charge
        tariff, of_member = members.tariff, charge[members.lam_of]
        self._outside = Outside(
            members.supply, UtilityPrices(tariff.feed_in + of_member, tariff.retail + of_member)
        )
        self.trades = shift(self._outside.trades(), members.slope[members.lam_of])
        self.total = aggregate(self.trades, members.lam_of, members.lams)

    def flows(self, trade_kw: Floats) -> Floats:
        """Members' flows beside trades ``(n,)``, with the least trade of the utility, ``(n,)`` [kW]."""
        return self._outside.flows(trade_kw)

    def over_pool_price(self) -> Curves:
        """Net purchases over the price of shared energy, M curves."""
        total = shift(self.total, self._members.lam_slope)
        count = np.diff(total.start)
        return Curves(total.price - np.repeat(self.charge, count), total.kw, total.start)

    def divide(self, net_kw: Floats, near: Floats, flow_kw: Floats | None = None) -> Divided:
        """Trades, flows and local prices at which members take their LAMs' net purchases.

        Parameters
        ----------
        net_kw
            Net purchases Q_i, ``(M,)`` [kW].
        near
            As for `market.solver.lam.clear_lams`, ``(M,)`` [$/kWh].
        flow_kw
            What flows to each LAM, ``(M,)`` [kW]; the least trade with the utility where left out. It matters
            where resources jump at a price of the utility: members share it in proportion to their jumps.
        """
        members = self._members
        local = clear_lams(self.trades, members.lam_of, self.total, net_kw, near)
        flow = self.flows(local.trade_kw)
        missing = np.zeros(net_kw.size) if flow_kw is None else flow_kw - members.sums(flow)
        if missing.any():
            least, most = self._outside.flow_ends(local.trade_kw)
            room = np.where((missing > 0)[members.lam_of], most, least) - flow
            whole = members.sums(np.abs(room))
            part = np.divide(np.abs(missing), whole, out=np.zeros(whole.size), where=whole > 0)
            flow = flow + np.minimum(part, 1.0)[members.lam_of] * room
        return Divided(local.price, local.trade_kw, flow)


@dataclass(frozen=True)
class Divided:
    """Local prices ``(M,)`` [$/kWh], trades and flows ``(n,)`` [kW]."""

    price: Floats
    trade_kw: Floats
    flow_kw: Floats


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
        self._k = members.slope[members.lam_of]
        inner = shift(supply, self._k)
        self._inner, self._supply = Followed(inner), Followed(supply)
        span = np.maximum(inner.price[inner.start[1:] - 1] - inner.price[inner.start[:-1]], 1e-6)
        own = members.sums((inner.highest_kw - inner.lowest_kw) / span)
        self.whole_slope = np.concatenate([own, np.zeros(own.size), own])
        size = self.whole_slope.size
        self.lowest_kw, self.highest_kw = np.full(size, -np.inf), np.full(size, np.inf)

    def at(self, price: Floats) -> tuple[Floats, Floats]:
        """See `Answers.at`; prices of each LAM's three variables, ``(3 M,)``."""
        members, lams = self._members, self._members.lams
        there = self._at(price)
        own, traded, drawn, own_slope, drawn_slope, outside = members.sums_of(
            np.where(there.is_outside, 0.0, there.trade_kw),
            np.where(there.is_outside, there.trade_kw, 0.0),
            np.where(there.is_outside, there.flow_kw, 0.0),
            there.trade_slope,
            there.flow_slope,
            there.is_outside,
        )
        traded_slope = outside / members.slope
        rises = 1.0 + members.lam_slope * (own_slope + traded_slope)
        slope = np.empty(3 * lams)
        slope[:lams], slope[lams : 2 * lams] = own_slope / rises, traded_slope / rises
        slope[2 * lams :] = drawn_slope + members.lam_slope * own_slope * traded_slope / rises
        return np.concatenate([own, traded, drawn]), slope

    def flows(self, price: Floats) -> Floats:
        """Members' flows at these prices, ``(n,)`` [kW]."""
        return self._at(price).flow_kw

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
        most = ((tariff.retail + charge - local) / members.slope)[lam]
        least = ((tariff.feed_in + charge - local) / members.slope)[lam]
        buys = trade > most
        is_outside = buys | (trade < least)
        if not is_outside.any():
            return _Answered(trade, trade, trade_slope, np.zeros(trade.size), is_outside)
        at = np.where(buys, tariff.retail, tariff.feed_in) + charge[lam]
        supplied, supplied_slope = self._supply.at(at)
        return _Answered(
            trade_kw=np.minimum(np.maximum(trade, least), most),
            flow_kw=np.where(is_outside, supplied, trade),
            trade_slope=np.where(is_outside, 0.0, trade_slope),
            flow_slope=np.where(is_outside, supplied_slope, 0.0),
            is_outside=is_outside,
        )

    def _local_price(self, locational: Floats, charge: Floats) -> Floats:
        """Local prices whose LAMs buy what lifts them there from locational ones, ``(M,)`` [$/kWh]."""
        members, K = self._members, self._members.lam_slope
        if not K.any():
            return locational
        price, low, high = locational.copy(), np.full(K.size, -np.inf), np.full(K.size, np.inf)
        for _ in range(LOCAL_STEPS):
            there = self._members_at(price, charge)
            net_kw, fall, outside = members.sums_of(there.trade_kw, there.trade_slope, there.is_outside)
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
    """What members answer, ``(n,)``: trades, flows [kW], how both fall, who deals with the utility."""

    trade_kw: Floats
    flow_kw: Floats
    trade_slope: Floats
    flow_slope: Floats
    is_outside: Bools
