"""What to say of a search over a horizon that does not end: how much is missed, where, and why."""

from __future__ import annotations

import numpy as np

from market.errors import NotConverged
from market.horizon.case import HorizonCase
from market.horizon.feeder import FeederLimits
from market.horizon.lams import Settled
from market.horizon.members import FLATTEST, lam_reach, price_size

BEYOND = 50.0
"""Prices of limits beyond the grid's by this factor tell that a limit may not be met."""


def unsettled(
    case: HorizonCase, limits: FeederLimits, here: Settled, steps: int, *, is_held: bool
) -> NotConverged:
    """The error of a search that stands at a point after some steps.

    Parameters
    ----------
    case, limits
        The case and its limits.
    here
        LAMs where the search stands.
    steps
        Steps that it took.
    is_held
        Whether trades are held to centres, so that members' own slopes are not the cause.
    """
    off_kw, beyond_kw = here.off_kw, np.abs(limits.beyond(here.answers.kw, here.point.y))
    lam, t = (int(k) for k in np.unravel_index(np.argmax(off_kw), off_kw.shape))
    where, left_kw = f"{case.first.lam_id[lam]}, interval {t}", float(off_kw[lam, t])
    limit = int(np.argmax(beyond_kw))
    if beyond_kw[limit] > left_kw:
        where, left_kw = _limit(case, limits, limit), float(beyond_kw[limit])
    why = _what_rises(case, limits, here) or ("" if is_held else what_is_flat(case))
    return NotConverged(steps, left_kw, f"most at {where}; {why or 'check the sizes of what stands there'}")


def what_is_flat(case: HorizonCase) -> str:
    """The LAM whose members' price slopes are next to nothing, in words; nothing where none's are."""
    first, size = case.first, price_size(case)
    over = lam_reach(case) / np.maximum(first.members, 1) / size
    part = np.where(first.members > 1, first.slope * over, np.inf)
    lam = int(np.argmin(part))
    if part[lam] >= FLATTEST:
        return ""
    return (
        f"members of {first.lam_id[lam]} reckon with a price slope of {first.slope[lam]:.2g} $/kWh "
        f"per kW, next to none beside prices of {size:.2g} $/kWh; lower the LAM's sensitivity, "
        "market.lam_sensitivity of a scenario"
    )


def _what_rises(case: HorizonCase, limits: FeederLimits, here: Settled) -> str:
    """The limit whose price is far beyond all others, in words; nothing where none is."""
    far = int(np.argmax(np.abs(here.point.y)))
    if abs(here.point.y[far]) < BEYOND * price_size(case):
        return ""
    return (
        f"the price of {_limit(case, limits, far)} rises without end, so that no trade may meet it; widen it"
    )


def _limit(case: HorizonCase, limits: FeederLimits, limit: int) -> str:
    """A limit and its interval, in words."""
    t = int(limits.interval[limit])
    row, network = limit - int(limits.head[t]), case.intervals[t].network
    name = "the grid's limit" if network is None or not row else f"network row {network.row_name(row - 1)}"
    return f"{name} in interval {t}"
