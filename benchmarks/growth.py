"""With which power of its size something grows, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Growth(NamedTuple):
    """A power by least squares of the logarithms.

    Attributes
    ----------
    power
        The power.
    error
        Its standard error.
    least, most
        What it would be without one of the points.
    """

    power: float
    error: float
    least: float
    most: float

    def __str__(self) -> str:
        return (
            f"{self.power:.2f}, with a standard error of {self.error:.2f}, "
            f"and {self.least:.2f} to {self.most:.2f} without one of them"
        )


def growth(sizes: Sequence[float], values: Sequence[float]) -> Growth:
    """Growth of at least four values with their sizes."""
    x, y = np.log(sizes), np.log(values)
    power, constant = np.polyfit(x, y, 1)
    left = y - power * x - constant
    error = np.sqrt(left @ left / (len(x) - 2) / ((x - x.mean()) @ (x - x.mean())))
    others = [np.polyfit(np.delete(x, at), np.delete(y, at), 1)[0] for at in range(len(x))]
    return Growth(float(power), float(error), float(min(others)), float(max(others)))
