"""Who pays whom in a clearing [$/h], and what departing from an allocation costs [$].

Positive amounts are paid by the party, negative ones are received. Payments of a clearing add up to zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market.analysis.measure import LAST_BITS, STATED, Measure, beyond
from market.model.arrays import Floats, Ints
from market.model.case import Case, Grid, Network, Tariff


@dataclass(frozen=True)
class Settlement:
    """Payments of one clearing [$/h].

    Attributes
    ----------
    prosumer
        Each member's payment to its LAM, ``(n,)``.
    lam
        Each LAM's payment to the WAM, ``(M,)``.
    lam_surplus
        What each LAM keeps, ``(M,)``: K Q_i^2 + delta_i sum |q_j| >= 0 where its local price is unique.
    grid
        The WAM's payment to the grid.
    wam_surplus
        What the WAM keeps S; negative where load and losses outside the market cost more than it takes in.
    uplift
        What the utility is charged to cover a negative surplus, >= 0.
    utility
        Each member's payment to the utility, ``(n,)``; zero where the rule has none.
    losses
        The WAM's payment to the utility for losses.
    """

    prosumer: Floats
    lam: Floats
    lam_surplus: Floats
    grid: float
    wam_surplus: float
    uplift: float
    utility: Floats
    losses: float

    @property
    def utility_margin(self) -> float:
        """What the utility keeps where it stands between members and the grid, before uplift [$/h]."""
        return float(self.utility.sum()) + self.losses - self.grid


@dataclass(frozen=True)
class UtilityTrades:
    """What members trade with a utility beside the market, M LAMs.

    Attributes
    ----------
    bought_kw
        Of the utility, ``(n,)`` [kW].
    charge, loss_charge
        For each kWh that flows to a LAM, and the part of it that is for losses, ``(M,)`` each [$/kWh].
    tariff
        The utility's prices before charges.
    """

    bought_kw: Floats
    charge: Floats
    loss_charge: Floats
    tariff: Tariff


def utility_trades(
    case: Case, bought_kw: Floats, charge: Floats, energy_price: float
) -> UtilityTrades | None:
    """Trades with the utility where a case's rule has one.

    Parameters
    ----------
    bought_kw, charge
        As `UtilityTrades` has them.
    energy_price
        Price pi at the feeder head [$/kWh].
    """
    if not case.rule.has_utility:
        return None
    loss_price = energy_price - case.grid.limit_price(energy_price)
    return UtilityTrades(bought_kw, charge, (case.balance - 1.0) * loss_price, case.tariff)


def trade_payment(price: Floats, fee: Floats, power_kw: Floats) -> Floats:
    """Payment ``price q + fee |q|`` of each trade: a buyer pays the fee on top, a seller gets it less [$/h].

    Serves members (lambda_i, delta_i) and LAMs (mu_i, Delta_i) alike; all arrays have one shape.
    """
    return np.asarray(price * power_kw + fee * np.abs(power_kw))


def settle(
    lam_of: Ints,
    trade_kw: Floats,
    price: Floats,
    fee: Floats,
    wam_price: Floats,
    wam_fee: Floats,
    net_kw: Floats,
    grid: Grid,
    grid_kw: float,
    utility: UtilityTrades | None = None,
) -> Settlement:
    """Payments of a clearing; prosumers, LAM surpluses, grid, WAM surplus and utility sum to zero.

    With a utility, the charge for what members trade with it goes the way of their payments; the WAM hands
    on what is for losses, and the utility pays the grid (market.md, section 7).

    Parameters
    ----------
    lam_of
        Each prosumer's LAM, ``(n,)``.
    trade_kw
        Trades, ``(n,)`` [kW].
    price, fee
        Local prices and fees, ``(M,)`` [$/kWh].
    wam_price, wam_fee
        Locational prices and WAM fees, ``(M,)`` [$/kWh].
    net_kw
        LAMs' net purchases, ``(M,)`` [kW].
    grid, grid_kw
        The grid's prices and its power [kW].
    utility
        None where the rule has none: then the WAM pays the grid.
    """
    prosumer = trade_payment(price[lam_of], fee[lam_of], trade_kw)
    lam = trade_payment(wam_price, wam_fee, net_kw)
    cost = grid.cost(grid_kw)
    owed, losses, bill = cost, 0.0, np.zeros(trade_kw.size)
    if utility is not None:
        bought_kw = np.bincount(lam_of, utility.bought_kw, minlength=lam.size)
        prosumer += utility.charge[lam_of] * utility.bought_kw
        lam += utility.charge * bought_kw
        owed = losses = float(utility.loss_charge @ (net_kw + bought_kw))
        bill = utility.tariff.bill(utility.bought_kw)
    paid = np.bincount(lam_of, prosumer, minlength=lam.size)
    surplus = float(lam.sum()) - owed
    return Settlement(prosumer, lam, paid - lam, cost, surplus, max(-surplus, 0.0), bill, losses)


@dataclass(frozen=True)
class WamSurplus:
    """Where the WAM's surplus comes from [$/h]; the parts sum to it.

    Attributes
    ----------
    fees
        Sum of Delta_i |Q_i|.
    rows
        Rent of each binding row, eta times the distance of its limit from its value at Q = 0, ``(r,)``.
    limits
        Rent of the grid's limits.
    offset
        Load and losses outside the market at the energy price, negative when they draw; where a utility buys
        them, at the price of the head's limit alone.
    """

    fees: float
    rows: Floats
    limits: float
    offset: float

    @property
    def total(self) -> float:
        """The surplus S."""
        return self.fees + float(self.rows.sum()) + self.limits + self.offset

    @property
    def size(self) -> float:
        """Sum of the parts without sign [$/h]."""
        return self.fees + float(np.abs(self.rows).sum()) + abs(self.limits) + abs(self.offset)


def wam_surplus(
    net_kw: Floats,
    wam_fee: Floats,
    energy_price: float,
    row_dual: Floats,
    network: Network | None,
    grid: Grid,
    offset_kw: float,
    *,
    has_utility: bool = False,
) -> WamSurplus:
    """Split the WAM's surplus by cause; equals ``settle(...).wam_surplus`` at equilibrium to rounding.

    Parameters
    ----------
    net_kw, wam_fee
        LAMs' net purchases [kW] and fees Delta_i [$/kWh], ``(M,)`` each.
    energy_price, row_dual
        Price pi at the feeder head [$/kWh] and rows' prices eta_up - eta_low, ``(r,)``.
    network, grid, offset_kw
        As cleared.
    has_utility
        Whether a utility pays the grid.
    """
    fees = float(wam_fee @ np.abs(net_kw))
    rows = np.zeros(0)
    if network is not None:
        up, low = np.maximum(row_dual, 0.0), np.maximum(-row_dual, 0.0)
        # Rows without a price may be unlimited, and zero times infinity is not a rent.
        upper = np.where(up > 0, network.upper - network.base, 0.0)
        lower = np.where(low > 0, network.base - network.lower, 0.0)
        rows = up * upper + low * lower
    pi = energy_price
    over, under = max(pi - grid.import_price, 0.0), max(grid.export_price - pi, 0.0)
    limits = over * grid.import_limit_kw if over else 0.0
    limits += under * grid.export_limit_kw if under else 0.0
    return WamSurplus(fees, rows, limits, -(over - under if has_utility else pi) * offset_kw)


def surplus_miss(surplus: float, causes: WamSurplus, turnover: float) -> Measure:
    """Miss of the identity (4.5): by how much a WAM's surplus is not the sum of its causes [$/h].

    Parameters
    ----------
    surplus, causes
        The surplus as payments leave it, and by cause.
    turnover
        Own costs and bills of all parties without sign, as `Certificate.turnover` [$/h]. Together with the
        causes it is what the identity is judged by: a market of milliwatts no less strictly than a large one.
    """
    size = np.array([turnover + causes.size])
    return Measure(
        "program", beyond(np.array([surplus - causes.total]), LAST_BITS * size), STATED * size, "$/h"
    )


def imbalance_prices(
    price: Floats, fee: Floats, tariff: Tariff, charge: Floats | float = 0.0
) -> tuple[Floats, Floats]:
    """Prices of energy short of and long of an allocation, ``(n,)`` each [$/kWh].

    Energy short is bought at the dearer of market and retail, energy long is sold at the cheaper of market
    and feed-in, so that a departure never gains against the market.

    Parameters
    ----------
    price, fee
        Local price and fee of each prosumer, ``(n,)`` [$/kWh].
    tariff
        The utility's prices.
    charge
        What a kWh of the utility costs besides, ``(n,)`` or none [$/kWh].
    """
    return np.maximum(price + fee, tariff.retail + charge), np.minimum(price - fee, tariff.feed_in + charge)


def imbalance_payment(missing_kwh: Floats, short_price: Floats, long_price: Floats) -> Floats:
    """What prosumers pay for metered minus allocated energy, ``(n,)`` [$]; prices as `imbalance_prices`."""
    return np.asarray(np.where(missing_kwh > 0, short_price, long_price) * missing_kwh)
