"""Ties among a prosumer's resources: what a plan wants decides where costs do not."""

from __future__ import annotations

import numpy as np

from market.model.arrays import Floats
from market.model.case import Resources

TIED = 1e-7
"""Resources whose costs differ by no more cost the same [$/kWh]: what energy is worth over a horizon is known
within 1e-9 of prices."""


def settle_ties(resources: Resources, output_kw: Floats, wanted_kw: Floats) -> Floats:
    """Outputs that come as near to what is wanted as costs leave open.

    Several stores of one prosumer, or a store and sun that is curtailed, may be worth the same to it. Any
    split of their sum then costs the same now, and only the plan over the horizon knows which of them leaves
    each store the energy that it will need (docs/market.md, section 8).

    Parameters
    ----------
    resources
        Resources of prosumers, ``r`` of them.
    output_kw
        Their outputs, ``(r,)`` [kW].
    wanted_kw
        What a plan wants of each, ``(r,)`` [kW]; NaN for those that take what the others leave.

    Returns
    -------
    Floats
        Outputs ``(r,)`` [kW] within the same limits, whose sum over resources of one owner at one cost is as
        before.
    """
    flat = np.flatnonzero(resources.cost_quadratic * (resources.max_kw - resources.min_kw) <= 0.0)
    if not flat.size:
        return output_kw
    order = flat[np.lexsort((resources.cost_linear[flat], resources.owner[flat]))]
    owner, cost = resources.owner[order], resources.cost_linear[order]
    is_next = np.append(True, (np.diff(owner) != 0) | (np.diff(cost) > TIED))
    start, of = np.flatnonzero(is_next), np.cumsum(is_next) - 1
    low, high = resources.min_kw[order], resources.max_kw[order]
    open_ = np.isnan(wanted_kw[order])
    wanted = np.clip(np.where(open_, low, wanted_kw[order]), low, high)

    def summed(values: Floats) -> Floats:
        return np.asarray(np.add.reduceat(values, start), dtype=np.float64)

    # Who is not planned for takes what is left; what is left then moves the others towards a limit alike.
    left = summed(output_kw[order]) - summed(wanted)
    room = summed(np.where(open_, high - low, 0.0))
    taken = np.clip(left, 0.0, room)
    left = left - taken
    bound = np.where(left[of] > 0.0, high, low)
    reach = summed(np.where(open_, 0.0, np.abs(bound - wanted)))
    settled = wanted + np.where(
        open_, _part(taken, room)[of] * (high - low), _part(np.abs(left), reach)[of] * (bound - wanted)
    )
    result = output_kw.copy()
    is_planned = summed((~open_).astype(np.float64))[of] > 0.0
    result[order] = np.where(is_planned, np.clip(settled, low, high), output_kw[order])
    return result


def _part(amount: Floats, room: Floats) -> Floats:
    """Part of some room that an amount takes, 0 to 1."""
    return np.minimum(np.divide(amount, room, out=np.zeros_like(room), where=room > 0.0), 1.0)
