"""Proof that an outcome is the equilibrium, from the case and the outcome alone.

Nothing here knows how the outcome was found. What a party's best reply would cost is bounded from below by
its own Lagrangian dual (`market.analysis.reply`), so gaps and gains are upper bounds, exact at equilibrium.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from market.analysis.reply import Programs
from market.model.arrays import Floats
from market.model.case import Case
from market.model.limits import row_scale

ROUNDING = 1e-12
"""Part of a row's value that its sum may lose to rounding."""

LAST_BITS = 16.0 * float(np.finfo(np.float64).eps)
"""Part that any other sum may lose of its terms."""

IDLE_KW = 1e-6
"""Net purchases below this count as none."""


@dataclass(frozen=True)
class Announced:
    """What the parties are told beside quantities, and must follow from these: DLMPs and payments.

    Attributes
    ----------
    wam_price
        Locational prices mu_i, ``(M,)`` [$/kWh].
    energy, loss, voltage, congestion
        Their parts by cause, ``(M,)`` each [$/kWh].
    payment
        What each prosumer pays its LAM, ``(n,)`` [$/h].
    """

    wam_price: Floats
    energy: Floats
    loss: Floats
    voltage: Floats
    congestion: Floats
    payment: Floats


@dataclass(frozen=True)
class Certificate:
    """How far an outcome is from equilibrium: all zero at one.

    Balances, prices, gains and the gap count from what the rounding of their own sums may amount to.

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
    price_error
        Largest miss of a LAM's condition (3.3) by its local price, and of a DLMP or of one of its parts where
        they were announced [$/kWh].
    payment_error
        Largest difference of an announced payment from lambda q + delta |q|: a trade is bought or sold, never
        both, so one fee is due on its amount [$/h].
    row_excess_kw
        ``row_violation`` as the power of the row's most sensitive LAM, beyond the row's own rounding [kW].
    turnover
        Own costs and bills of all parties without sign, the scale of all money here [$/h].
    """

    balance_kw: float
    row_violation: float
    complementarity: float
    duality_gap: float
    prosumer_gain: float
    lam_gain: float
    price_error: float
    payment_error: float
    row_excess_kw: float
    turnover: float

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
    announced: Announced | None = None,
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
    announced
        What else was said; without it only what the other arguments hold is judged.
    """
    mu, parts = _locational(case, energy_price, row_dual)
    k, K = case.slope[case.lam_of], case.wam_slope
    fee = case.fee[case.lam_of]
    own_cost = np.bincount(
        case.resources.owner, case.resources.cost(output_kw), minlength=trade_kw.size
    ) + fee * np.abs(trade_kw)
    lam_cost = case.net_kw(own_cost + 0.5 * k * trade_kw**2)

    local = price[case.lam_of]
    deviating = Programs(case.demand_kw, case.resources, 2.0 * k, local - k * trade_kw, fee)
    alone = case.members[case.lam_of] == 1
    best, rounding = deviating.least(trade_kw, output_kw)
    prosumer_gain = np.where(alone, 0.0, _beyond(own_cost + local * trade_kw - best, rounding))

    idle = np.abs(net_kw) <= IDLE_KW
    expected = mu + K * net_kw
    inside = np.clip(price, expected - case.wam_fee, expected + case.wam_fee)
    multiplier = np.where(idle, inside, expected + case.wam_fee * np.sign(net_kw))
    replying = replace(deviating, curvature=k, linear=multiplier[case.lam_of])
    members, rounding = (case.net_kw(money) for money in replying.least(trade_kw, output_kw))
    low, high = (case.net_kw(end) for end in deviating.range_kw)
    reach_kw = np.maximum(np.abs(low), np.abs(high))
    price_rounding = _price_rounding(case, energy_price, row_dual, net_kw, reach_kw)
    rounding += price_rounding * reach_kw
    reply = members + _least_net(2.0 * K, mu - K * net_kw - multiplier, case.wam_fee, low, high)
    lam_gain = _beyond(lam_cost + mu * net_kw + case.wam_fee * np.abs(net_kw) - reply, rounding)

    layers = members + _least_net(K, mu - multiplier, case.wam_fee, low, high)
    grid = case.grid
    ends = np.array([-grid.export_limit_kw, 0.0, grid.import_limit_kw])
    dual = float(layers.sum()) + energy_price * case.offset_kw
    dual += min(grid.cost(end) - energy_price * end for end in ends.tolist())
    primal = float((lam_cost + case.wam_fee * np.abs(net_kw) + 0.5 * K * net_kw**2).sum()) + grid.cost(
        grid_kw
    )
    turnover = np.abs(own_cost).sum() + np.abs(mu * net_kw).sum() + abs(grid.cost(grid_kw))
    rows = _rows(case, net_kw, row_dual)
    gap = primal - (dual - rows.rent)
    misses = [price - multiplier]
    payment_error = 0.0
    if announced is not None:
        misses += _misquoted(announced, mu, parts)
        due = local * trade_kw + fee * np.abs(trade_kw)
        payment_error = float(np.abs(announced.payment - due).max(initial=0.0))
    return Certificate(
        balance_kw=_balance(case, trade_kw, output_kw, net_kw, grid_kw),
        row_violation=rows.violation,
        complementarity=max(rows.idle_rent, _limit_slack(case, net_kw, grid_kw, energy_price)),
        duality_gap=float(_beyond(gap, float(rounding.sum()) + rows.rounding)),
        prosumer_gain=float(prosumer_gain.max()),
        lam_gain=float(lam_gain.max()),
        price_error=float(np.abs(_beyond(np.array(misses), price_rounding)).max(initial=0.0)),
        payment_error=payment_error,
        row_excess_kw=rows.excess_kw,
        turnover=float(turnover),
    )


def _locational(case: Case, energy_price: float, row_dual: Floats) -> tuple[Floats, tuple[Floats, ...]]:
    """Locational prices (3.9), ``(M,)``, and their parts energy, loss, voltage, congestion [$/kWh]."""
    energy = np.full(case.balance.size, energy_price)
    loss = (case.balance - 1.0) * energy_price
    network = case.network
    if network is None:
        return energy + loss, (energy, loss, np.zeros_like(energy), np.zeros_like(energy))
    is_voltage = np.zeros(network.base.size, dtype=bool) if network.voltage is None else network.voltage
    voltage = np.where(is_voltage, row_dual, 0.0) @ network.matrix
    congestion = np.where(is_voltage, 0.0, row_dual) @ network.matrix
    return energy + loss + voltage + congestion, (energy, loss, voltage, congestion)


def _price_rounding(
    case: Case, energy_price: float, row_dual: Floats, net_kw: Floats, reach_kw: Floats
) -> Floats:
    """What rounding may make of each LAM's prices, ``(M,)`` [$/kWh].

    Prices are sums; and power that is known to its last bits only, up to ``reach_kw`` ``(M,)``, moves them.
    """
    terms = (1.0 + np.abs(case.balance)) * abs(energy_price) + case.wam_fee
    terms += case.wam_slope * np.abs(net_kw) + case.slope * reach_kw
    if case.network is not None:
        terms += np.abs(row_dual) @ np.abs(case.network.matrix)
    return np.asarray(LAST_BITS * terms)


def _beyond(miss: Floats | float, rounding: Floats | float) -> Floats:
    """What of a miss is more than rounding makes, with its sign."""
    return np.asarray(np.sign(miss) * np.maximum(np.abs(miss) - rounding, 0.0)) + 0.0


def _misquoted(announced: Announced, mu: Floats, parts: tuple[Floats, ...]) -> list[Floats]:
    """Misses of (3.9) by announced DLMPs and parts, and of a DLMP by its parts, ``(M,)`` each [$/kWh]."""
    said = (announced.energy, announced.loss, announced.voltage, announced.congestion)
    misses = [announced.wam_price - mu, announced.wam_price - sum(said)]
    return misses + [part - due for part, due in zip(said, parts, strict=True)]


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
    n = trade_kw.size
    supplied = np.bincount(resources.owner, output_kw, minlength=n)
    moved: Floats = np.abs(case.demand_kw)
    moved += np.bincount(resources.owner, np.abs(output_kw), minlength=n)
    drawn = abs(case.offset_kw) + float(np.abs(case.balance) @ np.abs(net_kw))
    misses = [
        np.abs(_beyond(supplied + trade_kw - case.demand_kw, LAST_BITS * moved)).max(initial=0.0),
        np.abs(_beyond(case.net_kw(trade_kw) - net_kw, LAST_BITS * case.net_kw(moved))).max(initial=0.0),
        abs(_beyond(grid_kw - case.grid_kw(net_kw), LAST_BITS * drawn)),
        (output_kw - resources.max_kw).max(initial=0.0),
        (resources.min_kw - output_kw).max(initial=0.0),
        _beyond(grid_kw - grid.import_limit_kw, LAST_BITS * drawn),
        _beyond(-grid.export_limit_kw - grid_kw, LAST_BITS * drawn),
    ]
    return float(np.max(misses))


@dataclass(frozen=True)
class _Rows:
    """What network rows add: largest violation [row units] and [kW], and money of those priced [$/h]."""

    violation: float = 0.0
    excess_kw: float = 0.0
    rent: float = 0.0
    rounding: float = 0.0
    idle_rent: float = 0.0


def _rows(case: Case, net_kw: Floats, row_dual: Floats) -> _Rows:
    """Rows' violations, their rent, what rounding may make of it, and most that a slack row claims."""
    network = case.network
    if network is None or network.base.size == 0:
        return _Rows()
    value = network.base + network.matrix @ net_kw
    beyond = np.maximum(value - network.upper, network.lower - value)
    own_rounding = ROUNDING * (np.abs(network.base) + np.abs(network.matrix) @ np.abs(net_kw))
    excess = (beyond - own_rounding) / row_scale(network)
    up, low = np.maximum(row_dual, 0.0), np.maximum(-row_dual, 0.0)
    # A row without a price may be unlimited, and zero times infinity is not a rent.
    upper = np.where(up > 0, network.upper, 0.0)
    lower = np.where(low > 0, network.lower, 0.0)
    slack = np.where(up > 0, upper - value, 0.0) + np.where(low > 0, value - lower, 0.0)
    return _Rows(
        violation=float(beyond.max(initial=0.0)),
        excess_kw=float(excess.max(initial=0.0)),
        rent=float(up @ (upper - network.base) + low @ (network.base - lower)),
        rounding=float(np.abs(row_dual) @ own_rounding),
        idle_rent=float(np.abs(row_dual * _beyond(slack, own_rounding)).max(initial=0.0)),
    )


def _limit_slack(case: Case, net_kw: Floats, grid_kw: float, energy_price: float) -> float:
    """Energy price beyond the grid's own times the distance to the limit that would allow it [$/h]."""
    grid = case.grid
    own_rounding = LAST_BITS * (abs(case.offset_kw) + float(np.abs(case.balance) @ np.abs(net_kw)))
    above = _beyond(grid.import_limit_kw - grid_kw, own_rounding)
    below = _beyond(grid.export_limit_kw + grid_kw, own_rounding)
    dear, cheap = max(energy_price - grid.import_price, 0.0), max(grid.export_price - energy_price, 0.0)
    return float(max(abs(dear * above), abs(cheap * below)))
