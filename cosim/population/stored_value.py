"""What a stored kilowatt-hour is worth to its owner, by backward induction on a price forecast.

The marginal value of stored energy falls with the state of charge: the next kilowatt-hour goes to the best
use that is still free before the horizon. Batteries so charge at noon and discharge in the evening by
themselves.
"""

import numpy as np
from numpy.typing import NDArray

from cosim.scenario.arrays import Floats

CELLS = 48


def value_curves(price: Floats, c_rate_per_h: Floats, efficiency: Floats, wear: float, dt_h: float) -> Floats:
    """Marginal value of stored energy against the state of charge, at the start of a forecast.

    Between two steps the owner may sell (a stored kWh brings ``efficiency (price - wear)``) or buy (it costs
    ``(price + wear) / efficiency``), each up to the converter's rating. The value function stays concave, and
    the Bellman step is a sup-convolution of two concave functions: their marginal values are merged in
    falling order and the part between empty and full is kept. After the horizon stored energy is worth
    nothing.

    Parameters
    ----------
    price
        Forecast of each of ``g`` groups [$/kWh], ``(g, t)``.
    c_rate_per_h
        Rating per capacity [1/h], ``(g,)``.
    efficiency
        One-way efficiency, ``(g,)``.
    wear
        Cost of wear through the terminals [$/kWh].
    dt_h
        Length of a step [h].

    Returns
    -------
    NDArray
        Value of a further stored kWh [$/kWh] in each of ``CELLS`` equal cells of state of charge from empty
        to full, ``(g, CELLS)``, not increasing.
    """
    groups, steps = price.shape
    per_step = c_rate_per_h * dt_h * CELLS
    sold = np.clip(np.rint(per_step / efficiency), 1, CELLS).astype(np.intp)
    bought = np.clip(np.rint(per_step * efficiency), 1, CELLS).astype(np.intp)
    curve = np.zeros((groups, CELLS))
    # Groups differ in how many cells a step moves; unused places sort to the ends, outside the part kept.
    may_sell = np.arange(sold.max()) < sold[:, None]
    may_buy = np.arange(bought.max()) < bought[:, None]
    above = bought.max()
    for t in range(steps - 1, -1, -1):
        sell = efficiency * np.maximum(price[:, t] - wear, 0.0)
        buy = np.maximum(price[:, t] + wear, 0.0) / efficiency
        actions = np.where(may_sell, sell[:, None], -np.inf)
        supplies = np.where(may_buy, buy[:, None], np.inf)
        merged = -np.sort(-np.concatenate([curve, actions, supplies], axis=1), axis=1)
        curve = merged[:, above : above + CELLS]
    return curve


def value_at(curves: Floats, group: NDArray[np.intp], soc: Floats) -> Floats:
    """Marginal value of stored energy of single batteries.

    Parameters
    ----------
    curves
        From `value_curves`, ``(g, CELLS)``.
    group
        Group of each battery, ``(n,)``.
    soc
        State of charge [0..1], ``(n,)``.

    Returns
    -------
    NDArray
        ``(n,)`` [$/kWh], interpolated between the middles of cells and so not increasing in the state of
        charge.
    """
    cells = curves.shape[1]
    at = np.clip(soc * cells - 0.5, 0.0, cells - 1.0)
    left = np.minimum(at.astype(np.intp), cells - 2)
    part = at - left
    return np.asarray((1.0 - part) * curves[group, left] + part * curves[group, left + 1], dtype=np.float64)
