"""Members of LAMs that share energy in a closed pool, each with the utility as an outside option.

What a LAM answers depends on two prices: that of shared energy, and the charge for what flows over the
feeder, at which its members also deal with the utility (market.md, section 7).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from market.model.arrays import Floats, Ints
from market.model.case import Tariff
from market.model.curves import Curves, respond, shift
from market.model.outside import ROUNDED_PRICE, Outside, UtilityPrices
from market.model.pieces import has_jumps
from market.solver.aggregation import aggregate
from market.solver.dual_function import EPS
from market.solver.lam import clear_lams

EDGE = 4.0 * ROUNDED_PRICE
"""Part of the utility's prices within which members whose flows may jump there count as dealing with it."""

ROUNDED_KW = 16.0 * EPS
"""Part of a LAM's flows that rounding leaves of their sum."""


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
        if self._is_sorted:
            return np.asarray(np.add.reduceat(values, self._first), dtype=np.float64)
        return np.asarray(np.bincount(self.lam_of, values, minlength=self.lams), dtype=np.float64)

    def sums_of(self, some: Ints, values: Floats) -> Floats:
        """`sums` of the values of some members, ``(m,)``, where others have none."""
        if not self._is_sorted:
            return np.asarray(np.bincount(self.lam_of[some], values, minlength=self.lams), dtype=np.float64)
        every = np.zeros(self.lam_of.size)
        every[some] = values
        return self.sums(every)

    def spread(self, values: Floats) -> Floats:
        """Each member's value of its LAM's, ``(M,)`` to ``(n,)``."""
        return np.repeat(values, self._count) if self._is_sorted else values[self.lam_of]

    @cached_property
    def _count(self) -> Ints:
        return np.bincount(self.lam_of, minlength=self.lams)

    @cached_property
    def _first(self) -> Ints:
        return np.searchsorted(self.lam_of, np.arange(self.lams))

    @cached_property
    def _is_sorted(self) -> bool:
        """Whether every LAM has a member, and LAMs' members lie together in order."""
        return bool(self._count.all() and (self.lam_of[1:] >= self.lam_of[:-1]).all())

    @cached_property
    def inner(self) -> Curves:
        """Trades over the local price if nobody dealt with the utility, n curves; none jumps."""
        return shift(self.supply, self.spread(self.slope))

    @cached_property
    def inner_total(self) -> Curves:
        """Net purchases of the LAMs then, M curves."""
        return aggregate(self.inner, self.lam_of, self.lams)

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
        return has_jumps(self.supply)


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

    @cached_property
    def _outside(self) -> Outside:
        """All members with the utility behind them."""
        return self._outside_of(None)

    def _outside_of(self, some: Ints | None) -> Outside:
        """Some members with the utility behind them."""
        members = self._members
        charge = self.charge[members.lam_of if some is None else members.lam_of[some]]
        return Outside(members.supply, UtilityPrices(*members.tariff.with_charge(charge)), some)

    @cached_property
    def trades(self) -> Curves:
        """Members' trades over their local price, n curves."""
        return shift(self._outside.trades(), self._members.slope[self._members.lam_of])

    @cached_property
    def total(self) -> Curves:
        """Net purchases of the LAMs over their local price, M curves."""
        return aggregate(self.trades, self._members.lam_of, self._members.lams)

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
        local = clear_lams(self.trades, self._members.lam_of, self.total, net_kw, near)
        return self._beside(local.price, local.trade_kw, np.arange(local.trade_kw.size), flow_kw)

    def at(self, price: Floats, flow_kw: Floats | None = None) -> Divided:
        """`divide` where the local prices ``(M,)`` [$/kWh] are known that balance the LAMs."""
        members = self._members
        low, high = members.tariff.with_charge(self.charge)
        edge = EDGE * (np.abs(low) + np.abs(high))
        least_kw, most_kw = (low - price) / members.slope, (high - price) / members.slope
        own_kw, edge_kw = respond(members.inner, members.spread(price)), members.spread(edge / members.slope)
        least_kw, most_kw = members.spread(least_kw), members.spread(most_kw)
        # Only those at a price of the utility can draw other than what they trade.
        beside = np.flatnonzero((own_kw > most_kw - edge_kw) | (own_kw < least_kw + edge_kw))
        return self._beside(price, np.minimum(np.maximum(own_kw, least_kw), most_kw), beside, flow_kw)

    def _beside(self, price: Floats, trade_kw: Floats, some: Ints, flow_kw: Floats | None) -> Divided:
        """Members' flows beside their trades, which they are but for some of them."""
        members = self._members
        flow = trade_kw.copy()
        flow[some] = self._outside_of(some).flows(trade_kw[some])
        if flow_kw is None:
            return Divided(price, trade_kw, flow)
        missing = flow_kw - members.sums(flow)
        misses = np.abs(missing) > ROUNDED_KW * members.sums(np.abs(flow))
        some = some[misses[members.lam_of[some]]]
        if some.size:
            lam = members.lam_of[some]
            least, most = self._outside_of(some).flow_ends(trade_kw[some])
            room = np.where((missing > 0)[lam], most, least) - flow[some]
            whole = np.bincount(lam, np.abs(room), minlength=members.lams)
            part = np.divide(np.abs(missing), whole, out=np.zeros(whole.size), where=whole > 0)
            flow[some] += np.minimum(part, 1.0)[lam] * room
        return Divided(price, trade_kw, flow)


@dataclass(frozen=True)
class Divided:
    """Local prices ``(M,)`` [$/kWh], trades and flows ``(n,)`` [kW]."""

    price: Floats
    trade_kw: Floats
    flow_kw: Floats
