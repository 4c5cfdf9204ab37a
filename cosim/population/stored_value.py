"""What a stored kilowatt-hour is worth to its owner, by backward induction on a forecast.

The marginal value of stored energy falls with the state of charge: the next kilowatt-hour goes to the best
use that is still free before the horizon. Batteries so charge at noon and discharge in the evening by
themselves.

A forecast may be a path of prices. Owners who all go by one path act together where it is best, and their
energy is more than that moment's price bears. So a forecast may also say how much is bought or sold at which
price: then each curve is that of all batteries as one store in a market at one node, of which every owner
takes the value at its own state of charge.
"""

import numpy as np
from numpy.typing import NDArray

from cosim.scenario.arrays import Floats

CELLS = 48


def value_curves(
    low: Floats,
    high: Floats,
    net: Floats,
    c_rate_per_h: Floats,
    efficiency: Floats,
    wear: float,
    dt_h: float,
    cells: int = CELLS,
    slope: Floats | None = None,
    kept: float = 1.0,
) -> Floats:
    """Marginal value of stored energy against the state of charge, at the start of a forecast.

    Between two steps the owner may sell (a stored kWh brings ``efficiency (price - wear)``) or buy (it costs
    ``(price + wear) / efficiency``), each up to the converter's rating. As much as is short is sold at the
    high price and the rest at the low one; as much as is left over is bought at the low price and the rest at
    the high one. Where its own power moves its price, an owner sells each further kWh for less and buys it
    for more. The value function stays concave, and the Bellman step is a sup-convolution of two concave
    functions: their marginal values are merged in falling order and the part between empty and full is kept.
    After the horizon stored energy is worth nothing.

    Parameters
    ----------
    low, high
        Prices for surplus and for what is short, of each of ``g`` groups [$/kWh], ``(g, t)`` each; the same
        for a forecast of prices alone.
    net
        What is short in each step, - left over, in terms of the batteries' capacity [kWh/kWh], ``(t,)``;
        batteries of several groups share it by capacity.
    c_rate_per_h
        Rating per capacity [1/h], ``(g,)``.
    efficiency
        One-way efficiency, ``(g,)``.
    wear
        Cost of wear through the terminals [$/kWh].
    dt_h
        Length of a step [h].
    cells
        In how many the state of charge is divided.
    slope
        Rise of an owner's price with the power that it buys, in terms of its battery's capacity
        [$/kWh per kW/kWh], ``(g,)``; none when left out.
    kept
        Part of the energy that is left after a step without power.

    Returns
    -------
    NDArray
        Value of a further stored kWh [$/kWh] in each of ``cells`` equal cells of state of charge from empty
        to full, ``(g, cells)``, not increasing.
    """
    groups, steps = low.shape
    per_step = c_rate_per_h * dt_h * cells
    eta = efficiency[:, None]
    sold = np.clip(np.rint(per_step / efficiency), 1, cells).astype(np.intp)
    bought = np.clip(np.rint(per_step * efficiency), 1, cells).astype(np.intp)
    curve = np.zeros((groups, cells))
    # Groups differ in how many cells a step moves; unused places sort to the ends, outside the part kept.
    each_sold, each_bought = np.arange(sold.max()), np.arange(bought.max())
    may_sell, may_buy = each_sold < sold[:, None], each_bought < bought[:, None]
    above = bought.max()
    own = np.zeros(groups) if slope is None else slope
    # What a cell more moves the price by: power is its energy at the terminals over a step.
    sold_off = own[:, None] * (each_sold + 0.5) * eta / (cells * dt_h)
    bought_off = own[:, None] * (each_bought + 0.5) / eta / (cells * dt_h)
    for t in range(steps - 1, -1, -1):
        cheap, dear = low[:, t, None], high[:, t, None]
        # Part of each cell for which there is somebody who is short, or who has surplus.
        wanted = np.clip(max(net[t], 0.0) * cells / eta - each_sold, 0.0, 1.0)
        spare = np.clip(max(-net[t], 0.0) * cells * eta - each_bought, 0.0, 1.0)
        sell = eta * np.maximum(cheap + wanted * (dear - cheap) - wear - sold_off, 0.0)
        buy = np.maximum(dear - spare * (dear - cheap) + wear + bought_off, 0.0) / eta
        actions = np.where(may_sell, sell, -np.inf)
        supplies = np.where(may_buy, buy, np.inf)
        merged = -np.sort(-np.concatenate([curve, actions, supplies], axis=1), axis=1)
        curve = merged[:, above : above + cells]
        if kept < 1.0:
            # Of a kWh more at a step's beginning so much is left, where the battery is then less full.
            curve = kept * _between_cells(curve, kept * (np.arange(cells) + 0.5) / cells)
    return curve


def value_at(curves: Floats, group: NDArray[np.intp], soc: Floats) -> Floats:
    """Marginal value of stored energy of single batteries.

    Parameters
    ----------
    curves
        From `value_curves`, ``(g, cells)``.
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
    left, part = _cells_beside(soc, curves.shape[1])
    return np.asarray((1.0 - part) * curves[group, left] + part * curves[group, left + 1], dtype=np.float64)


def _between_cells(curves: Floats, soc: Floats) -> Floats:
    """Each curve at states of charge ``(m,)``, ``(g, m)``."""
    left, part = _cells_beside(soc, curves.shape[1])
    return np.asarray((1.0 - part) * curves[:, left] + part * curves[:, left + 1], dtype=np.float64)


def _cells_beside(soc: Floats, cells: int) -> tuple[NDArray[np.intp], Floats]:
    """Of the two cells whose middles are next to a state of charge the lower one, and the other's weight."""
    at = np.clip(soc * cells - 0.5, 0.0, cells - 1.0)
    left = np.minimum(at.astype(np.intp), cells - 2)
    return left, at - left
