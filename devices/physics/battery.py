"""Battery physics as array functions: what a battery can do in the next step, and what a step leaves in it.

Emulated devices and the virtual population use the same functions, so that a bid never promises what the
device would refuse. Power is positive when it discharges; efficiency is one-way (the round trip is its
square). Self-discharge takes its part of the energy with which a step begins.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def exists(kwh: ArrayLike, kw: ArrayLike) -> NDArray[np.bool_]:
    """Whether there is a battery: one has a usable capacity [kWh] and a rating [kW], both above 0."""
    return (np.asarray(kwh) > 0.0) & (np.asarray(kw) > 0.0)


def retention(self_discharge: ArrayLike, dt_h: float) -> NDArray[np.float64]:
    """Part of the stored energy that is left after a step without power.

    The state of charge with which a step begins, times it, is what `limits_kw` and `advance` take.

    Parameters
    ----------
    self_discharge
        Part that is lost in a day, [0..1).
    dt_h
        Length of the step [h].
    """
    return np.asarray((1.0 - np.asarray(self_discharge, dtype=float)) ** (dt_h / 24.0))


def limits_kw(
    soc: ArrayLike, kwh: ArrayLike, kw: ArrayLike, efficiency: ArrayLike, dt_h: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Largest charging and discharging power that can be held for a whole step.

    The energy behind the terminals moves by ``P dt / efficiency`` when discharging and by
    ``P dt efficiency`` when charging, so both limits follow from the energy stored, the room left and the
    converter's rating.

    Parameters
    ----------
    soc
        State of charge [0..1], ``(n,)``.
    kwh
        Usable capacity [kWh], ``(n,)``; zero where there is no battery.
    kw
        Rating of the converter, the same both ways [kW], ``(n,)``.
    efficiency
        One-way efficiency (0..1], ``(n,)``.
    dt_h
        Length of the step [h], positive.

    Returns
    -------
    charge_max_kw, discharge_max_kw
        Both as non-negative magnitudes at the terminals [kW], ``(n,)``.
    """
    soc, kwh, kw, efficiency = (np.asarray(a, dtype=float) for a in (soc, kwh, kw, efficiency))
    room_kwh = np.clip(1.0 - soc, 0.0, 1.0) * kwh
    stored_kwh = np.clip(soc, 0.0, 1.0) * kwh
    return np.minimum(kw, room_kwh / (efficiency * dt_h)), np.minimum(kw, stored_kwh * efficiency / dt_h)


def advance(
    soc: ArrayLike, power_kw: ArrayLike, kwh: ArrayLike, efficiency: ArrayLike, dt_h: float
) -> NDArray[np.float64]:
    """State of charge after a step at constant power.

    Parameters
    ----------
    soc
        State of charge at the start [0..1], ``(n,)``.
    power_kw
        Power at the terminals [kW], ``(n,)``, + discharging, - charging, within `limits_kw`.
    kwh
        Usable capacity [kWh], ``(n,)``; where it is zero the state of charge stays as it is.
    efficiency
        One-way efficiency (0..1], ``(n,)``.
    dt_h
        Length of the step [h].

    Returns
    -------
    NDArray
        State of charge at the end, ``(n,)``, clipped to [0, 1] against rounding.
    """
    soc, power_kw, kwh, efficiency = (np.asarray(a, dtype=float) for a in (soc, power_kw, kwh, efficiency))
    drawn_kwh = np.where(power_kw > 0.0, power_kw / efficiency, power_kw * efficiency) * dt_h
    used = np.divide(drawn_kwh, kwh, out=np.zeros(np.broadcast(drawn_kwh, kwh).shape), where=kwh > 0.0)
    end: NDArray[np.float64] = np.clip(soc - used, 0.0, 1.0)
    return end
