"""The wide-area market as a closed pool of shared energy, with charges for what flows over the feeder.

Shared energy balances among the LAMs at one price. What flows, traded with the utility or shared, pays a
charge for losses and for limits that bind, so that the whole market is one convex program (market.md, (7.5)).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from market.errors import NotConverged
from market.model.arrays import Floats
from market.model.case import Grid, Network
from market.model.curves import Curves, respond
from market.model.dlmp import DlmpParts, dlmp_parts
from market.solver.damped_answers import Damping
from market.solver.elastic import Limits
from market.solver.free_pool import FreePool
from market.solver.loss_price import at_loss_price
from market.solver.pool_answers import PoolAnswers
from market.solver.pool_limits import LimitedPool, PoolPoint
from market.solver.pool_members import Divided, PoolMembers
from market.solver.wam import LimitPrices, WamClearing, clear_elastic, clear_wam

DAMPING = 0.1
"""Rise of a LAM's loss factor over its whole range of flows, around those of the clearing before."""


@dataclass(frozen=True)
class PoolClearing:
    """Clearing of the pool of some members, and the price of the head's limit."""

    wam: WamClearing
    members: PoolMembers
    head_price: float

    @property
    def local(self) -> Divided:
        """What the clearing leaves to the members of its LAMs."""
        wam, members = self.wam, self.members
        charged = members.charged(wam.charge)
        return charged.at(wam.price + members.lam_slope * wam.net_kw, wam.flow_kw)


def clear_pool(
    members: PoolMembers,
    network: Network | None,
    grid: Grid,
    balance: Floats,
    offset_kw: float,
    start: LimitPrices | None = None,
    *,
    is_elastic: bool = False,
    around_kw: Floats | None = None,
) -> PoolClearing:
    """Equilibrium of the closed pool over the feeder.

    Parameters
    ----------
    members
        Members of the M LAMs.
    network, grid, balance, offset_kw, start
        As for `market.solver.wam.clear_wam`, over what flows to the LAMs.
    is_elastic
        Whether limits give way at a price, as in `market.solver.wam.clear_elastic`.
    around_kw
        Flows of the last round, ``(M,)`` [kW], around which limits damp what charges for losses make of
        flows (market.md, (7.6a)); without them losses are linear.

    Returns
    -------
    PoolClearing

    Raises
    ------
    Infeasible, NotConverged
        As `market.solver.wam.clear_wam`.
    """
    lams = members.lams
    network = network or Network(np.zeros((0, lams)), np.zeros(0), np.zeros(0), np.zeros(0))
    balance = np.asarray(balance, dtype=np.float64)
    pool = _Pool(members, network, balance, offset_kw, start, is_elastic=is_elastic, around_kw=around_kw)
    return at_loss_price(
        grid,
        pool.clear,
        lambda found: found.wam.grid_kw,
        lambda found: found.head_price,
        near_kw=pool.near_kw(grid),
        has_losses=pool.has_losses,
    )


def pool_parts(
    network: Network,
    balance: Floats,
    pool_price: float,
    loss_price: float,
    head_price: float,
    row_dual: Floats,
) -> DlmpParts:
    """Locational prices of a pool by cause (market.md, (7.6)).

    Parameters
    ----------
    network, balance, row_dual
        As `market.model.dlmp.dlmp_parts` has them.
    pool_price
        Price of shared energy [$/kWh].
    loss_price, head_price
        What losses cost, and the price of the head's limit [$/kWh].
    """
    parts = dlmp_parts(network, balance, loss_price + head_price, row_dual)
    return replace(parts, energy=np.full(balance.size, pool_price + head_price))


class _Pool:
    """The pool over one feeder, at any price of losses; later clearings begin where the last one ended."""

    def __init__(
        self,
        members: PoolMembers,
        network: Network,
        balance: Floats,
        offset_kw: float,
        start: LimitPrices | None,
        *,
        is_elastic: bool,
        around_kw: Floats | None,
    ) -> None:
        self._is_elastic, self._around_kw = is_elastic, around_kw
        self.members, self.network, self.start = members, network, start
        self.balance, self.offset_kw = balance, offset_kw
        self._near: tuple[LimitPrices, Floats, float] | None = None
        self._last: tuple[float, Grid, PoolClearing] | None = None
        self._exact = PoolAnswers(members, members.supply, np.zeros(members.lams))
        self._free_pool = FreePool(members, self._exact)

    @property
    def has_losses(self) -> bool:
        return bool((self.balance != 1.0).any())

    def near_kw(self, grid: Grid) -> float:
        """What the power at the head may come to [kW]; it saves a clearing at another price of losses."""
        if not self.has_losses:
            return 0.0
        supply, tariff = self.members.supply, self.members.tariff
        alone_kw = float(respond(supply, np.full(len(supply), tariff.retail)).sum())
        if alone_kw < 0.0:
            alone_kw = min(float(respond(supply, np.full(len(supply), tariff.feed_in)).sum()), 0.0)
        alone_kw += self.offset_kw
        self._free(grid.import_price if alone_kw >= 0 else grid.export_price, grid)
        return alone_kw if self._near is None else self._near[2]

    def clear(self, loss_price: float, grid: Grid) -> PoolClearing:
        """Equilibrium at a price of losses: without limits first, then with those that it would miss."""
        if self._last is not None and self._last[:2] == (loss_price, grid):
            return self._last[2]
        limits = self._limits(grid)
        is_free = self._near is None or not limits.scale.size
        if is_free and (free := self._free(loss_price, grid)) is not None:
            return free
        assert self._near is not None
        prices, member_kw, _ = self._near
        members, fixed, damping = self.members, (self.balance - 1.0) * loss_price, self._damping(loss_price)
        found = LimitedPool(members, limits, fixed, self._exact, self._is_elastic, damping).solve(
            prices.energy, limits.row_values(prices.row), member_kw
        )
        wam = self._outcome(found, limits, loss_price, damping)
        assert wam.limit_prices is not None
        self._near = wam.limit_prices, found.member_kw, wam.grid_kw
        return PoolClearing(wam, members, float(found.limit_price[0]))

    def _damping(self, loss_price: float) -> Damping | None:
        """How charges for losses rise at a price; ``None`` where they do not."""
        if self._around_kw is None or not self.has_losses:
            return None
        ends = self.members.flow_range
        span = ends.highest_kw - ends.lowest_kw
        rise = DAMPING * abs(loss_price)
        return Damping(np.divide(rise, span, out=np.zeros(span.size), where=span > 0.0), self._around_kw)

    def _limits(self, grid: Grid) -> Limits:
        return replace(self._of_members, grid=grid)

    @cached_property
    def _of_members(self) -> Limits:
        """Limits that members can come to, of any grid."""
        free = Grid(0.0, 0.0, np.inf, np.inf)
        return Limits.of(self.members.flow_range, self.network, free, self.balance, self.offset_kw)

    def _free(self, loss_price: float, grid: Grid) -> PoolClearing | None:
        """Equilibrium without limits, where it keeps them; otherwise what may be near is found."""
        members, fixed, limits = self.members, (self.balance - 1.0) * loss_price, self._limits(grid)
        # Where the pool as a whole comes to a row, the members most often do: none are asked without it.
        if limits.scale.size and (near := self._without_utility(fixed, limits))[0].row:
            self._near = near
            return None
        free = self._without_limits(fixed, limits.tolerance_kw)
        if float(limits.beyond_kw(free.flow_kw).max()) > limits.tolerance_kw:
            self._near = self._near or self._without_utility(fixed, limits)
            return None
        point = replace(free, limit_price=np.zeros(limits.base.size))
        wam = self._outcome(point, limits, loss_price)
        assert wam.limit_prices is not None
        self._near = wam.limit_prices, free.member_kw, wam.grid_kw
        found = PoolClearing(wam, members, 0.0)
        self._last = loss_price, grid, found
        return found

    def _without_utility(self, fixed: Floats, limits: Limits) -> tuple[LimitPrices, Floats, float]:
        """Prices, members' flows and the head's power if the utility traded in the pool itself.

        They are near, and soon found. Rows that no flow can keep show here, before all members are asked.
        """
        members, tariff = self.members, self.members.tariff
        curves = members.inner_total
        over = Curves(curves.price - np.repeat(fixed, np.diff(curves.start)), curves.kw, curves.start)
        whole = Grid(tariff.retail, tariff.feed_in, limits.power_kw, limits.power_kw)
        try:
            clear = clear_elastic if self._is_elastic else clear_wam
            found = clear(over, self.network, whole, np.ones(members.lams), 0.0, self.start)
        except NotConverged:
            near, head_kw = LimitPrices(tariff.middle, {}), 0.0
        else:
            assert found.limit_prices is not None
            near, head_kw = found.limit_prices, self.offset_kw + float(self.balance @ found.net_kw)
        charge = fixed + limits.row_values(near.row) @ limits.A[1:]
        pool_price = np.full(members.lams, near.energy)
        prices = np.concatenate([pool_price + charge, pool_price, charge])
        return near, self._exact.least_flows(prices), head_kw

    def _without_limits(self, fixed: Floats, tolerance_kw: float) -> PoolPoint:
        """The pool alone, at charges for losses ``(M,)`` [$/kWh]."""
        members, tariff = self.members, self.members.tariff
        free = self._free_pool.at(fixed, tolerance_kw)
        if free is not None:
            net_kw, member_kw, none = free.net_kw, free.member_kw, np.zeros(0)
            flow_kw = members.sums(member_kw)
            return PoolPoint(net_kw, flow_kw, member_kw, free.price, none, free.iterations, free.residual_kw)
        # A range of prices balances it, of which the one nearest the middle of the utility's counts.
        closed = Grid(tariff.retail, tariff.feed_in, 0.0, 0.0)
        curves = members.charged(fixed).over_pool_price()
        shared = clear_wam(curves, None, closed, np.ones(members.lams), 0.0)
        own_price = shared.energy_price + fixed + members.lam_slope * shared.net_kw
        member_kw = members.charged(fixed).at(own_price).flow_kw
        return PoolPoint(
            shared.net_kw,
            members.sums(member_kw),
            member_kw,
            shared.energy_price,
            np.zeros(0),
            shared.iterations,
            0.0,
        )

    def _outcome(
        self, found: PoolPoint, limits: Limits, loss_price: float, damping: Damping | None = None
    ) -> WamClearing:
        """Locational prices by cause, and what the feeder carries."""
        network, head = self.network, float(found.limit_price[0])
        eta = np.zeros(network.base.size)
        eta[limits.relevant] = found.limit_price[1:] / limits.scale
        grid_kw = self.offset_kw + float(self.balance @ found.flow_kw)
        if not self.has_losses:
            loss_price = limits.grid.marginal_price(grid_kw)
        balance = self.balance
        if damping is not None and loss_price + head:
            balance = balance + damping.rise(found.flow_kw) / (loss_price + head)
        parts = pool_parts(network, balance, found.pool_price, loss_price, head, eta)
        binding = {network.row_name(int(row)): float(eta[row]) for row in np.flatnonzero(eta)}
        return WamClearing(
            net_kw=found.net_kw,
            price=parts.price,
            parts=parts,
            energy_price=loss_price + head,
            grid_kw=grid_kw,
            row_value=network.base + network.matrix @ found.flow_kw,
            row_dual=eta,
            limit_prices=LimitPrices(found.pool_price, binding),
            iterations=found.iterations,
            residual_kw=found.residual_kw,
            flow_kw=found.flow_kw,
            charge=parts.price - found.pool_price,
            balance=balance if damping is not None else np.zeros(0),
        )
