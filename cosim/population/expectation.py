"""What prosumers expect of load and sun, by a forecast of a user's own in place of the built-in one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np
import numpy.typing as npt

from cosim.population.profiles import Forecast
from cosim.scenario.arrays import Floats
from sharegrid.text import in_one_line


@dataclass(frozen=True)
class ForecastView:
    """What ``n`` prosumers know when they forecast an interval.

    Attributes
    ----------
    tick
        Number of the interval, from 0.
    starts
        When it starts, in the site's wall time.
    interval_h
        Its length [h].
    prosumer
        Names, ``(n,)``.
    pv_kwp
        Size of their PV systems, ``(n,)`` [kWp]; 0 where there is none.
    built_in
        What the built-in forecast says: the truth with the scenario's errors. Loads, here and in what is
        expected, are those at 1 pu.
    history
        Mean load and available PV [kW] of the last intervals before this one, oldest first, ``(c, n)`` each:
        as many as are asked for, or as the run has had.
    """

    tick: int
    starts: datetime
    interval_h: float
    prosumer: tuple[str, ...]
    pv_kwp: Floats
    built_in: Forecast
    history: Callable[[int], tuple[Floats, Floats]]


class Forecaster(Protocol):
    """Expects load and PV of an interval."""

    def expect(self, view: ForecastView) -> Forecast:
        """Mean load and available PV of the interval, ``(n,)`` each [kW], >= 0."""
        ...


@dataclass(frozen=True)
class Expectation:
    """A forecast, and which prosumers go by it, ``(n,)``; the others by the built-in one."""

    forecaster: Forecaster
    follows: npt.NDArray[np.bool_]

    def of(self, view: ForecastView) -> tuple[Forecast, str]:
        """What everybody expects, and what went wrong in it; whom the forecast fails expects the built-in."""
        usual = view.built_in
        try:
            given = self.forecaster.expect(view)
            load_kw, pv_kw = _column(given.load_kw, view), _column(given.pv_kw, view)
        except Exception as error:  # noqa: BLE001 - a forecast is anybody's code, and the market goes on
            return usual, f"the forecast failed, the built-in stands in: {in_one_line(error)}"
        right = (load_kw >= 0.0) & (pv_kw >= 0.0) & np.isfinite(load_kw) & np.isfinite(pv_kw)
        wrong = int((self.follows & ~right).sum())
        note = (
            f"the forecast failed {wrong} prosumers, the built-in stands in: a value is no power"
            if wrong
            else ""
        )
        use = self.follows & right
        expected = Forecast(
            load_kw=np.where(use, load_kw, usual.load_kw),
            pv_kw=np.where(use, np.minimum(pv_kw, view.pv_kwp), usual.pv_kw),
        )
        return expected, note


def _column(values: Floats, view: ForecastView) -> Floats:
    """One value per prosumer; raises ``ValueError`` where there are more or fewer."""
    column = np.asarray(values, dtype=np.float64)
    if column.shape != view.pv_kwp.shape:
        raise ValueError(f"expect() gave shape {column.shape} for {view.pv_kwp.size} prosumers")
    return column
