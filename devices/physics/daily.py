"""Vehicles, appliances that can wait, and heated rooms as paths of a store, by the hour of the day.

Hours are those of the clock on the wall, from midnight; each function takes the hours at which T intervals
begin, ``(T,)``, and columns of ``S`` devices. The clock may be set between two of them: an interval follows
on the one before it, and the first and last of the T have such neighbours as if it were not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from devices.physics.storage import Array, StorePath

_MOMENT = 1e-9
"""By less than this hours may miss the beginning of an interval [h]."""

LEAST_KEPT = 1e-100
"""Part of its heat that a house keeps at least: none would be nothing to divide by."""


def vehicle_path(
    hour: Array, dt_h: float, *, leaves_h: Array, comes_h: Array, kwh: Array, kw: Array, trip_kwh: Array,
    reserve_kwh: Array, efficiency: Array, gives: Array,
) -> StorePath:  # fmt: skip
    """Vehicles that leave and come back once a day.

    Away they neither draw nor give; the trip's energy is gone when they are back. When they leave they want
    the trip's energy and a reserve, as far as they can hold it.

    Parameters
    ----------
    leaves_h, comes_h
        When each leaves and comes back, hours of the day, the first below the second.
    kwh, kw
        Capacity, and rating of the charger at the meter.
    trip_kwh, reserve_kwh
        What a trip takes, and what must be left besides.
    efficiency
        Energy stored per energy drawn, and the same way back.
    gives
        1 where it may give back, 0 where it only charges.
    """

    def is_away(hour: Array) -> NDArray[np.bool_]:
        at = np.mod(hour, 24.0)[None, :]
        return np.asarray((at + dt_h > leaves_h[:, None] + _MOMENT) & (at < comes_h[:, None] - _MOMENT))

    away, next_away = is_away(hour), is_away(_behind(hour, dt_h))
    # It wants its energy at the end of the last interval that is wholly before it leaves.
    leaves, back = ~away & next_away, away & ~next_away
    wanted = np.minimum(trip_kwh + reserve_kwh, kwh)[:, None]
    there = kw[:, None] * ~away
    return StorePath(
        lower_kwh=np.where(leaves, wanted, 0.0),
        upper_kwh=np.repeat(kwh[:, None], hour.size, axis=1),
        draw_kw=there,
        give_kw=gives[:, None] * there,
        efficiency=efficiency,
        give_efficiency=efficiency,
        retention=np.ones(kwh.size),
        drift_kwh=np.where(back, -trip_kwh[:, None], 0.0),
    )


def appliance_path(
    hour: Array, dt_h: float, *, begins_h: Array, ends_h: Array, kwh: Array, kw: Array
) -> StorePath:
    """Appliances that do a day's work some time between two hours, in parts if need be.

    The energy is the work done of the day: none before it may begin, all of it by the deadline, and none
    again after it.

    Parameters
    ----------
    begins_h, ends_h
        From when it may run and by when it must be done, hours of the day, the first below the second.
    kwh, kw
        Energy of the work, and the most that it draws.
    """

    def may_run(hour: Array) -> NDArray[np.bool_]:
        at = np.mod(hour, 24.0)[None, :]
        return np.asarray((at >= begins_h[:, None] - _MOMENT) & (at + dt_h <= ends_h[:, None] + _MOMENT))

    inside = may_run(hour)
    last = inside & ~may_run(_behind(hour, dt_h))
    # Work that is done is put away in the interval behind the deadline.
    put_away = ~inside & may_run(_before(hour, dt_h))
    all_of = kwh[:, None]
    return StorePath(
        lower_kwh=np.where(last, all_of, 0.0),
        upper_kwh=np.repeat(all_of, hour.size, axis=1),
        draw_kw=np.where(inside, kw[:, None], 0.0),
        give_kw=np.zeros(inside.shape),
        efficiency=np.ones(kwh.size),
        give_efficiency=np.ones(kwh.size),
        retention=np.ones(kwh.size),
        drift_kwh=np.where(put_away, -all_of, 0.0),
    )


def heated_path(
    outside_c: Array, dt_h: float, *, low_c: Array, high_c: Array, kwh_per_k: Array, w_per_k: Array,
    performance: Array, kw: Array,
) -> StorePath:  # fmt: skip
    """Rooms or tanks that a heat pump keeps within a band of temperatures.

    The energy is heat above the band's lower end, at which there is none. With heat capacity C and losses H
    it follows ``C dT/dt = P performance - H (T - T_outside)``, integrated exactly over an interval in which
    power and outside temperature do not change.

    Parameters
    ----------
    outside_c
        Outside temperature in each interval, ``(T,)`` [degC].
    low_c, high_c
        Comfort band [degC].
    kwh_per_k, w_per_k
        Heat capacity [kWh/K] and losses [W/K].
    performance
        Heat per electric energy.
    kw
        Most that the heat pump draws.
    """
    losses = w_per_k / 1000.0
    hours = kwh_per_k / losses  # time constant
    retention = np.maximum(np.exp(-dt_h / hours), LEAST_KEPT)
    cold = kwh_per_k[:, None] * (outside_c[None, :] - low_c[:, None]) * (1.0 - retention)[:, None]
    top = kwh_per_k * (high_c - low_c)
    many = np.ones(outside_c.size)
    return StorePath(
        lower_kwh=np.zeros((top.size, outside_c.size)),
        upper_kwh=np.outer(top, many),
        draw_kw=np.outer(kw, many),
        give_kw=np.zeros((top.size, outside_c.size)),
        efficiency=performance * hours * (1.0 - retention) / dt_h,
        give_efficiency=np.ones(top.size),
        retention=retention,
        drift_kwh=cold,
    )


def _behind(hour: Array, dt_h: float) -> Array:
    """Hours of the intervals behind those that begin at some, ``(T,)``."""
    return np.append(hour[1:], hour[-1:] + dt_h)


def _before(hour: Array, dt_h: float) -> Array:
    """Hours of the intervals before those that begin at some, ``(T,)``."""
    return np.append(hour[:1] - dt_h, hour[:-1])
