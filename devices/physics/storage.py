"""Physics of what stores energy, whatever it is: a vehicle, a heated room, an appliance that can wait.

A store's path says what it may do in each of T intervals; vehicles, thermal stores and appliances are made
into paths beside this. Virtual prosumers bid by a path and act by the same functions, and the market over a
horizon takes it as it is (docs/market.md, section 8). Powers are those drawn at the meter, + draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class StorePath:
    """What ``S`` stores may do in T intervals.

    Energy at the end of one is
    ``retention * before + dt * (efficiency * drawn - given / give_efficiency) + drift``.

    Attributes
    ----------
    lower_kwh, upper_kwh
        Bounds of the energy at the end of each interval, ``(S, T)``.
    draw_kw, give_kw
        Most that each may draw and give back in each interval, >= 0, ``(S, T)``; zero where it is away.
    efficiency, give_efficiency
        Energy stored per energy drawn, which a heat pump has above one, and given back per energy taken out,
        ``(S,)``.
    retention
        Part of the energy that is left after an interval, in (0, 1], ``(S,)``.
    drift_kwh
        Energy that each interval adds by itself, ``(S, T)``: what a trip or the cold takes is negative.
    """

    lower_kwh: Array
    upper_kwh: Array
    draw_kw: Array
    give_kw: Array
    efficiency: Array
    give_efficiency: Array
    retention: Array
    drift_kwh: Array


def needed_kwh(path: StorePath, dt_h: float) -> Array:
    """Least energy at the end of the first interval from which later bounds can be kept, ``(S,)`` [kWh].

    A bound that cannot be kept by drawing all the time from then on asks for as much as there is room for.
    """
    lower, upper = path.lower_kwh, path.upper_kwh
    needed = lower[:, -1]
    for t in range(lower.shape[1] - 1, 0, -1):
        gained = dt_h * path.efficiency * path.draw_kw[:, t] + path.drift_kwh[:, t]
        before = (np.minimum(needed, upper[:, t]) - gained) / path.retention
        needed = np.minimum(np.maximum(lower[:, t - 1], before), upper[:, t - 1])
    return np.asarray(needed)


def power_range(energy_kwh: Array, path: StorePath, dt_h: float) -> tuple[Array, Array]:
    """Least and most power that each store can draw in the first interval, ``(S,)`` each [kW], - gives back.

    The least is what cannot be made up for later: a bound that is near is kept at any price.

    Parameters
    ----------
    energy_kwh
        Energy at the beginning, ``(S,)``.
    """
    free = path.retention * energy_kwh + path.drift_kwh[:, 0]
    most = _power(np.maximum(path.upper_kwh[:, 0], path.lower_kwh[:, 0]) - free, path, dt_h)
    least = _power(needed_kwh(path, dt_h) - free, path, dt_h)
    most = np.clip(most, -path.give_kw[:, 0], path.draw_kw[:, 0])
    return np.clip(least, -path.give_kw[:, 0], most), most


def advance_energy(energy_kwh: Array, drawn_kw: Array, path: StorePath, dt_h: float) -> Array:
    """Energy at the end of the first interval, ``(S,)`` [kWh].

    Never below zero: what is missing then, as for a trip, was had elsewhere.
    """
    gained = np.where(drawn_kw > 0.0, path.efficiency * drawn_kw, drawn_kw / path.give_efficiency)
    after = path.retention * energy_kwh + dt_h * gained + path.drift_kwh[:, 0]
    return np.maximum(after, 0.0)


def _power(gain_kwh: Array, path: StorePath, dt_h: float) -> Array:
    """Power that brings a gain of energy, ``(S,)`` [kW]."""
    factor = np.where(gain_kwh > 0.0, 1.0 / path.efficiency, path.give_efficiency)
    return np.asarray(gain_kwh * factor / dt_h)
