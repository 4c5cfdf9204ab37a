"""Which limits of the feeder bind in which interval, and at which prices: an active-set method in blocks.

Limits of one interval make a block. Blocks are coupled by stores alone, so that each block is moved as if the
others moved as planned, and all are solved together again.
"""

from __future__ import annotations

import numpy as np

from market.model.arrays import Bools, Floats, Ints
from market.solver.staircase import Staircases

TOGETHER, ALONE = 40, 200
"""Changes of the set of free limits, in all blocks at once; then, where blocks that are coupled closely keep
undoing what others did, one at a time, which cannot go in circles."""

LEAST_RIDGE = 1e-9
"""Fall that every limit has at least with its own price [kW per $/kWh], where nobody answers."""


def meet(stairs: Staircases, gram: Floats, block: Ints, y: Floats, value: Floats, tolerance: float) -> Floats:
    """Prices at which a linear model of limited values meets every staircase.

    Solves ``value - gram (z - y)  in  stairs(z)`` for z.

    Parameters
    ----------
    stairs
        n staircases.
    gram
        Fall of the values with the prices, ``(n, n)``, positive semidefinite.
    block
        Block of each limit, ``(n,)``.
    y, value
        Prices to start from, and the values there, ``(n,)`` each.
    tolerance
        How far a limit may stay off its riser.
    """
    price = y.copy()
    tread, upper = stairs.below(y), stairs.upto(y)
    free: Bools = np.asarray(tread == upper)
    row = np.arange(y.size)
    beyond = np.full((y.size, 1), np.inf)
    edge = np.concatenate([-beyond, stairs.kink, beyond], axis=1)
    ridge = max(1e-13 * float(np.diagonal(gram).max(initial=0.0)), LEAST_RIDGE)
    blocks = int(block.max(initial=-1)) + 1
    for change in range(TOGETHER + ALONE):
        if change == TOGETHER:
            block, blocks = np.zeros_like(block), 1
        now = value - gram @ (price - y)
        some = np.flatnonzero(free)
        if some.size:
            inner = gram[np.ix_(some, some)]
            inner.flat[:: some.size + 1] += ridge
            step = np.linalg.solve(inner, now[some] - stairs.level[some, tread[some]])
            low, high = edge[some, tread[some]], edge[some, tread[some] + 1]
            kink = np.where(step < 0, low, high)
            room = np.divide(kink - price[some], step, out=np.full(some.size, np.inf), where=step != 0)
            part = np.ones(blocks)
            np.minimum.at(part, block[some], np.maximum(room, 0.0))
            price[some] += part[block[some]] * step
            stops = some[(room <= part[block[some]]) & (room < 1.0)]
            if stops.size:
                at = np.where(
                    step[np.isin(some, stops)] < 0, low[np.isin(some, stops)], high[np.isin(some, stops)]
                )
                price[stops] = at
                free[stops] = False
                tread[stops] = np.count_nonzero(stairs.kink[stops] < at[:, None], axis=1)
                upper[stops] = np.count_nonzero(stairs.kink[stops] <= at[:, None], axis=1)
                continue
            now = value - gram @ (price - y)
        off = np.where(free, 0.0, np.maximum(now - stairs.level[row, upper], stairs.level[row, tread] - now))
        worst = np.zeros(blocks)
        np.maximum.at(worst, block, off)
        release = np.flatnonzero((off > tolerance) & (off >= worst[block]))
        if not release.size:
            break
        free[release] = True
        rises = now[release] > stairs.level[release, upper[release]]
        tread[release] = np.where(rises, upper[release], tread[release])
    return price
