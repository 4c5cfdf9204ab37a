"""Losses of a solved circuit, element by element."""

import numpy as np

from cosim.feeder.api import OpenDss

_LOSSY = ("line", "transformer", "reactor", "capacitor")


def losses_by_element(dss: OpenDss) -> dict[str, complex]:
    """What each line, transformer, reactor and capacitor consumes, ``{element: kW + j kvar}``."""
    found = np.array(dss.Circuit.AllElementLosses()).view(np.complex128).tolist()
    return {
        name.lower(): lost
        for name, lost in zip(dss.Circuit.AllElementNames(), found, strict=True)
        if name.lower().startswith(_LOSSY)
    }
