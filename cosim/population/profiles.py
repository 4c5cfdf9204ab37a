"""What load, sun and prices do in each interval, and what prosumers expect of them beforehand.

Everything is keyed by absolute time, so ticks can be asked for in any order, and only smooth curves of the
whole feeder are kept in memory however long the run is.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosim.population.bidding_rule import price_slopes
from cosim.population.feeder_outlook import FeederOutlook
from cosim.population.household import household_shape
from cosim.population.members import Population
from cosim.population.noise import generator
from cosim.population.prices import expected_prices, grid_prices, opinions_of
from cosim.population.source import Source, Synthetic
from cosim.population.stored_value import CELLS, value_at, value_curves
from cosim.population.sun import clear_sky_kw_per_kwp, mean_cloud_factor
from cosim.scenario import Scenario
from cosim.scenario.arrays import Floats
from cosim.scenario.timeline import Timeline, timeline_of
from devices.physics.battery import retention

VALUE_STEP_MIN = 60
"""Intervals that owners take together when they value energy by a path of prices."""

CLEARED_STEP_MIN, CLEARED_CELLS = 15, 192
"""The same where they go by the feeder's net load, and in how many cells they divide a battery."""


@dataclass(frozen=True, slots=True)
class Actual:
    """What happens at the sub-steps of an interval: load and available PV [kW], ``(s, n)`` each."""

    load_kw: Floats
    pv_kw: Floats


@dataclass(frozen=True, slots=True)
class Forecast:
    """What prosumers expect of an interval on average: load and available PV [kW], ``(n,)`` each."""

    load_kw: Floats
    pv_kw: Floats


@dataclass(frozen=True, slots=True)
class Profiles:
    """Load, PV and price expectations of one run.

    Attributes
    ----------
    source
        Where actual load and PV come from.
    timeline
        Ticks of the run.
    outlook
        Expected market price of each tick and of the horizon after the last [$/kWh], ``(intervals +
        horizon,)``.
    feeder
        What owners expect of the feeder as a whole, where they go by that instead.
    """

    scenario: Scenario
    population: Population
    timeline: Timeline
    source: Source
    outlook: Floats
    feeder: FeederOutlook | None
    battery: NDArray[np.intp]
    battery_group: NDArray[np.intp]
    group_opinion: NDArray[np.intp]
    group_rate_per_h: Floats
    group_efficiency: Floats
    group_slope: Floats

    @property
    def ticks(self) -> int:
        """Ticks of which load and sun are known: those of the run, and those that a horizon looks at."""
        return self.source.ticks

    @property
    def horizon(self) -> int:
        """Ticks that owners look ahead."""
        return len(self.outlook) - self.timeline.intervals

    def sample(self, tick: int) -> Actual:
        """Load and available PV that really occur in a tick.

        Parameters
        ----------
        tick
            From 0 to the run's intervals - 1, or `ticks` - 1 for what a horizon looks at; in any order.

        Returns
        -------
        Actual
            At the middles of the sub-steps, ``(s, n)``.
        """
        return Actual(*self.source.sample(tick))

    def forecast(self, tick: int, actual: Actual | None = None) -> Forecast:
        """Load and available PV that prosumers expect when they bid for a tick.

        The mean of what will happen, times an error of each prosumer and, for PV, one that all share.

        Parameters
        ----------
        tick
            As in `sample`.
        actual
            The tick's sample, if it is at hand already.

        Returns
        -------
        Forecast
            ``(n,)``; exact where the scenario's forecast errors are 0.
        """
        actual = actual if actual is not None else self.sample(tick)
        section, seed, n = self.scenario.population, self.scenario.run.seed, self.population.size
        index = self.timeline.start_epoch_min // self.timeline.interval_min + tick
        rng = generator(seed, "forecast", index)
        load_error = section.forecast_error * rng.standard_normal(n)
        shared = self.scenario.weather.forecast_error * rng.standard_normal()
        pv_error = shared + section.pv.forecast_error * rng.standard_normal(n)
        return Forecast(
            load_kw=actual.load_kw.mean(axis=0) * np.maximum(1.0 + load_error, 0.0),
            pv_kw=np.minimum(
                actual.pv_kw.mean(axis=0) * np.maximum(1.0 + pv_error, 0.0), self.population.pv_kwp
            ),
        )

    def price_forecast(self, tick: int, horizon: int | None = None) -> Floats:
        """Market prices that owners expect after a tick.

        Parameters
        ----------
        tick
            The forecast begins with the tick after this one.
        horizon
            Number of ticks, at most that of the scenario (the default).

        Returns
        -------
        NDArray
            ``(opinions, horizon)`` [$/kWh], one row for each opinion that goes round.
        """
        section = self.scenario.population.outlook
        count = self.horizon if horizon is None else min(horizon, self.horizon)
        index = self.timeline.start_epoch_min // self.timeline.interval_min + tick + 1
        expected = self.outlook[tick + 1 : tick + 1 + count]
        return opinions_of(expected, self.scenario.run.seed, index, section.opinions, section.price_error)

    @property
    def battery_retention(self) -> float:
        """Part of its energy that a battery at rest has left after an interval."""
        return self._retention(self.timeline.interval_h)

    def _retention(self, hours: float) -> float:
        return float(retention(self.scenario.population.battery.self_discharge, hours))

    def stored_energy_value(self, tick: int, soc: Floats) -> Floats:
        """What a further stored kWh is worth to each owner at the end of a tick.

        Parameters
        ----------
        tick
            The tick that is bid for.
        soc
            State of charge of all prosumers [0..1], ``(n,)``.

        Returns
        -------
        NDArray
            ``(n,)`` [$/kWh], not negative, not increasing in the state of charge; 0 without a battery.
        """
        value = np.zeros(self.population.size)
        if len(self.battery) == 0:
            return value
        curves = self._curves_by_price(tick) if self.feeder is None else self._curves_by_net_load(tick)
        mine = value_at(curves, self.battery_group, np.asarray(soc, dtype=np.float64)[self.battery])
        value[self.battery] = mine * self.population.value_factor[self.battery]
        return value

    def _curves_by_price(self, tick: int) -> Floats:
        """Value of stored energy of each group by a path of prices, ``(g, cells)``."""
        step = max(1, VALUE_STEP_MIN // self.timeline.interval_min)
        price = _by_blocks(self.price_forecast(tick), step)[self.group_opinion]
        return self._curves(price, price, np.zeros(price.shape[1]), step, CELLS, None)

    def _curves_by_net_load(self, tick: int) -> Floats:
        """The same with all batteries as one store, by what the feeder lacks and has too much of."""
        assert self.feeder is not None
        section, timeline = self.scenario.population.outlook, self.timeline
        step = max(1, CLEARED_STEP_MIN // timeline.interval_min)
        low, high, net_kw = self.feeder.after(tick, self.horizon)
        index = timeline.start_epoch_min // timeline.interval_min + tick + 1

        def believed(price: Floats) -> Floats:
            seed, error = self.scenario.run.seed, section.price_error
            opinions = opinions_of(price, seed, index, section.opinions, error)
            return _by_blocks(opinions, step)[self.group_opinion]

        capacity = float(self.population.battery_kwh[self.battery].sum())
        net = _by_blocks(net_kw[None, :], step)[0] * step * timeline.interval_h / capacity
        return self._curves(believed(low), believed(high), net, step, CLEARED_CELLS, self.group_slope)

    def _curves(
        self, low: Floats, high: Floats, net: Floats, step: int, cells: int, slope: Floats | None
    ) -> Floats:
        wear, dt_h = self.scenario.population.battery.wear_price, step * self.timeline.interval_h
        rate, efficiency = self.group_rate_per_h, self.group_efficiency
        return value_curves(low, high, net, rate, efficiency, wear, dt_h, cells, slope, self._retention(dt_h))


def _by_blocks(rows: Floats, step: int) -> Floats:
    """Means of ``step`` ticks each, ``(r, blocks)``; what is left at the end is left out."""
    blocks = max(1, rows.shape[1] // step)
    return np.asarray(rows[:, : blocks * step].reshape(len(rows), blocks, -1).mean(axis=2))


def build_profiles(scenario: Scenario, population: Population, sites: int) -> Profiles:
    """Profiles of a run; the only place that calls the profile libraries, once for the whole run.

    Parameters
    ----------
    scenario
        Time, place, weather and prices.
    population
        Prosumers.
    sites
        Number of LAMs, each under its own patch of sky.

    Returns
    -------
    Profiles
        Ready for any tick.

    Raises
    ------
    ScenarioError
        A user's table of profiles cannot be used.
    """
    timeline = timeline_of(scenario.run)
    horizon = max(1, round(scenario.population.outlook.horizon_h / timeline.interval_h))
    is_cleared = scenario.population.outlook.prices == "cleared"
    known = timeline.intervals + max(scenario.market.horizon - 1, horizon if is_cleared else 0)
    ticks = max(timeline.intervals + horizon, known) + 1
    shape = household_shape(timeline, ticks - timeline.intervals)
    offset_min = timeline.wall_offset_min(0, ticks)
    epoch_min = timeline.substep_epoch_min(0, ticks)
    clear = clear_sky_kw_per_kwp(scenario.site, scenario.population.pv, epoch_min)
    synthetic = Synthetic(
        scenario,
        population,
        sites,
        timeline,
        shape,
        offset_min,
        clear[: known * timeline.substeps],
    )
    source: Source = synthetic
    if scenario.tables.profiles:
        from cosim.population.profile_table import read_profiles

        source = read_profiles(scenario, population, timeline, synthetic)
    ticks = timeline.intervals + horizon + 1
    clear = clear[: ticks * timeline.substeps]
    middle_min = (
        timeline.start_epoch_min + (np.arange(ticks) + 0.5) * timeline.interval_min + offset_min[:ticks]
    )
    load_kw = shape.at(middle_min) * population.annual_kwh.sum()
    kwp = np.bincount(population.orientation, population.pv_kwp, clear.shape[1])
    sun_kw = (
        clear.reshape(ticks, timeline.substeps, -1).mean(axis=1) @ kwp * mean_cloud_factor(scenario.weather)
    )
    outlook = expected_prices(scenario.market, middle_min, load_kw - sun_kw)
    feeder = None
    if is_cleared:
        low, high = grid_prices(scenario.market, middle_min)
        feeder = FeederOutlook(scenario, timeline, source, load_kw, sun_kw, low, high)
    slopes = price_slopes(scenario.market, np.maximum(np.bincount(population.lam, minlength=sites), 1))
    groups = _battery_groups(population, slopes[population.lam])
    return Profiles(scenario, population, timeline, source, outlook[: ticks - 1], feeder, *groups)


def _battery_groups(
    population: Population, slope: Floats
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], Floats, Floats, Floats]:
    """Owners of batteries, and groups of them that share opinion, duration (within 20 %) and efficiency.

    ``slope`` is the rise of each prosumer's price with its own trade, ``(n,)``.
    """
    owner = np.flatnonzero(population.has_battery)
    rate = population.battery_kw[owner] / population.battery_kwh[owner]
    efficiency = population.battery_efficiency[owner]
    alike = np.stack([population.opinion[owner], np.rint(4.0 * np.log2(rate)), np.rint(100.0 * efficiency)])
    groups, group = np.unique(alike, axis=1, return_inverse=True)
    group = group.reshape(-1).astype(np.intp)
    members = np.maximum(np.bincount(group, minlength=groups.shape[1]), 1)
    mean_rate = np.bincount(group, rate, groups.shape[1]) / members
    mean_efficiency = np.bincount(group, efficiency, groups.shape[1]) / members
    mean_slope = np.bincount(group, (slope * population.battery_kwh)[owner], groups.shape[1]) / members
    return owner, group, groups[0].astype(np.intp), mean_rate, mean_efficiency, mean_slope
