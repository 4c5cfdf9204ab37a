"""What owners expect of the feeder as a whole: its net load, and what the grid pays and asks.

With all batteries as one store this is a market at one node: what surplus there is costs what the grid pays
for it, what is short costs what the grid asks, and batteries move one into the other
(`cosim.population.stored_value`).
"""

from dataclasses import dataclass, field

import numpy as np

from cosim.population.prices import error_ahead
from cosim.population.source import Source
from cosim.scenario import Scenario
from cosim.scenario.arrays import Floats
from cosim.scenario.timeline import Timeline


@dataclass(frozen=True)
class FeederOutlook:
    """Expectations of load, sun and prices that all owners share.

    What is known of later intervals is what the market over a horizon knows of them (``market.ahead`` of the
    scenario). Behind the end of the data a day is like the one before; without a day before it is a usual
    one.

    Attributes
    ----------
    source
        Where load and PV come from.
    usual_load_kw, usual_sun_kw
        Load and PV of the whole feeder on a usual day, for each tick of the run and of the look-ahead behind
        it, ``(t,)`` [kW].
    low, high
        What the grid pays and asks in the same ticks, ``(t,)`` [$/kWh].
    """

    scenario: Scenario
    timeline: Timeline
    source: Source
    usual_load_kw: Floats
    usual_sun_kw: Floats
    low: Floats
    high: Floats
    _found: dict[int, tuple[float, float]] = field(default_factory=dict)

    def after(self, tick: int, count: int) -> tuple[Floats, Floats, Floats]:
        """Prices of the grid and net load of ``count`` ticks after one, as they are expected in it.

        Returns
        -------
        low, high
            What the grid will pay and ask, ``(count,)`` [$/kWh].
        net_kw
            Load minus PV of the whole feeder, ``(count,)`` [kW].
        """
        ticks = range(tick + 1, tick + 1 + count)
        load_kw, sun_kw = np.array([self._total(each) for each in ticks]).T
        errors = self.scenario.market.ahead
        load_kw = load_kw * self._factors(errors.load_error, "load", tick, count)
        sun_kw = sun_kw * self._factors(errors.sun_error, "sun", tick, count)
        price = self._factors(errors.price_error, "price", tick, count)
        return price * self.low[ticks], price * self.high[ticks], load_kw - sun_kw

    def _factors(self, error: float, what: str, tick: int, count: int) -> Floats:
        seed = self.scenario.run.seed
        return np.array(
            [error_ahead(error, self.timeline, seed, what, tick, later) for later in range(1, count + 1)]
        )

    def _total(self, tick: int) -> tuple[float, float]:
        """Mean load and available PV of a tick over the whole feeder [kW]."""
        if tick in self._found:
            return self._found[tick]
        day = round(24.0 / self.timeline.interval_h)
        behind = max(0, tick + 1 - self.source.ticks)
        at = tick - day * -(-behind // day)
        if at < 0:
            return float(self.usual_load_kw[tick]), float(self.usual_sun_kw[tick])
        load_kw, sun_kw = self.source.sample(at)
        found = float(load_kw.mean(axis=0).sum()), float(sun_kw.mean(axis=0).sum())
        self._found[tick] = found
        return found
