"""Random draws that can be had in any order: each is keyed by seed, stream and index.

Nothing depends on what was drawn before: a year's run needs no stored noise, a restarted run sees the same
world, and a run that starts at noon sees the same afternoon as one that starts at midnight.
"""

from math import ceil, floor, sqrt
from zlib import crc32

import numpy as np
from numpy.typing import NDArray


def generator(seed: int, stream: str, *index: int) -> np.random.Generator:
    """Random generator of one named stream at one index; equal arguments give equal draws.

    Parameters
    ----------
    seed
        Seed of the scenario.
    stream
        Name of what is drawn; different names are independent.
    index
        Non-negative integers, such as a tick or a knot.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(crc32(stream.encode()), *index))
    return np.random.Generator(np.random.Philox(sequence))


def smooth_normal(
    seed: int, stream: str, epoch_min: NDArray[np.float64], knot_min: int, size: int
) -> NDArray[np.float64]:
    """Standard normal noise that changes over about ``knot_min`` minutes.

    Independent normal values at knots in absolute time, joined linearly and rescaled so that the variance is
    one everywhere.

    Parameters
    ----------
    seed, stream
        As for `generator`.
    epoch_min
        Instants [min since 1970 UTC], ``(t,)``, close to each other.
    knot_min
        Distance of the knots [min].
    size
        Number of independent series.

    Returns
    -------
    NDArray
        ``(t, size)``.
    """
    at = np.asarray(epoch_min, dtype=np.float64) / knot_min
    first, last = floor(at.min()), ceil(at.max())
    last = max(last, first + 1)
    knots = np.stack([generator(seed, stream, k).standard_normal(size) for k in range(first, last + 1)])
    left = np.minimum(np.floor(at).astype(np.intp) - first, last - first - 1)
    part = (at - first - left)[:, None]
    joined = (1.0 - part) * knots[left] + part * knots[left + 1]
    return np.asarray(joined / np.sqrt((1.0 - part) ** 2 + part**2), dtype=np.float64)


def lognormal_factor(z: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Factor ``exp(sigma z - sigma^2 / 2)`` of mean one out of standard normal values, same shape."""
    return np.exp(sigma * z - 0.5 * sigma * sigma)


def mix(slow: NDArray[np.float64], fast: NDArray[np.float64], part_slow: float) -> NDArray[np.float64]:
    """Standard normal mixture whose variance is ``part_slow`` slow and otherwise fast, same shape."""
    return sqrt(part_slow) * slow + sqrt(1.0 - part_slow) * fast
