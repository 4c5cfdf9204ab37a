"""Proof that an outcome is the equilibrium, from the case and the outcome alone.

Nothing here knows how the outcome was found. Every party's best reply is bounded by bisection on its own
Lagrangian dual, whose value at any price is a lower bound of its cost, so the reported gaps and gains are
upper bounds, exact at equilibrium.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market.case import Case
from market.curves import Floats

BISECTIONS = 48
IDLE_KW = 1e-9
"""Net purchases below this count as none."""


@dataclass(frozen=True)
class Certificate:
    """How far an outcome is from equilibrium; all zero to rounding at one.

    Attributes
    ----------
    balance_kw
        Largest miss of a power balance or of a resource's or the grid's limit [kW].
    row_violation
        Largest violation of a network row [row units].
    complementarity
        Largest price on a row or grid limit times its slack [$/h].
    duality_gap
        Primal minus dual value of the convex program of both layers [$/h].
    prosumer_gain, lam_gain
        Most that any one prosumer, with its LAM's net purchase held, or any one LAM, under its conjecture,
        could gain by another bid [$/h].
    """

    balance_kw: float
    row_violation: float
    complementarity: float
    duality_gap: float
    prosumer_gain: float
    lam_gain: float

    @property
    def exploitability(self) -> float:
        """The larger of the two gains [$/h]."""
        return max(self.prosumer_gain, self.lam_gain)


def certify(
    case: Case,
    trade_kw: Floats,
    output_kw: Floats,
    price: Floats,
    net_kw: Floats,
    grid_kw: float,
    energy_price: float,
    row_dual: Floats,
) -> Certificate:
    """Certificate of an outcome, whoever found it.

    Parameters
    ----------
    case
        The case with n prosumers, r resources, M LAMs and m network rows.
    trade_kw, output_kw
        Trades ``(n,)`` and resource outputs ``(r,)`` [kW].
    price
        Local prices lambda_i, ``(M,)`` [$/kWh].
    net_kw, grid_kw
        LAMs' net purchases ``(M,)`` and head power [kW].
    energy_price, row_dual
        Price pi [$/kWh] and rows' prices eta_up - eta_low, ``(m,)``; they make the locational prices.
    """
    mu = case.balance * energy_price
    if case.network is not None:
        mu = mu + row_dual @ case.network.matrix
    k, K = case.slope[case.lam_of], case.wam_slope
    fee = case.fee[case.lam_of]
    own_cost = np.bincount(
        case.resources.owner, case.resources.cost(output_kw), minlength=trade_kw.size
    ) + fee * np.abs(trade_kw)
    lam_cost = case.net_kw(own_cost + 0.5 * k * trade_kw**2)

    local = price[case.lam_of]
    best = _least(case, 2.0 * k, local - k * trade_kw, fee)
    alone = case.members[case.lam_of] == 1
    prosumer_gain = np.where(alone, 0.0, own_cost + local * trade_kw - best)

    idle = np.abs(net_kw) <= IDLE_KW
    inside = np.clip(price, mu - case.wam_fee, mu + case.wam_fee)
    multiplier = np.where(idle, inside, mu + case.wam_fee * np.sign(net_kw) + K * net_kw)
    members = case.net_kw(_least(case, k, multiplier[case.lam_of], fee))
    low, high = _trade_range(case)
    low, high = case.net_kw(low), case.net_kw(high)
    reply = members + _least_net(2.0 * K, mu - K * net_kw - multiplier, case.wam_fee, low, high)
    lam_gain = lam_cost + mu * net_kw + case.wam_fee * np.abs(net_kw) - reply

    layers = members + _least_net(K, mu - multiplier, case.wam_fee, low, high)
    grid = case.grid
    ends = np.array([-grid.export_limit_kw, 0.0, grid.import_limit_kw])
    dual = float(layers.sum()) + energy_price * case.offset_kw
    dual += min(grid.cost(end) - energy_price * end for end in ends.tolist())
    primal = float((lam_cost + case.wam_fee * np.abs(net_kw) + 0.5 * K * net_kw**2).sum()) + grid.cost(
        grid_kw
    )
    row_violation, rent, complementarity = _rows(case, net_kw, row_dual)
    return Certificate(
        balance_kw=_balance(case, trade_kw, output_kw, net_kw, grid_kw),
        row_violation=row_violation,
        complementarity=max(complementarity, _limit_slack(case, grid_kw, energy_price)),
        duality_gap=float(primal - (dual - rent)),
        prosumer_gain=float(prosumer_gain.max()),
        lam_gain=float(lam_gain.max()),
    )


def _trade_range(case: Case) -> tuple[Floats, Floats]:
    """Least and most that each prosumer's resources let it trade, ``(n,)`` each [kW]."""
    n = case.demand_kw.size
    most = np.bincount(case.resources.owner, case.resources.max_kw, minlength=n)
    least = np.bincount(case.resources.owner, case.resources.min_kw, minlength=n)
    return case.demand_kw - most, case.demand_kw - least


def _least(case: Case, curvature: Floats, linear: Floats, fee: Floats) -> Floats:
    """Least of resource cost + fee |q| + curvature q^2 / 2 + linear q for each prosumer, ``(n,)`` [$/h].

    Bisection on the marginal value nu of the prosumer's balance; the dual's value at its ends is a lower
    bound, tight once the interval is.
    """
    resources = case.resources
    owner, c = resources.owner, resources.cost_quadratic
    n = case.demand_kw.size
    low_kw, high_kw = _trade_range(case)
    steepness = np.divide(1.0, c, out=np.zeros_like(c), where=c > 0)
    step = np.flatnonzero(c == 0)
    ease = np.divide(1.0, curvature, out=np.zeros_like(curvature), where=curvature > 0)
    is_flat = curvature == 0

    def outputs(nu: Floats) -> Floats:
        x = nu[owner]
        x -= resources.cost_linear
        pays = x[step] > 0
        x *= steepness
        np.maximum(x, resources.min_kw, out=x)
        np.minimum(x, resources.max_kw, out=x)
        x[step] = np.where(pays, resources.max_kw[step], resources.min_kw[step])
        return x

    def trades(nu: Floats) -> Floats:
        at = nu - linear
        beyond = at - np.clip(at, -fee, fee)
        q = beyond * ease
        q[is_flat] = np.where(beyond[is_flat] == 0, 0.0, np.copysign(np.inf, at[is_flat]))
        return np.minimum(np.maximum(q, low_kw), high_kw)

    def dual(nu: Floats) -> Floats:
        x, q = outputs(nu), trades(nu)
        cost = np.bincount(owner, resources.cost(x) - nu[owner] * x, minlength=n)
        return nu * case.demand_kw + cost + fee * np.abs(q) + (0.5 * curvature * q + linear - nu) * q

    low = linear - fee + curvature * np.minimum(low_kw, 0.0)
    high = linear + fee + curvature * np.maximum(high_kw, 0.0)
    np.minimum.at(low, owner, resources.cost_linear + c * resources.min_kw)
    np.maximum.at(high, owner, resources.cost_linear + c * resources.max_kw)
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        short = case.demand_kw - np.bincount(owner, outputs(middle), minlength=n) - trades(middle) > 0
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    return np.maximum(dual(low), dual(high))


def _least_net(curvature: float, linear: Floats, fee: Floats, low: Floats, high: Floats) -> Floats:
    """Least of fee |Q| + curvature Q^2 / 2 + linear Q over [low, high] for each LAM, ``(M,)`` [$/h]."""
    beyond = np.sign(linear) * np.maximum(np.abs(linear) - fee, 0.0)
    if curvature > 0:
        free = -beyond / curvature
    else:
        free = np.where(beyond > 0, low, np.where(beyond < 0, high, 0.0))
    Q = np.minimum(np.maximum(free, low), high)
    return np.asarray(fee * np.abs(Q) + (0.5 * curvature * Q + linear) * Q)


def _balance(case: Case, trade_kw: Floats, output_kw: Floats, net_kw: Floats, grid_kw: float) -> float:
    """Largest miss of any balance or limit of power [kW]."""
    resources, grid = case.resources, case.grid
    supplied = np.bincount(resources.owner, output_kw, minlength=trade_kw.size)
    misses = [
        np.abs(supplied + trade_kw - case.demand_kw).max(initial=0.0),
        np.abs(case.net_kw(trade_kw) - net_kw).max(initial=0.0),
        abs(grid_kw - case.grid_kw(net_kw)),
        (output_kw - resources.max_kw).max(initial=0.0),
        (resources.min_kw - output_kw).max(initial=0.0),
        grid_kw - grid.import_limit_kw,
        -grid.export_limit_kw - grid_kw,
    ]
    return float(max(misses))


def _rows(case: Case, net_kw: Floats, row_dual: Floats) -> tuple[float, float, float]:
    """Largest violation [row units], rent of priced rows, and largest price times slack [$/h]."""
    network = case.network
    if network is None or network.base.size == 0:
        return 0.0, 0.0, 0.0
    value = network.base + network.matrix @ net_kw
    violation = float(np.maximum(value - network.upper, network.lower - value).max(initial=0.0))
    up, low = np.maximum(row_dual, 0.0), np.maximum(-row_dual, 0.0)
    # A row without a price may be unlimited, and zero times infinity is not a rent.
    upper = np.where(up > 0, network.upper, 0.0)
    lower = np.where(low > 0, network.lower, 0.0)
    held = np.where(up > 0, upper - value, 0.0) * up + np.where(low > 0, value - lower, 0.0) * low
    rent = float(up @ (upper - network.base) + low @ (network.base - lower))
    return violation, rent, float(np.abs(held).max(initial=0.0))


def _limit_slack(case: Case, grid_kw: float, energy_price: float) -> float:
    """Energy price beyond the grid's own times the distance to the limit that would allow it [$/h]."""
    grid = case.grid
    above = max(energy_price - grid.import_price, 0.0) * (grid.import_limit_kw - grid_kw)
    below = max(grid.export_price - energy_price, 0.0) * (grid.export_limit_kw + grid_kw)
    return float(max(abs(above), abs(below)))
