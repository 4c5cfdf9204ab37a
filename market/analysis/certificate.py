"""Proof that an outcome is the equilibrium, from the case and the outcome alone.

Nothing here knows how the outcome was found. What a party's best reply would cost is bounded from below by
its own Lagrangian dual (`market.analysis.reply`), so gaps and gains are upper bounds, exact at equilibrium.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from market.analysis import prove_lams, prove_limits, prove_members
from market.analysis.claim import Announced, Claim, Pool
from market.analysis.measure import Measure
from market.model.arrays import Floats
from market.model.case import Case

__all__ = ["Announced", "Certificate", "Pool", "certify"]


@dataclass(frozen=True)
class Certificate:
    """How far an outcome is from equilibrium: all zero at one.

    Misses count from what the rounding of their own sums may amount to. Each measure has a value and a
    tolerance for every party or limit that it is about; `market.analysis.tolerance.exceeds` holds them
    against each other.

    Attributes
    ----------
    balances
        Power balances and limits of prosumers, LAMs and feeder head [kW].
    row_excess
        Violations of network rows, as power of each row's most sensitive LAM [kW].
    idle_prices
        Prices of rows and of the grid's limits that do not bind, and a price of shared energy outside the
        utility's [$/kWh].
    prosumer_gains, lam_gains
        What any one prosumer, with its LAM's net purchase held, or any one LAM, under its conjecture, could
        gain by another bid [$/h].
    marginal
        Misses of each prosumer's marginal value by the price of its trade [$/kWh].
    local_prices
        Misses of each LAM's condition, (3.3) or (7.6), by its local price [$/kWh].
    quoted_prices
        Misses of DLMPs and of each of their parts, where they were announced [$/kWh].
    payments
        Differences of announced payments from lambda q + delta |q| + r u, and of an announced uplift from
        what the WAM's surplus leaves [$/h].
    gap
        Primal minus dual value of the convex program of both layers [$/h].
    row_violation
        Largest violation of a network row [row units].
    complementarity
        Largest price on a row or grid limit times its slack [$/h].
    turnover
        Own costs and bills of all parties without sign [$/h].
    """

    balances: Sequence[Measure]
    row_excess: Measure
    idle_prices: Sequence[Measure]
    prosumer_gains: Measure
    lam_gains: Measure
    marginal: Measure
    local_prices: Measure
    quoted_prices: Sequence[Measure]
    payments: Sequence[Measure]
    gap: Measure
    row_violation: float
    complementarity: float
    turnover: float

    @property
    def balance_kw(self) -> float:
        """Largest miss of a power balance or of a resource's or the grid's limit [kW]."""
        return _largest(self.balances)

    @property
    def row_excess_kw(self) -> float:
        """Largest violation of a row, as power of its most sensitive LAM beyond the row's rounding [kW]."""
        return self.row_excess.largest

    @property
    def duality_gap(self) -> float:
        """The duality gap with its sign [$/h]."""
        return float(self.gap.miss[0])

    @property
    def prosumer_gain(self) -> float:
        """Most that any one prosumer could gain by another bid [$/h]."""
        return float(self.prosumer_gains.miss.max())

    @property
    def lam_gain(self) -> float:
        """Most that any one LAM could gain by another bid [$/h]."""
        return float(self.lam_gains.miss.max())

    @property
    def price_error(self) -> float:
        """Largest miss of a price: local, locational, or a part of one [$/kWh]."""
        return _largest([self.local_prices, *self.quoted_prices])

    @property
    def payment_error(self) -> float:
        """Largest miss of a payment [$/h]."""
        return _largest(self.payments)

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
    pool: Pool | None = None,
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
    pool
        The utility's part and the price of shared energy, where the case's rule has a utility.
    """
    claim = Claim(case, trade_kw, output_kw, price, net_kw, grid_kw, energy_price, row_dual, pool)
    rows = prove_limits.rows_of(claim)
    programs = prove_members.replying(claim)
    replies = prove_lams.replies(claim, programs)
    quoted, payments = [], []
    if announced is not None:
        quoted = prove_lams.quoted_prices(claim, announced)
        payments = [prove_members.payment(claim, announced)]
        if announced.uplift is not None:
            payments.append(prove_lams.uplift(claim, announced.uplift))
    return Certificate(
        balances=[
            prove_members.balance(claim),
            prove_lams.balance(claim),
            prove_limits.head_balance(claim),
            *([] if pool is None else [prove_limits.pool_balance(claim)]),
        ],
        row_excess=rows.excess(),
        idle_prices=[
            rows.idle_price(),
            prove_limits.energy_price(claim),
            *([] if pool is None else [prove_limits.pool_price(claim, pool)]),
        ],
        prosumer_gains=prove_members.gain(claim, programs),
        lam_gains=prove_lams.gain(claim, replies),
        marginal=prove_members.marginal(claim),
        local_prices=prove_lams.local_price(claim),
        quoted_prices=quoted,
        payments=payments,
        gap=prove_lams.duality_gap(claim, replies, rows.rent, rows.rent_rounding),
        row_violation=max(rows.violation, 0.0),
        complementarity=max(rows.complementarity, prove_limits.head_complementarity(claim)),
        turnover=prove_lams.turnover(claim),
    )


def _largest(measures: Sequence[Measure]) -> float:
    """Largest miss of all; not a number where any is not."""
    return float(np.max([0.0, *(measure.largest for measure in measures)]))
