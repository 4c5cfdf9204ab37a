"""Members' cost, net purchase and flow of LAMs over their local prices, piece by piece.

Between two vertices of its members' answers everything of a LAM is a polynomial in its price l: net purchase
and flow are lines, and the members' cost is ``const - l Q + (integral of Q) - k/2 sum q^2``, market.md (7.9).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market.model.arrays import Floats, Ints
from market.model.case import Case
from market.model.curves import Curves, answer, starts
from market.model.response import Supply, disaggregate
from market.solver.pool_members import PoolMembers

NARROW = 1e-9
"""Prices nearer than this part of the utility's spread are one edge of a piece."""


@dataclass(frozen=True)
class LamCosts:
    """Pieces of M LAMs, one LAM's after the other, ``P`` in all; on each, functions of the local price l.

    Attributes
    ----------
    start
        LAM ``i`` owns pieces ``start[i]:start[i+1]``, ``(M+1,)``.
    low, high
        Ends of the pieces, ``(P,)`` [$/kWh].
    net_kw, net_fall
        Net purchase is ``net_kw - net_fall l``.
    flow_kw, flow_fall
        What flows is ``flow_kw - flow_fall l``.
    constant, slope, curvature
        Members' cost is ``constant + slope l + curvature l^2 / 2`` [$/h].
    """

    start: Ints
    low: Floats
    high: Floats
    net_kw: Floats
    net_fall: Floats
    flow_kw: Floats
    flow_fall: Floats
    constant: Floats
    slope: Floats
    curvature: Floats

    def piece_at(self, price: Floats) -> Ints:
        """The piece of each LAM that holds its price ``(M,)``."""
        found = np.empty(price.size, dtype=np.intp)
        for lam, (begin, end) in enumerate(zip(self.start[:-1], self.start[1:], strict=True)):
            at = np.searchsorted(self.low[begin:end], price[lam], side="right") - 1
            found[lam] = begin + min(max(int(at), 0), int(end - begin) - 1)
        return found

    def quadratic(self, piece: Ints, charge: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Ends, curvature and slope at l = 0 of the cost on pieces, flows charged besides, ``(M,)`` each."""
        slope = self.slope[piece] - charge * self.flow_fall[piece]
        return self.low[piece], self.high[piece], self.curvature[piece], slope

    def lines(self, piece: Ints) -> tuple[Floats, Floats, Floats, Floats]:
        """Net purchases and flows on pieces: at l = 0, and how they fall, ``(M,)`` each."""
        return self.net_kw[piece], self.net_fall[piece], self.flow_kw[piece], self.flow_fall[piece]

    def cost(self, piece: Ints, price: Floats) -> float:
        """Members' cost of all LAMs at prices on pieces [$/h]."""
        each = self.constant[piece] + (self.slope[piece] + 0.5 * self.curvature[piece] * price) * price
        return float(each.sum())

    def least(self, pool_price: float, charge: Floats) -> tuple[float, Floats, Floats]:
        """Least of cost, purchases at a pool's price and charged flows, over all of a LAM's pieces.

        Returns
        -------
        value, net_kw, flow_kw
            The sum of all LAMs' least [$/h], and what they buy and draw there, ``(M,)`` each [kW].
        """
        value, price = self._least_on_pieces(pool_price, charge)
        first = self.start[:-1]
        best = np.minimum.reduceat(value, first)
        lam = np.repeat(np.arange(first.size), np.diff(self.start))
        is_best = np.flatnonzero(value == best[lam])
        piece = is_best[np.searchsorted(lam[is_best], np.arange(first.size))]
        at = price[piece]
        net_kw, net_fall, flow_kw, flow_fall = self.lines(piece)
        return float(best.sum()), net_kw - net_fall * at, flow_kw - flow_fall * at

    def neighbour(self, piece: Ints, price: Floats, pool_price: float, charge: Floats) -> Ints:
        """Each LAM's own piece, or the one beside it where its price stands at an end and less is had."""
        value, _ = self._least_on_pieces(pool_price, charge)
        width = self.high[piece] - self.low[piece]
        last = np.minimum(piece + (price >= self.high[piece] - 1e-9 * width), self.start[1:] - 1)
        first = np.maximum(piece - (price <= self.low[piece] + 1e-9 * width), self.start[:-1])
        own = value[piece]
        less = 1e-12 * (1.0 + np.abs(own))
        up = np.where(value[last] < own - less, last, piece)
        return np.where(value[first] < np.minimum(own, value[up]) - less, first, up)

    def _least_on_pieces(self, pool_price: float, charge: Floats) -> tuple[Floats, Floats]:
        """Least on each piece and the price where it is, ``(P,)`` each."""
        r = np.repeat(charge, np.diff(self.start))
        constant = self.constant + pool_price * self.net_kw + r * self.flow_kw
        slope = self.slope - pool_price * self.net_fall - r * self.flow_fall
        ends = np.where(slope + self.curvature * self.low >= 0, self.low, self.high)
        free = np.divide(-slope, self.curvature, out=ends, where=self.curvature > 0)
        price = np.minimum(np.maximum(free, self.low), self.high)
        return constant + (slope + 0.5 * self.curvature * price) * price, price


def lam_costs(case: Case, supply: Supply, members: PoolMembers) -> LamCosts:
    """Pieces of all LAMs between the utility's prices, without charges.

    Parameters
    ----------
    case, supply, members
        A case whose rule has a utility, its members' supply, and the pool that they make.
    """
    lam_of, lams = members.lam_of, members.lams
    charged = members.charged(np.zeros(lams))
    edges = [_edges(members, charged.trades, lam) for lam in range(lams)]
    count = np.array([each.size - 1 for each in edges])
    start = starts(count)
    low = np.concatenate([each[:-1] for each in edges])
    high = np.concatenate([each[1:] for each in edges])
    columns = np.empty((6, low.size))
    first_cost = np.empty(lams)
    for number in range(int(count.max())):
        piece = start[:-1] + np.minimum(number, count - 1)
        inside = 0.5 * (low[piece] + high[piece])
        at = inside[lam_of]
        trade, fall = answer(charged.trades, at)
        flow = charged.flows(trade)
        if number == 0:
            first_cost = _members_cost(case, supply, members, trade, flow)
        flow_fall = np.where(flow == trade, fall, 0.0)
        k = members.slope
        net_fall = members.sums(fall)
        columns[:, piece] = (
            members.sums(trade + fall * at),
            net_fall,
            members.sums(flow + flow_fall * at),
            members.sums(flow_fall),
            k * members.sums((trade + fall * at) * fall),
            np.maximum(net_fall - k * members.sums(fall**2), 0.0),
        )
    slope, curvature = columns[4], columns[5]
    constant = np.empty(low.size)
    for lam, (begin, end) in enumerate(zip(start[:-1].tolist(), start[1:].tolist(), strict=True)):
        middle = 0.5 * (low[begin] + high[begin])
        # The cost is continuous where one piece ends and the next begins.
        bends = _varying(slope, curvature, low, slice(begin + 1, end))
        bends -= _varying(slope, curvature, high, slice(begin, end - 1))
        constant[begin] = first_cost[lam] - (slope[begin] + 0.5 * curvature[begin] * middle) * middle
        constant[begin + 1 : end] = constant[begin] - np.cumsum(bends)
    return LamCosts(
        start, low, high, columns[0], columns[1], columns[2], columns[3], constant, slope, curvature
    )


def _edges(members: PoolMembers, trades: Curves, lam: int) -> Floats:
    """Prices at which a LAM's pieces meet, the utility's own among them, ascending."""
    tariff = members.tariff
    own = np.repeat(members.lam_of == lam, np.diff(trades.start))
    vertices = trades.price[own]
    inside = vertices[(vertices > tariff.feed_in) & (vertices < tariff.retail)]
    edges = np.unique(np.concatenate([[tariff.feed_in], inside, [tariff.retail]]))
    narrow = NARROW * (tariff.retail - tariff.feed_in)
    kept = np.concatenate([[True], np.diff(edges) > narrow])
    kept[-1] = True
    return np.asarray(edges[kept])


def _varying(slope: Floats, curvature: Floats, price: Floats, some: slice) -> Floats:
    """What of the cost varies with the price, on some pieces at one price each."""
    at = price[some]
    return np.asarray((slope[some] + 0.5 * curvature[some] * at) * at)


def _members_cost(
    case: Case, supply: Supply, members: PoolMembers, trade_kw: Floats, flow_kw: Floats
) -> Floats:
    """What resources and the utility cost the members of each LAM, ``(M,)`` [$/h]."""
    own = case.resources.cost(disaggregate(supply, flow_kw))
    by_member = np.bincount(case.resources.owner, own, minlength=flow_kw.size)
    return members.sums(by_member + members.tariff.bill(flow_kw - trade_kw))
