"""How far a search over a horizon may be off at its end: a small part of what the certificate allows."""

from __future__ import annotations

import numpy as np

from market.analysis.measure import RELATIVE, power_tolerance
from market.analysis.prove_limits import ROUNDING
from market.analysis.sizes import head_slack_kw
from market.horizon.case import HorizonCase
from market.model.arrays import Floats, Ints

PART = 0.1
"""Part of a tolerance of the certificate that may be used up."""


def of_lams(case: HorizonCase) -> Floats:
    """Between what each LAM wants and its members answer, beside rounding of prices, ``(M, T)`` [kW].

    Its price is then met as exactly as it must be, and it rests where it must.
    """
    slope = np.stack([one.wam_slope for one in case.intervals], axis=1)
    price = RELATIVE * np.array([one.grid.price_size for one in case.intervals])
    by_price = np.divide(price, slope, out=np.full(slope.shape, np.inf), where=slope > 0)
    # Misses of all LAMs on one side add up.
    part = PART / np.sqrt(len(slope))
    return np.asarray(part * np.minimum(power_tolerance(case.lam_kw), by_price))


def of_limits(case: HorizonCase, interval: Ints, base: Floats) -> Floats:
    """By limits of the feeder from the values that their prices ask for, ``(n,)`` [kW].

    Parameters
    ----------
    interval, base
        Interval of each limit and its value at Q = 0 [kW], ``(n,)`` each.
    """
    slack = np.array([head_slack_kw(one, case.lam_kw[:, t]) for t, one in enumerate(case.intervals)])
    return np.asarray(PART * slack[interval] + ROUNDING * np.abs(base))
