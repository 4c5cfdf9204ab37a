"""Insulation ageing of oil-filled transformers by their loading: IEEE C57.91-2011, clause 7.

The top oil follows the load with its time constant, the hottest spot of the winding at once, which is near
enough for steps of several minutes and more.
"""

from dataclasses import dataclass

import numpy as np

from cosim.feeder.circuit import Floats

NORMAL_LIFE_H = 180_000.0
"""Normal insulation life [h] (C57.91, table 2: 20.55 years)."""


@dataclass(frozen=True)
class Thermal:
    """How a transformer warms; the defaults are of a distribution transformer of 65 degC rise.

    Attributes
    ----------
    oil_rise_c, spot_rise_c
        Rise of the top oil over ambient, and of the hottest spot over the top oil, at rated load [degC].
    loss_ratio
        Load loss at rated load over loss without load.
    oil_exponent, spot_exponent
        Exponents n and m of the cooling; 0.8 for natural circulation of oil and air.
    oil_time_h
        Time constant of the top oil [h].
    """

    oil_rise_c: float = 55.0
    spot_rise_c: float = 25.0
    loss_ratio: float = 5.0
    oil_exponent: float = 0.8
    spot_exponent: float = 0.8
    oil_time_h: float = 3.0


@dataclass(frozen=True)
class Ageing:
    """What loading did to T transformers.

    Attributes
    ----------
    hottest_c
        Highest temperature of the hottest spot ``(T,)`` [degC].
    equivalent_factor
        Mean ageing, 1 being that at 110 degC ``(T,)``.
    life_lost_pct
        Part of the normal life that is used up ``(T,)`` [%].
    """

    hottest_c: Floats
    equivalent_factor: Floats
    life_lost_pct: Floats


def hottest_spot_c(loading: Floats, ambient_c: Floats, step_h: float, thermal: Thermal) -> Floats:
    """Temperature of the hottest spot at the end of each step ``(S, T)`` [degC].

    Parameters
    ----------
    loading
        Part of their rating that transformers carry, ``(S, T)``; they begin warmed through by the first.
    ambient_c
        Temperature around them, ``(S,)`` [degC].
    step_h
        Length of a step [h].
    thermal
        How they warm.
    """
    ratio = thermal.loss_ratio
    final_c = thermal.oil_rise_c * ((loading**2 * ratio + 1.0) / (ratio + 1.0)) ** thermal.oil_exponent
    keeps = float(np.exp(-step_h / thermal.oil_time_h))
    oil_c = np.empty_like(final_c)
    now = final_c[0]
    for step, final in enumerate(final_c):
        now = final + (now - final) * keeps
        oil_c[step] = now
    return ambient_c[:, None] + oil_c + thermal.spot_rise_c * loading ** (2.0 * thermal.spot_exponent)


def ageing_factor(hottest_c: Floats) -> Floats:
    """Speed of ageing at temperatures of the hottest spot [degC], 1 at 110 degC (C57.91, equation 2)."""
    return np.asarray(np.exp(15000.0 / 383.0 - 15000.0 / (hottest_c + 273.0)), dtype=np.float64)


def age(loading: Floats, ambient_c: Floats, step_h: float, thermal: Thermal) -> Ageing:
    """Ageing of transformers over some time; parameters as of `hottest_spot_c`."""
    spot_c = hottest_spot_c(loading, ambient_c, step_h, thermal)
    factor = ageing_factor(spot_c).mean(axis=0)
    return Ageing(spot_c.max(axis=0), factor, 100.0 * factor * len(loading) * step_h / NORMAL_LIFE_H)
