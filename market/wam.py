"""The wide-area market: LAMs' net purchases and locational prices over the feeder's linear model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from market.case import Grid, Network
from market.curves import Bools, Curves, Floats, price_range, shift
from market.dual import DualPoint, solve_dual
from market.errors import NotConverged
from market.limits import MISSED_KW, explain, row_scale
from market.staircase import Staircases

__all__ = ["Grid", "Network", "WamOutcome", "clear_wam", "dlmp_parts"]

STEEPEST = 1e9
"""Slopes beyond this [kW per $/kWh], jumps included, are cleared by proximal steps."""

PROXIMAL = 1e-6
"""Price slope that a proximal step adds around the last quantities [$/kWh per kW]."""

PATIENCE = 300
"""Newton steps after which no further proximal step is begun."""

ELASTIC = 1e3
"""Price at which a limit gives way, in terms of the largest price of all curves."""

STIFF = 1e6
"""The same where limits can be met but a price must rise far beyond the curves' to tell."""

CONVERGED_KW = 5e-5
"""Largest residual of an outcome; only slopes and prices of extreme size leave more than ``MISSED_KW``."""


@dataclass(frozen=True)
class WamOutcome:
    """Clearing of the wide-area market for M LAMs and r network rows.

    Attributes
    ----------
    net_kw
        Net purchases Q_i, ``(M,)`` [kW].
    price
        Locational prices mu_i, the sum of the next four, ``(M,)`` [$/kWh].
    energy, loss, voltage, congestion
        Parts of the price by cause, ``(M,)`` each [$/kWh].
    energy_price
        Price pi at the feeder head [$/kWh].
    grid_kw
        Power drawn from the grid P0 [kW].
    row_value, row_dual
        Rows' values [row units] and prices eta_up - eta_low [$/h per row unit], ``(r,)`` each.
    iterations
        Newton steps.
    residual_kw
        Largest miss of the balance or of a row, rows scaled to their most sensitive LAM [kW].
    inverter_kvar, inverter_price
        Reactive set-points of the LAMs' inverters, + absorbs, and their values, ``(M,)`` [kvar, $/kvarh];
        empty where inverters take no part (`market.reactive`).
    relaxed
        By how much limits that no trade can keep gave way, ``{row or "head": + upper, - lower}`` [row units,
        kW]; empty where all can be kept (`market.relaxation`).
    """

    net_kw: Floats
    price: Floats
    energy: Floats
    loss: Floats
    voltage: Floats
    congestion: Floats
    energy_price: float
    grid_kw: float
    row_value: Floats
    row_dual: Floats
    iterations: int
    residual_kw: float
    inverter_kvar: Floats = field(default_factory=lambda: np.zeros(0))
    inverter_price: Floats = field(default_factory=lambda: np.zeros(0))
    relaxed: Mapping[str, float] = field(default_factory=dict)


def clear_wam(
    curves: Curves, network: Network | None, grid: Grid, balance: Floats, offset_kw: float
) -> WamOutcome:
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

    Returns
    -------
    WamOutcome

    Raises
    ------
    Infeasible
        The balance or a row cannot be met by any trade; names it and the amount.
    NotConverged
        The residual stayed above ``CONVERGED_KW``.
    """
    balance = np.asarray(balance, dtype=np.float64)
    network = network or Network(*(np.zeros((0, balance.size)), np.zeros(0), np.zeros(0), np.zeros(0)))
    scale, relevant = _relevant(curves, network)
    A, base, tolerance = _scaled(curves, network, balance, offset_kw, scale, relevant)
    largest = max(1.0, abs(grid.import_price), abs(grid.export_price), float(np.abs(curves.price).max()))
    stairs = _stairs(network, scale, relevant, grid, ELASTIC * largest)
    point = _solve(curves, A, base, stairs, grid, tolerance)
    missed = float(_missed(stairs, point).max())
    if missed > MISSED_KW:
        _check_feasible(curves, A, base, network, scale, relevant, grid, tolerance)
        stairs = _stairs(network, scale, relevant, grid, STIFF * largest)
        point = _solve(curves, A, base, stairs, grid, tolerance)
        missed = float(_missed(stairs, point).max())
    if max(missed, point.residual_kw) > CONVERGED_KW:
        raise NotConverged(point.iterations, max(missed, point.residual_kw))
    y = point.y.copy()
    y[0] = _central_price(curves, A, stairs, point, 0.5 * (grid.import_price + grid.export_price))
    eta = np.zeros(network.base.size)
    eta[relevant] = y[1:] / scale[relevant]
    return _outcome(point, network, balance, offset_kw, float(y[0]), eta, stairs)


def _scaled(
    curves: Curves, network: Network, balance: Floats, offset_kw: float, scale: Floats, relevant: Bools
) -> tuple[Floats, Floats, float]:
    """Limits over the LAMs with their values at zero, the head's first; and the residual to stop at [kW]."""
    A = np.concatenate([balance[None, :], network.matrix[relevant] / scale[relevant][:, None]])
    base = np.concatenate([[offset_kw], network.base[relevant] / scale[relevant]])
    reach = np.maximum(np.abs(curves.highest_kw), np.abs(curves.lowest_kw))
    return A, base, 1e-12 + 4e-15 * float(np.abs(A).max(axis=0) @ reach + np.abs(base).max())


def _relevant(curves: Curves, network: Network) -> tuple[Floats, Bools]:
    """Size of each row, and whether any admissible trade can bring it to a limit."""
    middle = 0.5 * (curves.highest_kw + curves.lowest_kw)
    half = 0.5 * (curves.highest_kw - curves.lowest_kw)
    centre = network.base + network.matrix @ middle
    span = np.abs(network.matrix) @ half
    relevant = (centre + span > network.upper) | (centre - span < network.lower)
    return row_scale(network), np.asarray(relevant)


def _stairs(network: Network, scale: Floats, relevant: Bools, grid: Grid, cap: float) -> Staircases:
    """The grid's staircase and the rows', all of them elastic at prices of plus and minus ``cap``."""
    lower = network.lower[relevant] / scale[relevant]
    upper = network.upper[relevant] / scale[relevant]
    ones = np.ones(lower.size)
    kink = np.stack([-cap * ones, 0 * ones, cap * ones, np.inf * ones], axis=1)
    level = np.stack([-np.inf * ones, lower, upper, np.inf * ones, np.inf * ones], axis=1)
    head_kink = [-cap, grid.export_price, grid.import_price, cap]
    head_level = [-np.inf, -grid.export_limit_kw, 0.0, grid.import_limit_kw, np.inf]
    return Staircases(np.concatenate([[head_kink], kink]), np.concatenate([[head_level], level]))


def _solve(
    curves: Curves, A: Floats, base: Floats, stairs: Staircases, grid: Grid, tolerance: float
) -> DualPoint:
    """Solve the dual; where curves jump, by proximal steps around the quantities until these stay."""
    y = np.zeros(base.size)
    y[0] = 0.5 * (grid.import_price + grid.export_price)
    if not _is_steep(curves):
        return solve_dual(curves, A, base, stairs, y, tolerance)
    centre = np.zeros(len(curves))
    iterations = 0
    for _ in range(50):
        point = solve_dual(shift(curves, PROXIMAL, 0.0, centre), A, base, stairs, y, tolerance)
        iterations += point.iterations
        moved = float(np.abs(point.kw - centre).max())
        y, centre = point.y, point.kw
        if moved <= 1e-9 * (1.0 + float(np.abs(centre).max())) or iterations >= PATIENCE:
            break
    return DualPoint(point.y, point.kw, point.value, point.residual_kw, iterations)


def _is_steep(curves: Curves) -> bool:
    """Whether any curve jumps, or falls as steeply as if it did."""
    beyond = np.diff(curves.kw) < -STEEPEST * np.diff(curves.price)
    beyond[curves.start[1:-1] - 1] = False
    return bool(beyond.any())


def _missed(stairs: Staircases, point: DualPoint) -> Floats:
    """How far each limit is missed, which takes a price at the elastic cap, ``(1 + r,)`` [kW]."""
    over = point.value - np.where(stairs.kink[:, 3] < np.inf, stairs.level[:, 3], stairs.level[:, 2])
    under = stairs.level[:, 1] - point.value
    return np.maximum(np.maximum(over, under), 0.0)


def _check_feasible(
    curves: Curves,
    A: Floats,
    base: Floats,
    network: Network,
    scale: Floats,
    relevant: Bools,
    grid: Grid,
    tolerance: float,
) -> None:
    """Refuse what no trade can meet."""
    point = _least_violation(curves, A, base, network, scale, relevant, grid, tolerance)
    refusal = explain(network, grid, point.kw, float(point.value[0]))
    if refusal is not None:
        raise refusal


def least_violation(
    curves: Curves, network: Network, grid: Grid, balance: Floats, offset_kw: float
) -> tuple[Floats, float]:
    """Net purchases ``(M,)`` and head power [kW] at which limits are missed least, whatever that costs.

    Rows count by their most sensitive LAM's power. Arguments as for `clear_wam`.
    """
    scale, relevant = _relevant(curves, network)
    A, base, tolerance = _scaled(curves, network, balance, offset_kw, scale, relevant)
    point = _least_violation(curves, A, base, network, scale, relevant, grid, tolerance)
    return point.kw, float(point.value[0])


def _least_violation(
    curves: Curves,
    A: Floats,
    base: Floats,
    network: Network,
    scale: Floats,
    relevant: Bools,
    grid: Grid,
    tolerance: float,
) -> DualPoint:
    """Least total violation within the LAMs' limits.

    Every LAM's whole range is spread over prices from -1 to 1, so that no LAM's scale drowns another's.
    """
    spread = np.tile([-1.0, 1.0], len(curves))
    ends = np.stack([curves.highest_kw, curves.lowest_kw], axis=1).ravel()
    free = Curves(spread, ends, 2 * np.arange(len(curves) + 1))
    indifferent = Grid(0.0, 0.0, grid.import_limit_kw, grid.export_limit_kw)
    stairs = _stairs(network, scale, relevant, indifferent, STIFF)
    return solve_dual(free, A, base, stairs, np.zeros(base.size), tolerance)


def _central_price(curves: Curves, A: Floats, stairs: Staircases, point: DualPoint, middle: float) -> float:
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
    if stairs.level[0, 1] == stairs.level[0, 3]:
        low_pi, high_pi = -np.inf, np.inf
    sensitive = weight != 0
    ends = np.stack([low - rows, high - rows])[:, sensitive] / weight[sensitive]
    low_pi = max(low_pi, float(ends.min(axis=0).max(initial=-np.inf)))
    high_pi = min(high_pi, float(ends.max(axis=0).min(initial=np.inf)))
    return min(max(middle, low_pi), high_pi) if high_pi - low_pi > 1e-12 else pi


def dlmp_parts(
    network: Network, balance: Floats, energy_price: float, row_dual: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """Locational prices by cause: energy, loss, voltage and congestion, ``(M,)`` each [$/kWh].

    Parameters
    ----------
    network
        The m rows.
    balance
        Head power per kW of each LAM's net purchase, w, ``(M,)``.
    energy_price, row_dual
        Price pi at the feeder head [$/kWh] and rows' prices eta_up - eta_low, ``(m,)``.
    """
    is_voltage = np.zeros(row_dual.size, dtype=bool) if network.voltage is None else network.voltage
    energy = np.full(balance.size, energy_price)
    loss = (balance - 1.0) * energy_price
    voltage = np.where(is_voltage, row_dual, 0.0) @ network.matrix
    congestion = np.where(is_voltage, 0.0, row_dual) @ network.matrix
    return energy, loss, voltage, congestion


def _outcome(
    point: DualPoint,
    network: Network,
    balance: Floats,
    offset_kw: float,
    pi: float,
    eta: Floats,
    stairs: Staircases,
) -> WamOutcome:
    """Put values on their limits where they are held there, and split the locational prices by cause."""
    energy, loss, voltage, congestion = dlmp_parts(network, balance, pi, eta)
    grid_kw = offset_kw + float(balance @ point.kw)
    # A balance held at a level is met to rounding: say the level, so that import excludes export.
    level = stairs.level[0, 1:4]
    near = int(np.argmin(np.abs(level - grid_kw)))
    if abs(level[near] - grid_kw) <= MISSED_KW * 1e-3:
        grid_kw = float(level[near])
    return WamOutcome(
        net_kw=point.kw,
        price=energy + loss + voltage + congestion,
        energy=energy,
        loss=loss,
        voltage=voltage,
        congestion=congestion,
        energy_price=pi,
        grid_kw=grid_kw,
        row_value=network.base + network.matrix @ point.kw,
        row_dual=eta,
        iterations=point.iterations,
        residual_kw=point.residual_kw,
    )
