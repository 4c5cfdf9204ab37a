"""What a LAM host knows of its members by their whole curves, and how it divides, under any bidding rule."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from market.model.arrays import Floats, Ints
from market.model.case import Case, Tariff
from market.model.curves import Curves, respond, shift, take
from market.solver.aggregation import aggregate
from market.solver.lam import clear_lams
from market.solver.pool_members import Divided, PoolMembers


class LamMembers(Protocol):
    """Members of a host's M LAMs, as they bid."""

    @property
    def told(self) -> tuple[Curves, Ints]:
        """Curves that the LAMs bid into the WAM, and how many of them each LAM has, ``(M,)``."""
        ...

    def range_kw(self, charge: Floats) -> tuple[Floats, Floats]:
        """Least and most that the LAMs can buy of others at charges ``(M,)``, ``(M,)`` each [kW]."""
        ...

    def divide(self, net_kw: Floats, wam_price: Floats, charge: Floats, flow_kw: Floats) -> Divided:
        """Divide net purchases among members at locational prices, charges and flows, ``(M,)`` each."""
        ...

    def alone(self) -> tuple[Floats, Divided]:
        """What the LAMs buy of the utility where the WAM is silent ``(M,)`` [kW], and their members' part."""
        ...


def lam_members(case: Case, lams: Ints, curves: Curves, group: Ints, tariff: Tariff) -> LamMembers:
    """Members of some LAMs by their bids.

    Parameters
    ----------
    case
        The run's case, for its rule.
    lams
        Indices of the LAMs, ``(M,)``.
    curves, group
        Members' bids over their local price, n curves, and the LAM of each, ``(n,)`` in 0..M-1.
    tariff
        The utility's.
    """
    if case.rule.has_utility:
        return _PoolMembers(members_as_bid(case, lams, curves, group, tariff), curves)
    return _GridMembers(case, lams, curves, group, tariff)


def members_as_bid(case: Case, lams: Ints, curves: Curves, group: Ints, tariff: Tariff) -> PoolMembers:
    """Members of a pool; what they bid is their flow over the local price, which their slope has lowered."""
    slope = case.slope[lams]
    return PoolMembers(shift(curves, -slope[group]), group, slope, case.wam_slope[lams], tariff)


class _GridMembers:
    """`LamMembers` where the grid stands behind the WAM: one curve for each LAM tells all."""

    def __init__(self, case: Case, lams: Ints, curves: Curves, group: Ints, tariff: Tariff) -> None:
        self._curves, self._group, self._tariff = curves, group, tariff
        self._total = aggregate(curves, group, lams.size)
        self._slope, self._fee = case.wam_slope[lams], case.wam_fee[lams]

    @property
    def told(self) -> tuple[Curves, Ints]:
        return self._total, np.ones(len(self._total), dtype=np.intp)

    def range_kw(self, charge: Floats) -> tuple[Floats, Floats]:  # noqa: ARG002 - nothing is charged here
        return self._total.lowest_kw, self._total.highest_kw

    def divide(
        self,
        net_kw: Floats,
        wam_price: Floats,
        charge: Floats,  # noqa: ARG002
        flow_kw: Floats,  # noqa: ARG002
    ) -> Divided:
        # The shadow price that the WAM's price stands for: mu + Delta sign(Q) + K Q.
        near = wam_price + self._fee * np.sign(net_kw) + self._slope * net_kw
        return self._divided(net_kw, near)

    def alone(self) -> tuple[Floats, Divided]:
        tariff = self._tariff
        middle = np.full(len(self._total), tariff.middle)
        net_kw = respond(shift(self._total, 0.0, tariff.half_spread), middle)
        return net_kw, self._divided(net_kw, np.where(net_kw > 0, tariff.retail, tariff.feed_in))

    def _divided(self, net_kw: Floats, near: Floats) -> Divided:
        found = clear_lams(self._curves, self._group, self._total, net_kw, near)
        return Divided(found.price, found.trade_kw, found.trade_kw)


class _PoolMembers:
    """`LamMembers` of a pool: the WAM gets every member's curve, for limits part them."""

    def __init__(self, members: PoolMembers, curves: Curves) -> None:
        self._members, self._curves = members, curves

    @property
    def told(self) -> tuple[Curves, Ints]:
        order = np.argsort(self._members.lam_of, kind="stable")
        count = np.bincount(self._members.lam_of, minlength=self._members.lams)
        return take(self._curves, order), count

    def range_kw(self, charge: Floats) -> tuple[Floats, Floats]:
        total = self._members.charged(charge).total
        return total.lowest_kw, total.highest_kw

    def divide(self, net_kw: Floats, wam_price: Floats, charge: Floats, flow_kw: Floats) -> Divided:
        near = wam_price + self._members.lam_slope * net_kw
        return self._members.charged(charge).divide(net_kw, near, flow_kw)

    def alone(self) -> tuple[Floats, Divided]:
        nothing = np.zeros(self._members.lams)
        middle = nothing + self._members.tariff.middle
        return nothing, self._members.charged(nothing).divide(nothing, middle)
