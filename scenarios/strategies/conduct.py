"""A bidding strategy and a forecast of one's own, for the scenario beside this file."""

from dataclasses import replace

import numpy as np

from cosim.population.expectation import ForecastView
from cosim.population.profiles import Forecast
from market.model.curves import Curves
from market.model.strategy import View


class Markup:
    """Bids as if everything that a prosumer can make or save cost ``markup`` [$/kWh] more than it does."""

    def __init__(self, markup: float) -> None:
        self.markup = markup

    def bid(self, view: View) -> Curves:
        """Best responses by costs that are not the true ones."""
        resources = view.resources
        return view.costing(replace(resources, cost_linear=resources.cost_linear + self.markup))


class Persistence:
    """Expects the mean of the last ``intervals``; before there are any, what the built-in forecast says."""

    def __init__(self, intervals: int = 2) -> None:
        self.intervals = intervals

    def expect(self, view: ForecastView) -> Forecast:
        """What was is what will be."""
        load_kw, pv_kw = view.history(self.intervals)
        if len(load_kw) == 0:
            return view.built_in
        return Forecast(np.mean(load_kw, axis=0), np.mean(pv_kw, axis=0))
