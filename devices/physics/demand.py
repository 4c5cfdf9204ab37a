"""How a demand varies with the voltage: constant impedance, constant current and constant power (ZIP)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def demand_factor(v_pu: ArrayLike, constant_impedance: float, constant_current: float) -> NDArray[np.float64]:
    """Demand at a voltage over the demand at 1 pu: ``z v^2 + i v + p`` with ``p = 1 - z - i``.

    Active and reactive power follow it alike, so that the power factor stays.

    Parameters
    ----------
    v_pu
        Voltage to neutral [pu], ``(n,)``.
    constant_impedance, constant_current
        The shares z and i of the demand at 1 pu; the rest p is drawn at any voltage.

    Returns
    -------
    NDArray
        ``(n,)``; 0 where there is no voltage.
    """
    v = np.asarray(v_pu, dtype=np.float64)
    constant_power = 1.0 - constant_impedance - constant_current
    return np.where(v > 0.0, (constant_impedance * v + constant_current) * v + constant_power, 0.0)
