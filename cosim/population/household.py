"""The standard household's load: BDEW profile H0 with its seasonal dynamics, looked up by local wall time.

demandlib tabulates the profile by calendar year in naive local time; here the years that a run touches are
put end to end, so that shifted habits and runs over New Year never wrap around.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosim.scenario.timeline import EPOCH, Timeline

STEP_MIN = 15.0
MARGIN_MIN = 24 * 60.0


@dataclass(frozen=True, slots=True)
class HouseholdShape:
    """Load of a standard household in kW per kWh of annual consumption, over a span of wall time."""

    first_wall_min: float
    kw_per_kwh: NDArray[np.float64]

    def at(self, wall_min: NDArray[np.float64]) -> NDArray[np.float64]:
        """Load at some instants of wall time, interpolated between the middles of quarter hours.

        Parameters
        ----------
        wall_min
            Wall time [min since 1970-01-01 00:00 on the local clock], any shape.

        Returns
        -------
        NDArray
            Load [kW per kWh/a], same shape. Outside the span the end values hold.
        """
        # In absolute quarter hours, so that rounding does not depend on where the span begins.
        first = self.first_wall_min / STEP_MIN
        at = np.clip(wall_min / STEP_MIN - 0.5, first, first + len(self.kw_per_kwh) - 1.001)
        whole = np.floor(at)
        part = at - whole
        left = (whole - first).astype(np.intp)
        return (1.0 - part) * self.kw_per_kwh[left] + part * self.kw_per_kwh[left + 1]


def household_shape(timeline: Timeline, extra_ticks: int = 0) -> HouseholdShape:
    """Profile H0 over a run, with a day to spare at both ends.

    Parameters
    ----------
    timeline
        Ticks of the run.
    extra_ticks
        Ticks after the end that are needed too, as for forecasts.

    Returns
    -------
    HouseholdShape
        Covering all ticks with shifts of up to a day.
    """
    start_min = timeline.start_epoch_min
    end_min = start_min + (timeline.intervals + extra_ticks) * timeline.interval_min
    first, last = start_min - 2 * MARGIN_MIN, end_min + 2 * MARGIN_MIN
    epoch_year = EPOCH.year
    years = range(_year(first), _year(last) + 1)
    origin = float(
        (np.datetime64(f"{years[0]}-01-01", "m") - np.datetime64(f"{epoch_year}-01-01", "m")).astype(int)
    )
    kw = np.concatenate([_year_of_h0(year) for year in years])
    low, high = int((first - origin) // STEP_MIN), int(np.ceil((last - origin) / STEP_MIN))
    low, high = max(low, 0), min(high, len(kw))
    return HouseholdShape(origin + low * STEP_MIN, kw[low:high].copy())


def _year(epoch_min: float) -> int:
    return int(np.datetime64(int(epoch_min), "m").astype("datetime64[Y]").astype(int)) + EPOCH.year


def _year_of_h0(year: int) -> NDArray[np.float64]:
    """Quarter hours of one calendar year [kW per kWh/a]; they sum to one kWh over the year."""
    with warnings.catch_warnings():
        # demandlib turns warnings into errors for the whole process.
        from demandlib.bdew import ElecSlp

        class Households(ElecSlp):  # type: ignore[misc]
            """Households alone, in half the time of all eleven profiles, to the bit."""

            def all_load_profiles(self, time_df: object, holidays: object = None) -> object:
                return self.create_bdew_load_profiles(time_df, ["h0"], holidays=holidays)

        share = Households(year).get_profiles("h0_dyn")["h0_dyn"].to_numpy(dtype=np.float64)
    return np.asarray(share / share.sum() * (60.0 / STEP_MIN), dtype=np.float64)
