"""Charging of electric vehicles: what has to be drawn until they leave, and what they draw.

Power and energy are those drawn from the grid, positive. A charger cannot go below a least power other than
0: six amperes by IEC 61851-1, which is 1.38 kW on one phase of 230 V and 4.14 kW on three.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class ChargingRange(NamedTuple):
    """Least and greatest mean power of the next interval [kW], and how urgent it is [0..1]."""

    least_kw: Array
    most_kw: Array
    urgency: Array


def charging_range(
    needs_kwh: ArrayLike, left_h: ArrayLike, rating_kw: ArrayLike, interval_h: float
) -> ChargingRange:
    """What vehicles may draw in an interval so that each has what it needs when it leaves.

    Parameters
    ----------
    needs_kwh
        Energy still wanted, ``(n,)`` [kWh].
    left_h
        Time until it leaves, ``(n,)`` [h]; infinity where nobody knows.
    rating_kw
        Most that can be drawn, ``(n,)`` [kW].
    interval_h
        Length of the interval [h].

    Returns
    -------
    ChargingRange
        ``least_kw`` is what cannot be made up for later; ``urgency`` the share of the time left for which it
        would have to charge at full power, 1 where that is not enough.
    """
    needs, left, rating = (np.asarray(each, dtype=np.float64) for each in (needs_kwh, left_h, rating_kw))
    needs, left = np.maximum(needs, 0.0), np.maximum(left, 0.0)
    most_kw = np.minimum(rating, needs / interval_h)
    later_kwh = rating * np.maximum(left - interval_h, 0.0)
    least_kw = np.minimum(np.maximum(needs - later_kwh, 0.0) / interval_h, most_kw)
    possible_kwh = rating * left
    urgency = np.where(
        needs > 0.0, np.minimum(needs / np.where(possible_kwh > 0.0, possible_kwh, needs), 1.0), 0.0
    )
    return ChargingRange(least_kw, most_kw, np.where(np.isinf(left), 0.0, urgency))


def charge(
    charged_kwh: ArrayLike,
    wanted_kwh: ArrayLike,
    limit_kw: ArrayLike,
    rating_kw: ArrayLike,
    least_kw: ArrayLike,
    dt_h: float,
) -> tuple[Array, Array]:
    """Let vehicles charge for a time.

    Parameters
    ----------
    charged_kwh, wanted_kwh
        Energy drawn so far, and when it is full, ``(n,)`` [kWh].
    limit_kw, rating_kw
        Most that it may draw, and most that it can, ``(n,)`` [kW].
    least_kw
        Below this it pauses, ``(n,)`` [kW].
    dt_h
        How long [h].

    Returns
    -------
    p_kw, charged_kwh
        Mean power over the time [kW] and energy drawn at its end [kWh], ``(n,)`` each.
    """
    charged, wanted = np.asarray(charged_kwh, dtype=np.float64), np.asarray(wanted_kwh, dtype=np.float64)
    allowed_kw = np.minimum(np.maximum(np.asarray(limit_kw, dtype=np.float64), 0.0), rating_kw)
    flowing_kw = np.where(allowed_kw >= least_kw, allowed_kw, 0.0)
    taken_kwh = np.minimum(flowing_kw * dt_h, np.maximum(wanted - charged, 0.0))
    return taken_kwh / dt_h, charged + taken_kwh
