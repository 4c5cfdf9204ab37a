"""The wide-area market: LAMs' net purchases and locational prices over the feeder's linear model."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from market.errors import NotConverged
from market.model.arrays import Floats
from market.model.case import Grid, Network
from market.model.curves import Curves, part, shift
from market.model.dlmp import DlmpParts, dlmp_parts
from market.model.inverse import price_range
from market.model.limits import MISSED_KW
from market.solver.aggregation import borders
from market.solver.dual import NEAR_ITERATIONS, DualPoint, solve_dual
from market.solver.dual_function import CurveAnswers
from market.solver.elastic import ELASTIC, STIFF, Limits, gives_way, missed_kw
from market.solver.staircase import Staircases

NARROW = 1e-9
"""A curve steep enough to fall by all its power within this part of a price counts as one that jumps."""

PROXIMAL = 1e-6
"""Part of the price by which a proximal step slopes a LAM's whole range around its last quantity."""

AT_ONCE = 1 << 17
"""Vertices that are looked through at once."""

PATIENCE = 300
"""Newton steps after which no further proximal step is begun."""

CONVERGED_KW = 5e-5
"""Largest residual of an outcome; only slopes and prices of extreme size leave more than ``MISSED_KW``."""

UNRESOLVED_KW = 5e-3
"""A row that cannot tell apart as much power as this is refused; finer ones often do not matter."""


@dataclass(frozen=True)
class LimitPrices:
    """Prices of limits that bind: of energy at the feeder head [$/kWh], of rows by name [$/h per row unit].

    A clearing that starts from those of one like it takes fewer steps.
    """

    energy: float
    row: Mapping[str, float]


@dataclass(frozen=True)
class WamClearing:
    """Clearing of the wide-area market for M LAMs and r network rows.

    Attributes
    ----------
    net_kw
        Net purchases Q_i, ``(M,)`` [kW].
    price
        Locational prices mu_i, the sum of their parts, ``(M,)`` [$/kWh].
    parts
        Parts of the prices by cause.
    energy_price
        Price pi at the feeder head [$/kWh].
    grid_kw
        Power drawn from the grid P0 [kW].
    flow_kw
        What flows to the LAMs: their net purchases and what their members buy of the utility, ``(M,)`` [kW].
    charge
        Part of the price that is a charge for what flows, ``(M,)`` [$/kWh]; zero where the grid sells.
    row_value, row_dual
        Rows' values [row units] and prices eta_up - eta_low [$/h per row unit], ``(r,)`` each.
    iterations
        Newton steps.
    residual_kw
        Largest miss of the balance or of a row, rows scaled to their most sensitive LAM [kW].
    inverter_kvar, inverter_price
        Reactive set-points of the LAMs' inverters, + absorbs, and their values, ``(M,)`` [kvar, $/kvarh];
        empty where inverters take no part (`market.solver.reactive`).
    relaxed
        By how much limits that no trade can keep gave way, ``{row or "head": + upper, - lower}`` [row units,
        kW]; empty where all can be kept (`market.solver.relaxation`).
    limit_prices
        Prices of the limits that bind, from which the next clearing may start.
    balance
        Head power per kW of each LAM's flow at what was cleared, ``(M,)``; empty where it is the model's.
    """

    net_kw: Floats
    price: Floats
    parts: DlmpParts
    energy_price: float
    grid_kw: float
    row_value: Floats
    row_dual: Floats
    iterations: int
    residual_kw: float
    flow_kw: Floats
    charge: Floats
    inverter_kvar: Floats = field(default_factory=lambda: np.zeros(0))
    inverter_price: Floats = field(default_factory=lambda: np.zeros(0))
    relaxed: Mapping[str, float] = field(default_factory=dict)
    limit_prices: LimitPrices | None = None
    balance: Floats = field(default_factory=lambda: np.zeros(0))

    @property
    def pool_price(self) -> float:
        """Price of shared energy where members have a utility: what is no charge [$/kWh]."""
        return float(self.price[0] - self.charge[0])


def clear_wam(
    curves: Curves,
    network: Network | None,
    grid: Grid,
    balance: Floats,
    offset_kw: float,
    start: LimitPrices | None = None,
) -> WamClearing:
    """Equilibrium of the wide-area market (the convex program over all LAMs, with the network's rows).

    Finds pi and eta such that the LAMs' answers to ``mu_i = w_i pi + sum_r R_ri eta_r`` meet the balance
    ``P0 = offset + w'Q`` with the grid at its prices and every row with its complementary price.

    Parameters
    ----------
    curves
        Net purchase of each LAM over its locational price mu_i, M curves: the aggregate of its members after
        ``shift`` by the conjectured slope K and the fee Delta_i.
    network
        Rows to respect, or None.
    grid
        Prices and limits at the feeder head.
    balance
        Head power per kW of each LAM's net purchase, w, ``(M,)``.
    offset_kw
        Head power at Q = 0 [kW].
    start
        Prices near the solution, such as those of the last round; they save steps and change nothing else.

    Returns
    -------
    WamClearing

    Raises
    ------
    Infeasible
        The balance or a row cannot be met by any trade; names it and the amount.
    NotConverged
        The residual stayed above ``CONVERGED_KW``.
    """
    limits = _limits(curves, network, grid, balance, offset_kw)
    largest = limits.largest_price(curves)
    stairs = limits.stairs(ELASTIC * largest)
    point = _solve(curves, limits, stairs, start)
    if gives_way(stairs, point.y):
        limits = limits.kept(curves)
        stairs = limits.stairs(STIFF * largest)
        point = _solve(curves, limits, stairs, None)
    return _outcome(point, curves, limits, stairs, grid, missed_kw(stairs, point.value))


def clear_elastic(
    curves: Curves,
    network: Network,
    grid: Grid,
    balance: Floats,
    offset_kw: float,
    start: LimitPrices | None = None,
) -> WamClearing:
    """`clear_wam` with limits that give way where they would cost more than a price, so never infeasible.

    That price is ``ELASTIC`` times the largest of all curves, for a kW of a row's most sensitive LAM.
    """
    limits = _limits(curves, network, grid, balance, offset_kw)
    stairs = limits.stairs(ELASTIC * limits.largest_price(curves))
    return _outcome(_solve(curves, limits, stairs, start), curves, limits, stairs, grid, 0.0)


def _limits(curves: Curves, network: Network | None, grid: Grid, balance: Floats, offset_kw: float) -> Limits:
    balance = np.asarray(balance, dtype=np.float64)
    network = network or Network(*(np.zeros((0, balance.size)), np.zeros(0), np.zeros(0), np.zeros(0)))
    limits = Limits.of(curves, network, grid, balance, offset_kw)
    if because := limits.unresolved(UNRESOLVED_KW):
        raise NotConverged(0, limits.tolerance_kw, because)
    return limits


def _solve(curves: Curves, limits: Limits, stairs: Staircases, prices: LimitPrices | None) -> DualPoint:
    """Solve the dual from prices, or from none where these lead nowhere."""
    y = np.zeros(limits.base.size)
    if prices is not None:
        y[0], y[1:] = prices.energy, limits.row_values(prices.row)
        point = _solve_at(y, curves, limits, stairs, near=True)
        if point.residual_kw <= MISSED_KW:
            return point
    y[0], y[1:] = 0.5 * (limits.grid.import_price + limits.grid.export_price), 0.0
    return _solve_at(y, curves, limits, stairs, near=False)


def _solve_at(y: Floats, curves: Curves, limits: Limits, stairs: Staircases, *, near: bool) -> DualPoint:
    """Solve the dual: at once, or by proximal steps where curves are steep."""
    around = max(abs(limits.grid.import_price), abs(limits.grid.export_price))
    start = DualPoint(y, np.zeros(len(curves)), limits.base, np.inf, 0)
    if not _is_steep(curves, around):
        start = solve_dual(
            CurveAnswers(curves), limits.A, limits.base, stairs, y, limits.tolerance_kw, near=near
        )
        if start.residual_kw <= MISSED_KW:
            return start
    price = around or float(np.median(np.abs(curves.price))) or 1.0
    return _proximal(curves, limits, stairs, start, price, near=near)


def _proximal(
    curves: Curves, limits: Limits, stairs: Staircases, start: DualPoint, price: float, *, near: bool
) -> DualPoint:
    """Solve the dual by proximal steps around the quantities until these stay, at prices of a size."""
    reach = np.maximum(np.abs(curves.highest_kw), np.abs(curves.lowest_kw))
    point, patience = start, start.iterations + (NEAR_ITERATIONS if near else PATIENCE)
    for _ in range(50):
        # The last bits of a price must not move much of the power.
        size = np.maximum(np.abs(point.y) @ np.abs(limits.A), price)
        sloped = shift(curves, PROXIMAL * size / np.where(reach > 0, reach, 1.0), 0.0, point.kw)
        last = point
        point = solve_dual(
            CurveAnswers(sloped), limits.A, limits.base, stairs, last.y, limits.tolerance_kw, near=near
        )
        point = replace(point, iterations=last.iterations + point.iterations)
        moved = float(np.abs(point.kw - last.kw).max())
        if moved <= 1e-9 * (1.0 + float(np.abs(point.kw).max())) or point.iterations >= patience:
            break
    return point


def _is_steep(curves: Curves, around: float) -> bool:
    """Whether any curve jumps, or is as good as that among its own powers and prices ``around``."""
    return any(
        _has_steep(part(curves, begin, end), around)
        for begin, end in itertools.pairwise(borders(curves.start, AT_ONCE))
    )


def _has_steep(curves: Curves, around: float) -> bool:
    """`_is_steep` of some of the curves."""
    width = curves.price[1:] - curves.price[:-1]
    width[curves.start[1:-1] - 1] = np.inf
    # No power of a curve falls by more than twice its reach.
    largest = max(-float(curves.price.min()), float(curves.price.max()), around)
    at = np.flatnonzero(width <= 2.0 * NARROW * largest)
    curve = np.searchsorted(curves.start, at, side="right") - 1
    reach = np.maximum(np.abs(curves.highest_kw), np.abs(curves.lowest_kw))[curve]
    fall_kw = curves.kw[at] - curves.kw[at + 1]
    narrow = NARROW * np.maximum(np.abs(curves.price[at]), around) * fall_kw
    return bool(((fall_kw > 0) & (width[at] * reach <= narrow)).any())


def _central_price(curves: Curves, A: Floats, stairs: Staircases, point: DualPoint, grid: Grid) -> float:
    """The energy price nearest the middle of the grid's prices at which nothing else would change."""
    pi = float(point.y[0])
    rows = point.y[1:] @ A[1:]
    low, high = price_range(curves, point.kw)
    weight = A[0]
    at = int(stairs.below(point.y[:1])[0])
    if at != int(stairs.upto(point.y[:1])[0]):
        low_pi = high_pi = pi
        # On a riser the price is fixed, unless the power stands at one of its ends.
        if point.value[0] >= stairs.level[0, at + 1]:
            high_pi = float(stairs.kink[0, at + 1])
        if point.value[0] <= stairs.level[0, at]:
            low_pi = float(stairs.kink[0, at - 1])
    else:
        low_pi, high_pi = float(stairs.kink[0, at - 1]), float(stairs.kink[0, at])
    if grid.import_limit_kw == grid.export_limit_kw == 0.0:
        low_pi, high_pi = -np.inf, np.inf
    sensitive = weight != 0
    ends = np.stack([low - rows, high - rows])[:, sensitive] / weight[sensitive]
    low_pi = max(low_pi, float(ends.min(axis=0).max(initial=-np.inf)))
    high_pi = min(high_pi, float(ends.max(axis=0).min(initial=np.inf)))
    middle = 0.5 * (grid.import_price + grid.export_price)
    return min(max(middle, low_pi), high_pi) if high_pi - low_pi > 1e-12 else pi


def _outcome(
    point: DualPoint, curves: Curves, limits: Limits, stairs: Staircases, grid: Grid, missed_kw: float
) -> WamClearing:
    """The clearing that a solution of the dual stands for, its prices split by cause."""
    left_kw = max(missed_kw, point.residual_kw)
    if left_kw > CONVERGED_KW:
        raise NotConverged(point.iterations, left_kw)
    network, balance = limits.network, limits.A[0]
    pi = _central_price(curves, limits.A, stairs, point, grid)
    eta = np.zeros(network.base.size)
    eta[limits.relevant] = point.y[1:] / limits.scale
    grid_kw = float(limits.base[0]) + float(balance @ point.kw)
    near = stairs.level[0, np.argmin(np.abs(stairs.level[0] - grid_kw))]
    if abs(near - grid_kw) <= point.residual_kw + 4.0 * limits.tolerance_kw:
        # A balance held at a level is met to rounding: say the level, so that import excludes export.
        grid_kw = float(near)
    parts = dlmp_parts(network, balance, pi, eta)
    binding = {network.row_name(int(row)): float(eta[row]) for row in np.flatnonzero(eta)}
    return WamClearing(
        net_kw=point.kw,
        price=parts.price,
        parts=parts,
        energy_price=pi,
        grid_kw=grid_kw,
        row_value=network.base + network.matrix @ point.kw,
        row_dual=eta,
        limit_prices=LimitPrices(pi, binding),
        iterations=point.iterations,
        residual_kw=point.residual_kw,
        flow_kw=point.kw,
        charge=np.zeros(point.kw.size),
    )
