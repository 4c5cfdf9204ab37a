"""Prices of the grid that a co-simulation sets for single intervals, in place of the scenario's."""

from __future__ import annotations

from dataclasses import replace

from broker.messages import Step
from market.model.case import Grid


class ToldPrices:
    """What was told for which interval; every service of the market hears it in the clock's steps."""

    def __init__(self) -> None:
        self._by_tick: dict[int, tuple[float | None, float | None]] = {}

    def take(self, step: Step) -> None:
        """Take a step in."""
        told = step.boundary
        if told is not None and (told.import_price, told.export_price) != (None, None):
            self._by_tick[step.tick] = told.import_price, told.export_price

    def over(self, tick: int, grid: Grid) -> Grid:
        """The grid of an interval, with the prices that were told for it."""
        if tick not in self._by_tick:
            return grid
        bought, sold = self._by_tick[tick]
        return replace(
            grid,
            import_price=grid.import_price if bought is None else bought,
            export_price=grid.export_price if sold is None else sold,
        )
