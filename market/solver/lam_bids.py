"""What LAMs bid into the WAM with whole curves, and what the WAM makes of it, under any bidding rule."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from market.model.arrays import Floats, Ints
from market.model.case import Case, Grid, Network, Tariff
from market.model.curves import Curves, join, respond, shift, take
from market.model.inverse import price_range
from market.solver.lam_members import members_as_bid
from market.solver.pool import clear_pool
from market.solver.pool_members import PoolMembers
from market.solver.reactive import Inverters, clear_with_inverters
from market.solver.relaxation import clear_or_relax, relax
from market.solver.wam import LimitPrices, WamClearing

ROOM = 1e-3
"""Part by which limits of a pool give way further than they must: flows have to come to rest within them."""


class LamBids(Protocol):
    """Bids of the WAM's M LAMs."""

    @property
    def lowest_kw(self) -> Floats:
        """Least that can flow to each LAM, ``(M,)`` [kW]."""
        ...

    @property
    def highest_kw(self) -> Floats:
        """Most that can flow to each LAM, ``(M,)`` [kW]."""
        ...

    def without(self, lams: list[int]) -> LamBids:
        """The bids where some LAMs can trade nothing."""
        ...

    def flows(self, price: Floats) -> Floats:
        """What flows to the LAMs at locational prices ``(M,)``, ``(M,)`` [kW]."""
        ...

    def held(self, price: Floats, flow_kw: Floats) -> tuple[Floats, Floats]:
        """Net purchases and prices as near to ``price`` as flows allow, where no clearing stands."""
        ...

    def clear(
        self,
        network: Network,
        grid: Grid,
        balance: Floats,
        offset_kw: float,
        inverters: Inverters | None,
        start: LimitPrices | None,
        around_kw: Floats | None = None,
    ) -> WamClearing:
        """Clear over a linear model; limits that no bid can keep give way, and are named in ``relaxed``.

        ``around_kw`` are the flows that the last clearing of the interval came to, if there was one.

        Raises
        ------
        NotConverged
            As `market.solver.wam.clear_wam`.
        """
        ...


def lam_bids(case: Case, curves: Curves, group: Ints, silent_kw: dict[int, float], tariff: Tariff) -> LamBids:
    """Bids of all LAMs by the curves that they told.

    Parameters
    ----------
    case
        The run's case, for its rule.
    curves, group
        Curves as `LamMembers.told` of `market.solver.lam_members`, and the LAM of each.
    silent_kw
        What is taken to flow to LAMs that are silent [kW].
    tariff
        The utility's.
    """
    lams = np.array(list(silent_kw), dtype=np.intp)
    if case.rule.has_utility:
        fixed_kw = np.zeros(len(case.lam_id))
        fixed_kw[lams] = list(silent_kw.values())
        return PoolBids(members_as_bid(case, np.arange(fixed_kw.size), curves, group, tariff), fixed_kw)
    silent = Curves(np.zeros(lams.size), np.array(list(silent_kw.values())), np.arange(lams.size + 1))
    order = np.argsort(np.concatenate([group, lams]), kind="stable")
    return GridBids(shift(take(join([curves, silent]), order), case.wam_slope, case.wam_fee))


@dataclass(frozen=True)
class GridBids:
    """`LamBids` where the grid stands behind the WAM.

    Attributes
    ----------
    curves
        Net purchase of each LAM over its locational price, M curves.
    """

    curves: Curves

    @property
    def lowest_kw(self) -> Floats:
        """See `LamBids`."""
        return self.curves.lowest_kw

    @property
    def highest_kw(self) -> Floats:
        """See `LamBids`."""
        return self.curves.highest_kw

    def without(self, lams: list[int]) -> GridBids:
        """See `LamBids`."""
        if not lams:
            return self
        zero = Curves(np.zeros(1), np.zeros(1), np.array([0, 1]))
        source = np.arange(len(self.curves))
        source[lams] = len(self.curves)
        return GridBids(take(join([self.curves, zero]), source))

    def flows(self, price: Floats) -> Floats:
        """See `LamBids`."""
        return respond(self.curves, price)

    def held(self, price: Floats, flow_kw: Floats) -> tuple[Floats, Floats]:
        """See `LamBids`."""
        return flow_kw, np.clip(price, *price_range(self.curves, flow_kw))

    def clear(
        self,
        network: Network,
        grid: Grid,
        balance: Floats,
        offset_kw: float,
        inverters: Inverters | None,
        start: LimitPrices | None,
        around_kw: Floats | None = None,  # noqa: ARG002 - fees and slopes hold trades here
    ) -> WamClearing:
        """See `LamBids`."""
        if inverters is None:
            return clear_or_relax(self.curves, network, grid, balance, offset_kw, start)
        return clear_with_inverters(self.curves, network, grid, balance, offset_kw, inverters, start)


@dataclass(frozen=True)
class PoolBids:
    """`LamBids` of a pool of shared energy.

    Attributes
    ----------
    members
        Members of all LAMs that bid.
    fixed_kw
        What flows besides to each LAM, whatever is cleared, ``(M,)`` [kW].
    """

    members: PoolMembers
    fixed_kw: Floats

    @property
    def lowest_kw(self) -> Floats:
        """See `LamBids`."""
        return self.members.flow_range.lowest_kw + self.fixed_kw

    @property
    def highest_kw(self) -> Floats:
        """See `LamBids`."""
        return self.members.flow_range.highest_kw + self.fixed_kw

    def without(self, lams: list[int]) -> PoolBids:
        """See `LamBids`."""
        if not lams:
            return self
        supply, off = self.members.supply, np.isin(self.members.lam_of, lams)
        kw = np.where(np.repeat(off, np.diff(supply.start)), 0.0, supply.kw)
        members = replace(self.members, supply=replace(supply, kw=kw))
        return PoolBids(members, np.where(np.isin(np.arange(self.fixed_kw.size), lams), 0.0, self.fixed_kw))

    def flows(self, price: Floats) -> Floats:  # noqa: ARG002 - without a clearing LAMs share nothing
        """See `LamBids`."""
        nothing = np.zeros(self.members.lams)
        alone = self.members.charged(nothing).divide(nothing, nothing + self.members.tariff.middle)
        return self.fixed_kw + self.members.sums(alone.flow_kw)

    def held(self, price: Floats, flow_kw: Floats) -> tuple[Floats, Floats]:  # noqa: ARG002
        """See `LamBids`: nothing is shared between LAMs, and each finds its own price."""
        return np.zeros(price.size), price

    def clear(
        self,
        network: Network,
        grid: Grid,
        balance: Floats,
        offset_kw: float,
        inverters: Inverters | None,
        start: LimitPrices | None,
        around_kw: Floats | None = None,
    ) -> WamClearing:
        """See `LamBids`; nobody sets inverters here."""
        assert inverters is None
        fixed = self.fixed_kw
        network = replace(network, base=network.base + network.matrix @ fixed)
        offset_kw += float(balance @ fixed)

        def clear(network: Network, grid: Grid, start: LimitPrices | None) -> WamClearing:
            return clear_pool(
                self.members,
                network,
                grid,
                balance,
                offset_kw,
                start,
                is_elastic=True,
                around_kw=None if around_kw is None else around_kw - fixed,
            ).wam

        found = relax(clear, network, grid, start, room=ROOM)
        return replace(found, flow_kw=found.flow_kw + fixed)
