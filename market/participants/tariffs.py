"""What parties do at the utility's tariffs alone, without a market (market.md, section 4)."""

from __future__ import annotations

import numpy as np

from market.model.arrays import Floats
from market.model.case import Tariff
from market.model.curves import Curves, respond, shift


def trade_against_tariff(values: Curves, tariff: Tariff) -> Floats:
    """Trade of each party with the utility, from its trade over marginal value, ``(n,)`` [kW].

    A tariff is a price in the middle with a fee on both sides of it.
    """
    return respond(shift(values, 0.0, tariff.half_spread), np.full(len(values), tariff.middle))


def tariff_price(net_kw: Floats, tariff: Tariff) -> Floats:
    """What the utility asks of those who buy and pays to those who sell, ``(M,)`` [$/kWh]."""
    return np.where(net_kw > 0, tariff.retail, tariff.feed_in)
