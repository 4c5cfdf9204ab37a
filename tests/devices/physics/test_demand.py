import numpy as np
import pytest

from devices.physics.demand import demand_factor


@pytest.mark.parametrize(
    ("z", "i", "expected"),
    [(1.0, 0.0, 0.9025), (0.0, 1.0, 0.95), (0.4, 0.3, 0.4 * 0.9025 + 0.3 * 0.95 + 0.3)],
)
def test_demand_falls_with_the_voltage_by_its_shares(z, i, expected):
    assert demand_factor([0.95, 1.0], z, i) == pytest.approx([expected, 1.0], abs=1e-15)


def test_constant_power_is_drawn_to_the_last_bit_and_nothing_without_voltage():
    v_pu = np.array([0.6, 0.87, 0.95, 1.0, 1.3])
    assert np.array_equal(demand_factor(v_pu, 0.0, 0.0), np.ones(5))
    assert demand_factor([0.0], 0.2, 0.3).tolist() == [0.0]
