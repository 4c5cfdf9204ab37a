"""The price of losses: what the grid takes for the last kWh at the feeder head, as flows have it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from market.model.case import Grid
from market.model.limits import MISSED_KW
from market.solver.root import Bracket, narrow

NO_PRICE = 1e-10
"""A price of the head's limit below this is none [$/kWh]."""

IDLE_KW = 1e-9
"""Power at the head below this is none, where a price of losses is looked for at which it carries nothing."""

IDLE_STEPS = 8
"""Bound on such prices that are tried; where flows jump between them, there is none."""

T = TypeVar("T")


def at_loss_price(
    grid: Grid,
    clear: Callable[[float, Grid], T],
    head_kw: Callable[[T], float],
    head_price: Callable[[T], float],
    *,
    near_kw: float,
    has_losses: bool,
    tries: int = IDLE_STEPS,
) -> T:
    """What a market comes to when losses cost what the grid takes for the last kWh at the feeder head.

    That is the import price where the head imports and the export price where it exports. Where it does
    neither at the other's price, it carries nothing, at a price between.

    Parameters
    ----------
    grid
        The grid's prices and limits.
    clear
        Clears at a price of losses [$/kWh] and limits of the grid.
    head_kw, head_price
        Power at the feeder head that a clearing came to [kW], and the price of the head's limit [$/kWh].
    near_kw
        What that may come to; it saves a clearing.
    has_losses
        Whether the price of losses makes a difference.
    tries
        How many prices are tried at which the head may carry nothing by itself, before it is closed.
    """
    found = {}
    for price in sorted((grid.import_price, grid.export_price), reverse=near_kw >= 0.0):
        found[price] = clear(price, grid)
        beyond_kw = head_kw(found[price]) if price == grid.export_price else -head_kw(found[price])
        if not has_losses or beyond_kw <= MISSED_KW or grid.import_price == grid.export_price:
            return found[price]

    # The head carries nothing, at the price where that needs no price of its own: often soon found.
    def drawn(price: float) -> float:
        found[price] = clear(price, grid)
        return -head_kw(found[price])

    low, high = grid.export_price, grid.import_price
    ends = Bracket(low, -head_kw(found[low]), high, -head_kw(found[high]))
    price = narrow(drawn, ends, IDLE_KW, most=tries).low
    if abs(head_kw(found[price])) <= IDLE_KW:
        return found[price]
    closed = replace(grid, import_limit_kw=0.0, export_limit_kw=0.0)

    def beyond(price: float) -> float:
        found[price] = clear(price, closed)
        return -head_price(found[price])

    ends = Bracket(low, beyond(low), high, beyond(high))
    price = narrow(beyond, ends, NO_PRICE).low
    if abs(head_price(found[price])) > NO_PRICE:
        # The head's price is a range, of which another part was met, if nothing flows there without a limit.
        free = clear(price, grid)
        return free if abs(head_kw(free)) <= MISSED_KW else found[price]
    return found[price]
