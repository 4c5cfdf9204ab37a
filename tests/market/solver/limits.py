"""Staircases of network rows for the solver's tests."""

import numpy as np

from market.solver.staircase import Staircases

CAP = 1e3


def network_stairs(lower, upper):
    """Rows between limits ``(n,)`` each that give way at a price of CAP."""
    n = len(lower)
    ones = np.ones(n)
    kink = np.stack([-CAP * ones, 0 * ones, CAP * ones], axis=1)
    level = np.stack([-np.inf * ones, lower, upper, np.inf * ones], axis=1)
    return Staircases(kink, level)
