"""Proof that an outcome is the equilibrium, from the case and the outcome alone.

Nothing here knows how the outcome was found. What a party's best reply would cost is bounded from below by
its own Lagrangian dual (`market.reply`), so gaps and gains are upper bounds, exact at equilibrium.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from market.case import Case
from market.curves import Floats
from market.reply import Programs

ROUNDING = 1e-12
"""Part of a row's value that its sum may lose to rounding."""

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
    price_error
        Largest miss of a LAM's condition (3.3) by its local price, and of a DLMP or of one of its parts where
        they were announced [$/kWh].
    payment_error
        Largest difference of an announced payment from lambda q + delta |q|: a trade is bought or sold, never
        both, so one fee is due on its amount [$/h].
    row_excess_kw
        ``row_violation`` as the power of the row's most sensitive LAM, beyond the row's own rounding [kW].
    turnover
        Sum of the absolute terms of the program's value, the scale of all money here [$/h].
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
    best = deviating.least(trade_kw, output_kw)
    prosumer_gain = np.where(alone, 0.0, own_cost + local * trade_kw - best)

    idle = np.abs(net_kw) <= IDLE_KW
    inside = np.clip(price, mu - case.wam_fee, mu + case.wam_fee)
    multiplier = np.where(idle, inside, mu + case.wam_fee * np.sign(net_kw) + K * net_kw)
    replying = replace(deviating, curvature=k, linear=multiplier[case.lam_of])
    members = case.net_kw(replying.least(trade_kw, output_kw))
    low, high = (case.net_kw(end) for end in deviating.range_kw)
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
    turnover = np.abs(own_cost).sum() + np.abs(mu * net_kw).sum() + abs(grid.cost(grid_kw))
    row_violation, row_excess_kw, rent, complementarity = _rows(case, net_kw, row_dual)
    price_error = float(np.abs(price - multiplier).max(initial=0.0))
    payment_error = 0.0
    if announced is not None:
        price_error = max(price_error, _misquoted(announced, mu, parts))
        due = local * trade_kw + fee * np.abs(trade_kw)
        payment_error = float(np.abs(announced.payment - due).max(initial=0.0))
    return Certificate(
        balance_kw=_balance(case, trade_kw, output_kw, net_kw, grid_kw),
        row_violation=row_violation,
        complementarity=max(complementarity, _limit_slack(case, grid_kw, energy_price)),
        duality_gap=float(primal - (dual - rent)),
        prosumer_gain=float(prosumer_gain.max()),
        lam_gain=float(lam_gain.max()),
        price_error=price_error,
        payment_error=payment_error,
        row_excess_kw=row_excess_kw,
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


def _misquoted(announced: Announced, mu: Floats, parts: tuple[Floats, ...]) -> float:
    """Largest miss of (3.9) by announced DLMPs and parts, and of a DLMP by its parts' sum [$/kWh]."""
    said = (announced.energy, announced.loss, announced.voltage, announced.congestion)
    misses = [announced.wam_price - mu, announced.wam_price - sum(said)]
    misses += [part - due for part, due in zip(said, parts, strict=True)]
    return float(np.abs(misses).max(initial=0.0))


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
    return float(np.max(misses))


def _rows(case: Case, net_kw: Floats, row_dual: Floats) -> tuple[float, float, float, float]:
    """Largest violation [row units] and [kW], rent of priced rows, and largest price times slack [$/h]."""
    network = case.network
    if network is None or network.base.size == 0:
        return 0.0, 0.0, 0.0, 0.0
    value = network.base + network.matrix @ net_kw
    beyond = np.maximum(value - network.upper, network.lower - value)
    sensitivity = np.abs(network.matrix).max(axis=1, initial=0.0)
    own_rounding = ROUNDING * (np.abs(network.base) + np.abs(network.matrix) @ np.abs(net_kw))
    excess = np.divide(
        beyond - own_rounding,
        sensitivity,
        out=np.where(beyond > own_rounding, np.inf, 0.0),
        where=sensitivity > 0,
    )
    up, low = np.maximum(row_dual, 0.0), np.maximum(-row_dual, 0.0)
    # A row without a price may be unlimited, and zero times infinity is not a rent.
    upper = np.where(up > 0, network.upper, 0.0)
    lower = np.where(low > 0, network.lower, 0.0)
    held = np.where(up > 0, upper - value, 0.0) * up + np.where(low > 0, value - lower, 0.0) * low
    rent = float(up @ (upper - network.base) + low @ (network.base - lower))
    return (
        float(beyond.max(initial=0.0)),
        float(excess.max(initial=0.0)),
        rent,
        float(np.abs(held).max(initial=0.0)),
    )


def _limit_slack(case: Case, grid_kw: float, energy_price: float) -> float:
    """Energy price beyond the grid's own times the distance to the limit that would allow it [$/h]."""
    grid = case.grid
    above = max(energy_price - grid.import_price, 0.0) * (grid.import_limit_kw - grid_kw)
    below = max(grid.export_price - energy_price, 0.0) * (grid.export_limit_kw + grid_kw)
    return float(max(abs(above), abs(below)))
