"""Meter physics as array functions: phase quantities and energy counters that never run backwards.

Power and reactive power are positive on import, as a meter at the connection point shows them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Phases:
    """Quantities per phase, each ``(n, 3)``; zero where a phase is not connected."""

    v: Array
    i_a: Array
    p_w: Array
    q_var: Array
    s_va: Array
    power_factor: Array

    def rows(self, at: NDArray[np.intp]) -> "Phases":
        """Quantities of some of the meters."""
        return Phases(
            self.v[at], self.i_a[at], self.p_w[at], self.q_var[at], self.s_va[at], self.power_factor[at]
        )


def phase_quantities(
    p_kw: ArrayLike, q_kvar: ArrayLike, v_pu: ArrayLike, connected: NDArray[np.bool_], nominal_v: ArrayLike
) -> Phases:
    """What a meter shows on its phases, the power being split evenly over those connected.

    Parameters
    ----------
    p_kw, q_kvar
        Power at the connection point [kW, kvar], ``(n,)``, + import.
    v_pu
        Voltage to neutral [pu], ``(n, 3)``.
    connected
        Which phases are connected, ``(n, 3)``; at least one each.
    nominal_v
        Nominal voltage to neutral [V], ``(n,)``.

    Returns
    -------
    Phases
        Voltages, currents and powers; the power factor carries the sign of the power and is 1 without load.
    """
    share = connected / np.sum(connected, axis=1, keepdims=True)
    v = np.where(connected, np.asarray(v_pu) * np.asarray(nominal_v)[:, None], 0.0)
    p = 1e3 * np.asarray(p_kw)[:, None] * share
    q = 1e3 * np.asarray(q_kvar)[:, None] * share
    s = np.hypot(p, q)
    current = np.divide(s, v, out=np.zeros_like(s), where=v > 0.0)
    return Phases(v, current, p, q, s, power_factor(p, q))


def power_factor(p: Array, q: Array) -> Array:
    """``p / |p + jq|``, and 1 where there is no power at all."""
    apparent = np.hypot(p, q)
    return np.divide(p, apparent, out=np.ones_like(apparent), where=apparent > 0.0)


def count_energy(counters_kwh: Array, mean_kw: ArrayLike, dt_h: float) -> Array:
    """Counters after a step at a mean power: one of the two grows, neither ever falls.

    Their difference changes by ``mean_kw * dt_h`` but for rounding, so that settlement on successive
    readings telescopes.

    Parameters
    ----------
    counters_kwh
        Import and export at the start [kWh], ``(2, n)``.
    mean_kw
        Mean power of the step [kW], ``(n,)``, + import.
    dt_h
        Length of the step [h].

    Returns
    -------
    NDArray
        Counters at the end, ``(2, n)``.
    """
    energy = np.asarray(mean_kw, dtype=np.float64) * dt_h
    return counters_kwh + np.maximum([energy, -energy], 0.0)


def count_reactive(counters_kvarh: Array, mean_kw: ArrayLike, mean_kvar: ArrayLike, dt_h: float) -> Array:
    """Reactive counters by quadrant after a step at a mean power; none ever falls.

    Parameters
    ----------
    counters_kvarh
        Counters at the start [kvarh], ``(4, n)``: quadrants 1 and 2 (imported kvar while kW is imported, or
        exported), 3 and 4 (exported kvar while kW is exported, or imported).
    mean_kw, mean_kvar
        Mean power of the step [kW, kvar], ``(n,)``, + import.
    dt_h
        Length of the step [h].

    Returns
    -------
    NDArray
        Counters at the end, ``(4, n)``.
    """
    energy = np.asarray(mean_kvar, dtype=np.float64) * dt_h
    importing = np.asarray(mean_kw) >= 0.0
    grows, falls = np.maximum(energy, 0.0), np.maximum(-energy, 0.0)
    by_quadrant: Array = np.array(
        [grows * importing, grows * ~importing, falls * ~importing, falls * importing]
    )
    return counters_kvarh + by_quadrant
