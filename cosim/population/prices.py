"""Prices of a run: the grid's and the utility's by local hour, and what owners expect of the market ahead.

The outlook is simple on purpose: a market price lies between the grid's export and import price, near the
first when the feeder as a whole has a surplus and near the second when it is short.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cosim.population.noise import generator
from cosim.scenario.checks import hourly
from cosim.scenario.market_section import MarketSection
from cosim.scenario.timeline import Timeline

BLOCK = 96


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices that hold in one interval [$/kWh]."""

    import_price: float
    export_price: float
    retail_price: float
    feed_in_price: float


def prices_at(market: MarketSection, timeline: Timeline, tick: int) -> Prices:
    """Prices at a tick, by the local hour in which it starts."""
    hour = timeline.local(tick).hour
    return Prices(
        import_price=hourly(market.grid.import_price)[hour],
        export_price=hourly(market.grid.export_price)[hour],
        retail_price=hourly(market.tariff.retail_price)[hour],
        feed_in_price=hourly(market.tariff.feed_in_price)[hour],
    )


def prices_ahead(market: MarketSection, timeline: Timeline, seed: int, tick: int, ahead: int) -> Prices:
    """Prices of the interval so many ticks later, as they are expected in a tick: the grid's have errors."""
    true = prices_at(market, timeline, tick + ahead)
    factor = error_ahead(market.ahead.price_error, timeline, seed, "price", tick, ahead)
    return replace(true, import_price=factor * true.import_price, export_price=factor * true.export_price)


def error_ahead(error: float, timeline: Timeline, seed: int, what: str, tick: int, ahead: int) -> float:
    """Factor of an expectation upon what will be, the same for everybody.

    Parameters
    ----------
    error
        Relative standard error of what is a day ahead; it grows with the square root of the time.
    what
        What is expected.
    """
    if not error or not ahead:
        return 1.0
    index = timeline.start_epoch_min // timeline.interval_min + tick + ahead
    now = error * float(np.sqrt(ahead * timeline.interval_h / 24.0))
    return max(1.0 + now * generator(seed, f"ahead.{what}", index).standard_normal(), 0.0)


def expected_prices(
    market: MarketSection, wall_min: NDArray[np.float64], net_load_kw: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Market price to expect from the feeder's expected net load.

    Parameters
    ----------
    market
        Grid prices.
    wall_min
        Local wall time of each tick [min since 1970 on the local clock], ``(t,)``.
    net_load_kw
        Expected load minus PV of the whole feeder, ``(t,)``.

    Returns
    -------
    NDArray
        ``(t,)`` [$/kWh]: export price + (import price - export price) (1 + net load / its largest magnitude)
        / 2.
    """
    low, high = grid_prices(market, wall_min)
    largest = max(float(np.abs(net_load_kw).max(initial=0.0)), 1e-9)
    return np.asarray(low + (high - low) * 0.5 * (1.0 + net_load_kw / largest), dtype=np.float64)


def grid_prices(
    market: MarketSection, wall_min: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the grid pays and asks at instants of wall time [min since 1970], ``(t,)`` each [$/kWh]."""
    hour = (wall_min // 60.0).astype(np.intp) % 24
    low, high = market.grid.export_price, market.grid.import_price
    return np.array(hourly(low))[hour], np.array(hourly(high))[hour]


def opinions_of(
    expected: NDArray[np.float64], seed: int, first_index: int, opinions: int, error: float
) -> NDArray[np.float64]:
    """Price forecasts of owners who differ in their opinion.

    Parameters
    ----------
    expected
        Expected price of the ticks ahead, ``(t,)`` [$/kWh].
    seed
        Seed of the scenario.
    first_index
        Interval number of the first of these ticks since 1970: an opinion about an instant stays the same.
    opinions
        How many.
    error
        Relative standard error.

    Returns
    -------
    NDArray
        ``(opinions, t)`` [$/kWh].
    """
    days = _day_block(first_index, len(expected))
    z = np.concatenate(
        [generator(seed, "outlook", day).standard_normal((opinions, BLOCK)) for day in days], axis=1
    )
    offset = first_index - days[0] * BLOCK
    return np.asarray(expected * (1.0 + error * z[:, offset : offset + len(expected)]), dtype=np.float64)


def _day_block(first: int, count: int) -> range:
    return range(first // BLOCK, (first + count - 1) // BLOCK + 1)
