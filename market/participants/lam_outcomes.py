"""Outcomes of the LAM hosts side by side: everyone's allocation and every LAM's price as arrays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from broker.messages import LamOutcome, columns
from market.model.arrays import Bools, Floats, Ints
from market.model.case import Tariff
from market.participants.roster import Roster


@dataclass(frozen=True)
class Allocations:
    """What n prosumers and M LAMs were allocated.

    A LAM without a message of its host stands alone against the utility's tariff and buys nothing: its local
    price is the tariff's middle, and its members have no allocation. No fee lifts that middle beyond the
    tariff, so such members pay and get the tariff's prices.

    Attributes
    ----------
    lam
        LAM of each prosumer, ``(n,)``.
    trade_kw, trade_price
        Trades [kW, + buys] and what a buyer pays or a seller gets [$/kWh], ``(n,)``.
    utility_kw
        Bought of the utility beside the market, where members have one, ``(n,)`` [kW].
    net_kw, price, wam_price
        Net purchases [kW], local prices and DLMPs [$/kWh], ``(M,)``.
    charge
        What members pay their LAM for each kWh of the utility, ``(M,)`` [$/kWh].
    alone
        LAMs that cleared without the WAM, ``(M,)``.
    """

    lam: Ints
    trade_kw: Floats
    trade_price: Floats
    utility_kw: Floats
    net_kw: Floats
    price: Floats
    wam_price: Floats
    charge: Floats
    alone: Bools

    @property
    def payment_per_h(self) -> Floats:
        """What each prosumer pays its LAM at the announced prices, ``(n,)`` [$/h]."""
        return self.trade_price * self.trade_kw + self.charge[self.lam] * self.utility_kw

    @property
    def drawn_kw(self) -> Floats:
        """What each prosumer is to draw in all, ``(n,)`` [kW]."""
        return self.trade_kw + self.utility_kw


def read_lam_outcomes(roster: Roster, tariff: Tariff, outcomes: Iterable[LamOutcome]) -> Allocations:
    """Allocations from the outcomes that came.

    Raises
    ------
    ValueError
        Columns of an outcome do not fit each other, or hold values that are not finite.
    """
    n, m = len(roster.prosumers), len(roster.lams)
    found = Allocations(
        lam=roster.lam,
        trade_kw=np.zeros(n),
        utility_kw=np.zeros(n),
        charge=np.zeros(m),
        trade_price=np.full(n, tariff.retail),
        net_kw=np.zeros(m),
        price=np.full(m, tariff.middle),
        wam_price=np.full(m, tariff.retail),
        alone=np.ones(m, dtype=bool),
    )
    for outcome in outcomes:
        lam, prosumer = columns.unpack_index(outcome.lam), columns.unpack_index(outcome.prosumer)
        found.net_kw[lam] = columns.unpack(outcome.net_kw, lam.size)
        found.price[lam] = columns.unpack(outcome.price, lam.size)
        found.wam_price[lam] = columns.unpack(outcome.wam_price, lam.size)
        found.alone[lam] = outcome.alone
        found.trade_kw[prosumer] = columns.unpack(outcome.trade_kw, prosumer.size)
        found.trade_price[prosumer] = columns.unpack(outcome.trade_price, prosumer.size)
        if outcome.utility_kw:
            found.utility_kw[prosumer] = columns.unpack(outcome.utility_kw, prosumer.size)
        if outcome.charge:
            found.charge[lam] = columns.unpack(outcome.charge, lam.size)
    return found
