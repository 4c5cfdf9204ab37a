"""What a state says of LAMs on the bus."""

from types import SimpleNamespace

import numpy as np

from cosim.feeder.wire import lam_voltages


def test_the_voltage_of_a_lam_is_that_of_its_nodes_that_are_fed():
    layout = SimpleNamespace(lam_nodes=((0, 1), (1, 2), (2,)))
    v_pu = np.array([1.02, 0.98, np.nan])
    np.testing.assert_array_equal(lam_voltages(v_pu, layout), [1.0, 0.98, 0.0])
