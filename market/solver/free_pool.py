"""The closed pool where no limit of the feeder binds: one price, at which what members share balances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market.model.arrays import Floats
from market.solver.dual_function import EPS
from market.solver.pool_answers import PoolAnswers
from market.solver.pool_members import PoolMembers
from market.solver.root import Bracket

STEPS = 100
"""Bound on steps; halving alone comes to the last bit of a price in fewer."""

BESIDE = 1e-9
"""Part of the utility's prices by which prices are beside another, where answers must fall on either side."""


@dataclass(frozen=True)
class FreePoint:
    """The pool at the price of shared energy where it balances.

    Attributes
    ----------
    price
        That price [$/kWh].
    net_kw
        What LAMs buy of each other, ``(M,)`` [kW].
    member_kw
        What flows to each member, with the least trade of the utility, ``(n,)`` [kW].
    iterations
        Steps.
    residual_kw
        What is left over of shared energy before the last bits are put right [kW].
    """

    price: float
    net_kw: Floats
    member_kw: Floats
    iterations: int
    residual_kw: float


class FreePool:
    """Members of M LAMs that share energy without limits, at any charges.

    What they share falls with its price, without jumps; at the utility's lower price nobody sells, at the
    higher one nobody buys. Newton's method in this bracket asks each member a few times, and sums no curves.

    Parameters
    ----------
    members
        The members.
    exact
        What they answer, with no charge that does not change.
    """

    def __init__(self, members: PoolMembers, exact: PoolAnswers) -> None:
        self._members, self._answers = members, exact
        self._price = members.tariff.middle

    def at(self, charge: Floats, tolerance_kw: float) -> FreePoint | None:
        """The pool at charges ``(M,)`` [$/kWh]; ``None`` where a range of prices balances it.

        Parameters
        ----------
        charge
            Charges for what flows.
        tolerance_kw
            What may be left over.
        """
        tariff = self._members.tariff
        bracket = Bracket(tariff.feed_in, -np.inf, tariff.retail, np.inf)
        price = min(max(self._price, bracket.low), bracket.high)
        for iteration in range(STEPS):
            net_kw, slope = self._net(price, charge)
            over_kw, steepness = float(net_kw.sum()), float(slope.sum())
            if abs(over_kw) <= tolerance_kw + 4.0 * EPS * abs(price) * steepness:
                break
            # What is left over falls with the price: a bracket is for what rises.
            if bracket.low < price < bracket.high:
                bracket = bracket.narrowed(price, -over_kw)
            newton = price + over_kw / steepness if steepness > 0.0 else np.nan
            is_inside = bracket.low <= newton <= bracket.high
            moved = newton if is_inside and iteration % 4 < 3 else bracket.inside
            if moved is None or moved == price:
                break
            price = moved
        if not steepness > 0.0 or not self._falls_beside(price, charge):
            return None
        self._price = price
        member_kw = self._answers.least_flows(self._prices(price, charge))
        net_kw = net_kw - over_kw * slope / steepness
        return FreePoint(price, net_kw, member_kw, iteration, abs(over_kw))

    def _falls_beside(self, price: float, charge: Floats) -> bool:
        """Whether what is shared falls on either side of a price, so that no other balances the pool."""
        tariff = self._members.tariff
        beside = BESIDE * (abs(tariff.retail) + abs(tariff.feed_in))
        return all(float(self._net(at, charge)[1].sum()) > 0.0 for at in (price - beside, price + beside))

    def _net(self, price: float, charge: Floats) -> tuple[Floats, Floats]:
        """Net purchases at a price of shared energy, and how they fall, ``(M,)`` each."""
        kw, slope = self._answers.at(self._prices(price, charge))
        lams = charge.size
        return kw[:lams] + kw[lams : 2 * lams], slope[:lams] + slope[lams : 2 * lams]

    def _prices(self, price: float, charge: Floats) -> Floats:
        """Prices of each LAM's three variables, ``(3 M,)``."""
        return np.concatenate([price + charge, np.full(charge.size, price), charge])
