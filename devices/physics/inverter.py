"""Inverter physics as array functions: ramps, curtailment and the reaction to a target.

Emulated devices use them between two register writes; the virtual population uses them for a whole
interval at once. Power is positive when it generates or discharges; inverters run at unity power factor.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Motion:
    """What a power did during a step.

    Attributes
    ----------
    up_kws
        Time integral of the positive part of the power [kW s], ``(n,)``.
    down_kws
        Time integral of the negative part [kW s], ``(n,)``, not positive.
    end_kw
        Power at the end of the step [kW], ``(n,)``.
    """

    up_kws: Array
    down_kws: Array
    end_kw: Array

    @property
    def net_kws(self) -> Array:
        """Time integral of the power [kW s]."""
        return self.up_kws + self.down_kws


def ramp(start_kw: ArrayLike, target_kw: ArrayLike, rate_kw_s: ArrayLike, dt_s: ArrayLike) -> Motion:
    """Power that moves towards a target at a bounded rate and then stays, integrated exactly.

    The power is linear until ``tau = min(dt, |target - start| / rate)`` and constant after it; positive
    and negative parts are integrated apart, because a battery loses energy both ways.

    Parameters
    ----------
    start_kw
        Power at the start [kW], ``(n,)``.
    target_kw
        Power to be reached [kW], ``(n,)``.
    rate_kw_s
        Largest change per second [kW/s], ``(n,)``, positive; infinity moves at once.
    dt_s
        Length of the step [s], ``(n,)`` or one for all, not negative.

    Returns
    -------
    Motion
        Integrals of both parts and the power at the end.
    """
    start, target, rate, dt = (
        np.asarray(a, dtype=np.float64) for a in (start_kw, target_kw, rate_kw_s, dt_s)
    )
    gap = target - start
    tau = np.minimum(dt, np.abs(gap) / rate)
    reach = np.where(np.isfinite(rate), rate, 0.0) * tau
    end = np.where(tau < dt, target, start + np.clip(gap, -reach, reach))
    up = _positive_area(start, end, tau) + np.maximum(end, 0.0) * (dt - tau)
    down = _positive_area(-start, -end, tau) + np.maximum(-end, 0.0) * (dt - tau)
    return Motion(up, -down, end)


def curtail(
    start_kw: ArrayLike,
    available_kw: ArrayLike,
    limit_kw: ArrayLike,
    rate_kw_s: ArrayLike,
    dt_s: ArrayLike,
) -> Motion:
    """Generation of a PV inverter that follows sun and limit.

    It may be as high as the sun allows and no higher than the limit. A change up, or down to a lower limit,
    follows the ramp; the loss of sun acts at once.

    Parameters
    ----------
    start_kw
        Generation at the start [kW], ``(n,)``.
    available_kw
        What the modules could deliver during the step [kW], ``(n,)``.
    limit_kw
        Limit in force [kW], ``(n,)``; infinity where there is none.
    rate_kw_s
        Ramp [kW/s], ``(n,)``.
    dt_s
        Length of the step [s], ``(n,)`` or one for all.

    Returns
    -------
    Motion
        Energy generated and generation at the end.
    """
    available = np.maximum(np.asarray(available_kw, dtype=np.float64), 0.0)
    return ramp(np.minimum(start_kw, available), np.minimum(available, limit_kw), rate_kw_s, dt_s)


def sunlit_kw(irradiance_w_m2: ArrayLike, modules_kwp: ArrayLike, efficiency: ArrayLike) -> Array:
    """AC power that modules can deliver under an irradiance, before the inverter's rating cuts it.

    Modules give their peak power at 1000 W/m2 by definition, and in proportion below it; heat is left out.

    Parameters
    ----------
    irradiance_w_m2
        Irradiance in the plane of the modules [W/m2], ``(n,)``; below zero counts as none.
    modules_kwp
        Peak power of the modules [kW], ``(n,)``.
    efficiency
        AC over DC power of the inverter, ``(n,)``.
    """
    sun = np.maximum(np.asarray(irradiance_w_m2, dtype=np.float64), 0.0)
    available: Array = sun / 1000.0 * np.asarray(modules_kwp) * np.asarray(efficiency)
    return available


def _positive_area(start: Array, end: Array, tau: Array) -> Array:
    """Integral of the positive part of a line from ``start`` to ``end`` within ``tau``."""
    above = np.maximum(start, 0.0) + np.maximum(end, 0.0)
    span = np.abs(end - start)
    crossing = (start * end < 0.0) & (span > 0.0)
    share = np.divide(np.maximum(start, end), span, out=np.ones(np.shape(above + span)), where=crossing)
    area: Array = 0.5 * above * tau * share
    return area
