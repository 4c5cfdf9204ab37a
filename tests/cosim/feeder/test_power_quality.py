"""Unbalance by both definitions, checked by hand; limits that are asked for."""

import numpy as np
import pytest

from cosim.feeder.power_quality import unbalance_pct

A = np.exp(2j * np.pi / 3)
TURN = np.exp(0.1j)
BALANCED = np.array([1.0, A**2, A])


@pytest.mark.parametrize(
    ("volts", "vuf", "ieee"),
    [
        (BALANCED, 0.0, 0.0),
        (BALANCED[::-1], 0.0, 0.0),
        # V1 = 2.9 / 3 and V2 = 0.1 / 3; the mean is 2.9 / 3, from which 0.9 is farthest.
        (BALANCED * [1.0, 1.0, 0.9], 100 * 0.1 / 2.9, 100 * (2.9 / 3 - 0.9) / (2.9 / 3)),
        # Angles alone unbalance the sequences, not the magnitudes.
        (BALANCED * [1.0, 1.0, TURN], 100 * abs(TURN - 1) / abs(TURN + 2), 0.0),
    ],
)
def test_unbalance_by_hand(volts, vuf, ieee):
    assert unbalance_pct(volts[None, :], "vuf")[0] == pytest.approx(vuf, abs=1e-9)
    assert unbalance_pct(volts[None, :], "ieee")[0] == pytest.approx(ieee, abs=1e-9)


def test_three_voltages_between_phases_are_as_unbalanced_as_those_to_ground_without_zero_sequence():
    volts = np.array([1.0, 0.95 * A**2, 0.9 * A])
    volts = volts - volts.mean()
    between = np.array([volts[0] - volts[1], volts[1] - volts[2], volts[2] - volts[0]])
    one, other = (unbalance_pct(each[None, :], "vuf")[0] for each in (volts, between))
    assert one == pytest.approx(other)
